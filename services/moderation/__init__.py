"""Moderation: a person sees every picture, byte for byte as members will, before anything is published.

Consumes: case.submitted, case.redacted, case.withdrawn, member.changed.
Emits: redaction.requested, case.approved, case.rejected, comment.rejected; tombstones after a
withdrawal.
Owns: the review queue, claims, decisions, and the audit chain of every case.
"""
