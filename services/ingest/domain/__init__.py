"""The rules of ingest, pure: no clock, no network, no files. Times and consent texts come in as arguments."""
