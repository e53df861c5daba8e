"""Ingest: where a case enters. Drafts, original pictures, consents, comments, and withdrawal.

Consumes: case.redacted, case.approved, case.rejected, comment.rejected, member.changed, member.blocked, feed.erased,
moderation.erased, redactor.erased.
Reads at its start: case.withdrawn, its own ledger; and after a restore its own comment.added, on command.
Emits: case.uploaded, case.submitted, case.withdrawn, comment.added, consent.expiring.
Owns: drafts, consents and comments (database `ingest`), original pictures (bucket of originals: written here, read
by the redactor only, encrypted with a key per case), proofs of consent (bucket of proofs, sealed likewise) and the
texts that moderation reads (bucket of texts).
"""
