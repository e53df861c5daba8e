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


class TextMayIdentify(Refused):
    """The text has words (`findings`), or a case parts that together (`combinations`), may identify somebody, and the
    sender has not said that they may stay."""

    code = "text-may-identify"


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


class NotInformed(Refused):
    """A consent cannot be asked for before it is recorded that the patient was informed."""

    code = "patient-not-informed"


class SubjectRefused(Refused):
    """What is said of the person in the pictures, or of who signs for them, does not fit; `reason` is a stable code."""

    code = "consent-subject"


class ConsentPicturesChanged(Refused):
    """The pictures are not those any more that the request shows."""

    code = "consent-pictures-changed"


class RequestUnknown(Refused):
    """This case has no such consent request, or a newer one took its place."""

    code = "consent-request-unknown"


class RequestClosed(Refused):
    """The request is complete, declined, cancelled, or the person objected: no signature is awaited."""

    code = "consent-request-closed"


class RequestSigned(Refused):
    """Somebody has signed the open request, which a new one would throw away."""

    code = "consent-request-signed"


class SignerUnknown(Refused):
    code = "consent-signer-unknown"


class LinkUnknown(Refused):
    """No open request knows this link: it was mistyped, replaced by a newer one, or its case is gone."""

    code = "consent-link-unknown"


class LinkExpired(Refused):
    code = "consent-link-expired"


class LinkUsed(Refused):
    """With this link, or in this place, somebody has signed already."""

    code = "consent-link-used"


class FormNotPrinted(Refused):
    """A sheet was sent though no form was made for paper, so that the signer holds no withdrawal code."""

    code = "consent-form-not-printed"


class ConsentUnknown(Refused):
    code = "consent-unknown"


class ConsentTextOutdated(Refused):
    """These pictures show part of a face, and the text that the patient signed says that faces are covered."""

    code = "consent-text-outdated"


class MarksUnanswered(Refused):
    """The author has not said of these pictures whether they show a tattoo, scar, jewellery or birthmark."""

    code = "marks-unanswered"


class CaseNotPublished(Refused):
    code = "case-not-published"


class CommentsClosed(Refused):
    """This member may not comment on this case. Why is not said: it may be the author's choice."""

    code = "comments-closed-to-you"


class ParentUnknown(Refused):
    """The comment that is answered does not belong to this case."""

    code = "parent-comment-unknown"
