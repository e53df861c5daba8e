"""identity: who the members are, and whether they are who they say.

Consumes: consent.expiring (writes to the author of the case).
Reads at its start: member.changed, for who has left for good, so that no old backup brings them back.
Emits: member.changed (the full public state of a member, at registration and at every change of it),
member.blocked (whom a member has blocked, the whole list).
Owns: accounts with their passwords, sessions, second factors, the signing keys of access tokens and their public halves
(JWKS), tries to sign in, letters to members that wait for the mail server, how each was verified (number and civil name
sealed), proofs until they are decided about.
"""
