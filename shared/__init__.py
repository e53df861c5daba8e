"""What the five services share: events, the bus, the outbox, storage, identity of callers, and the web frame.

Services import from here and never from each other.
"""
