"""Paints over whatever could identify a patient: faces, burned-in text and codes in every picture of a case.

Consumes: case.uploaded (group `redactor`), redaction.requested (group `redactor-interactive`), case.withdrawn.
Emits:    case.redacted, one event a picture, with an id derived from the event that asked for it; after a
          withdrawal redactor.erased.
Owns:     the painted pictures in the bucket `cases-redacted`; no database, no door to the outside.

It is the only service that reads original pictures, and it never hands one on: out come fresh encodings of painted
pixels. As a library: `services.redactor.pixels.redact.Redactor`; on the command line: `python -m services.redactor`.
"""
