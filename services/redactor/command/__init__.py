"""Redaction of files and folders from the command line, and the page that shows what it did."""
