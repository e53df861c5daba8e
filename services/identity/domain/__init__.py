"""The rules of identity, one file a subject; nothing here reads or writes."""
