"""Reviews, and the events that make them, for tests of moderation's rules."""

from datetime import UTC, date, datetime, timedelta

from services.moderation.domain import (
    ActKind,
    Answers,
    PictureDecision,
    Review,
)
from shared.events import (
    CaseApproved,
    CaseRedacted,
    CaseSubmitted,
    CaseWithdrawn,
    ConsentFacts,
    Frame,
    MarkAnswer,
    Marks,
    PictureKind,
    QuestionKind,
    RedactionOutcome,
    Region,
    RegionKind,
    Rendition,
    RenditionSize,
    Specialty,
    SubmittedPicture,
)

NOW = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
LEASE = timedelta(minutes=15)
PUBLISH, WITHHOLD = PictureDecision.PUBLISH, PictureDecision.WITHHOLD
SEEN = Answers(marks=Marks(answer=MarkAnswer.NONE))
"""The answers about a photo on which neither the machine nor the moderator sees anything more."""
CONSENT = ConsentFacts(purposes=("sharing",), language="fr", text_sha256="0" * 64, signed_on=date(2026, 2, 27))


def frame_of(picture_id: str, revision: int, index: int = 0, regions: tuple[Region, ...] = ()) -> Frame:
    renditions = tuple(
        Rendition(
            size=size,
            object_key=f"c1/{picture_id}/{revision}/{index:04d}-{size}",
            media_type="image/png",
            width=100,
            height=80,
            size_bytes=10,
            sha256=f"{revision:064x}",
        )
        for size in RenditionSize
    )
    return Frame(index=index, width=100, height=80, regions=regions, renditions=renditions)


FACE = Region(kind=RegionKind.FACE, box=(10, 10, 40, 40), score=0.9, detector="faces")
EYE = (20, 20, 8, 8)


def redacted(picture_id: str, revision: int = 1, frames: int = 1, clinical: bool = False) -> CaseRedacted:
    """A rendering; with `clinical`, of a face of which an eye stays visible."""
    shown = [frame_of(picture_id, revision, index) for index in range(frames)]
    if clinical:
        shown = [frame.model_copy(update={"regions": (FACE,), "clinical": (EYE,)}) for frame in shown]
    return CaseRedacted(
        case_id="c1",
        picture_id=picture_id,
        revision=revision,
        pictures_total=2,
        outcome=RedactionOutcome.REDACTED,
        frames=tuple(shown),
    )


def unreadable(picture_id: str, revision: int = 1) -> CaseRedacted:
    return CaseRedacted(
        case_id="c1",
        picture_id=picture_id,
        revision=revision,
        pictures_total=2,
        outcome=RedactionOutcome.UNREADABLE,
        reason="truncated",
    )


def submitted(*picture_ids: str, version: int = 3, revision: int = 1, consent: bool = True) -> CaseSubmitted:
    return CaseSubmitted(
        case_id="c1",
        version=version,
        author_id="author",
        specialty=Specialty.DERMATOLOGY,
        kind=QuestionKind.DIAGNOSIS,
        language="fr",
        text_version=version,
        pictures=tuple(
            SubmittedPicture(picture_id=each, revision=revision, kind=PictureKind.PHOTO) for each in picture_ids
        ),
        consent=CONSENT if consent else None,
    )


def withdrawn(*picture_ids: str) -> CaseWithdrawn:
    return CaseWithdrawn(case_id="c1", version=9, picture_ids=picture_ids, withdrawn_at=NOW)


def review_of(*picture_ids: str, frames: int = 1, consent: bool = True) -> Review:
    """A submitted case, all pictures rendered, claimed by `mod`, its text read."""
    review = Review(case_id="c1")
    review.on_submitted(submitted(*picture_ids, consent=consent))
    for each in picture_ids:
        review.on_redacted(redacted(each, frames=frames))
    review.take("mod", "claim-1", NOW)
    review.read("mod", NOW, 3, "text-hash")
    return review


def look(review: Review, picture_id: str, index: int = 0, moderator: str = "mod") -> None:
    claim, picture, frame = review.frame(moderator, NOW, picture_id, index)
    review.served(moderator, NOW, claim.claim_id, picture_id, picture.revision, frame.index)


def approve(review: Review, text_sha256: str = "text-hash", text: str = "What is this?") -> CaseApproved:
    review.approve("mod", NOW, text_sha256, "A title", text)
    event = review.outgoing[-1]
    assert isinstance(event, CaseApproved)
    return event


def acts(review: Review) -> list[ActKind]:
    return [act.act for act in review.acts]
