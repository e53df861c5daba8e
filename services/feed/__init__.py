"""Feed: what verified members read. A projection of events; it tells nothing but that a withdrawn case is gone.

Consumes: case.approved, case.withdrawn, comment.added, member.changed.
Emits: feed.erased.
Owns: read models in the database `feed` (cases, comments, members, the ledger of withdrawn cases), which a replay
from offset zero makes again (`python -m services.feed rebuild`). Serves pictures from the bucket of redacted ones
after its own authorisation, and only bytes whose SHA-256 is the one that was approved.
"""
