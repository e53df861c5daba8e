"""HTTP in, one file a subject; `app.py` puts them together."""
