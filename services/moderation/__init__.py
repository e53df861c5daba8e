"""Moderation: a person sees every picture, byte for byte as members will, before anything is published.

Consumes: case.submitted, case.redacted, case.withdrawn, comment.added, member.changed.
Emits: redaction.requested, case.approved, case.rejected, comment.rejected; after a withdrawal tombstones, and
moderation.erased.
Owns: the review queue, claims, decisions, comments that may identify somebody until they are decided, and the audit
chain of every case.
"""
