"""Training of the project's own models. Nothing here is imported by a service."""
