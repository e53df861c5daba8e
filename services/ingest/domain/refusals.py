"""How the rules say no. `code` is stable and becomes the problem's type at the HTTP door."""

from typing import Any


class Refused(Exception):
    """A rule forbids this. Nothing was changed. `facts` are what the caller may be told besides."""

    code = "refused"

    def __init__(self, **facts: Any) -> None:
        super().__init__(self.code, facts)
        self.facts = facts


class WrongState(Refused):
    """The case's state does not allow this step (now, or ever again)."""

    code = "case-state"


class CaseUnknown(Refused):
    """There is no such case for this member: absent, and somebody else's draft, are the same to the caller."""

    code = "case-unknown"


class CaseWithdrawnForGood(Refused):
    """The case was withdrawn; nothing can be done with it any more."""

    code = "case-withdrawn"


class TooManyPictures(Refused):
    code = "too-many-pictures"


class PictureUnknown(Refused):
    code = "picture-unknown"


class NotRenderedYet(Refused):
    """The redactor has not answered for the picture's current revision, or could not read the picture."""

    code = "picture-not-redacted"


class BoxOutside(Refused):
    """A box lies outside its frame, or names a frame that the picture does not have."""

    code = "box-outside"


class TooManyBoxes(Refused):
    """More boxes on one picture than its events can carry."""

    code = "too-many-boxes"


class ConsentRefused(Refused):
    """The consent record itself is not acceptable; `reason` is a stable code."""

    code = "consent-not-acceptable"


class ConsentMissing(Refused):
    """The case may not be submitted without a valid consent; `reason` is a stable code."""

    code = "consent-needed"


class ConsentTextOutdated(Refused):
    """These pictures show part of a face, and the text that the patient signed says that faces are covered."""

    code = "consent-text-outdated"


class MarksUnanswered(Refused):
    """The author has not said of these pictures whether they show a tattoo, scar, jewellery or birthmark."""

    code = "marks-unanswered"


class CaseNotPublished(Refused):
    code = "case-not-published"


class ParentUnknown(Refused):
    """The comment that is answered does not belong to this case."""

    code = "parent-comment-unknown"
