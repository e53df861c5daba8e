"""What a review tells the others, as events, and what the audit chain keeps of it."""

import hashlib
import json
from collections.abc import Sequence
from datetime import datetime

from services.moderation.domain.audit import Detail
from services.moderation.domain.reasons import ReasonCode
from services.moderation.domain.values import Picture, Submission
from shared.events import (
    ApprovedPicture,
    CaseApproved,
    CaseRejected,
    FrameBoxes,
    RedactionRequested,
    RejectOutcome,
    SubmittedPicture,
)

NO_BOXES = {"regions": (), "residual": (), "proposals": (), "clinical": ()}


def approval(
    case_id: str,
    submission: Submission,
    published: Sequence[tuple[SubmittedPicture, Picture]],
    title: str,
    text: str,
    now: datetime,
) -> CaseApproved:
    """The case as members will see it; every rendition exactly as the redactor's events listed it."""
    return CaseApproved(
        case_id=case_id,
        version=submission.version,
        author_id=submission.author_id,
        specialty=submission.specialty,
        kind=submission.kind,
        language=submission.language,
        title=title,
        text=text,
        pictures=tuple(
            ApprovedPicture(
                picture_id=picture.picture_id,
                revision=picture.revision,
                kind=submitted.kind,
                # What was covered is in the pixels; ten clips of fifty frames would fill a megabyte with boxes.
                frames=tuple(frame.model_copy(update=NO_BOXES) for frame in picture.frames),
            )
            for submitted, picture in published
        ),
        approved_at=now,
        consent=submission.consent,
        patient=submission.patient,
    )


def rejection(
    case_id: str, submission: Submission, outcome: RejectOutcome, codes: Sequence[ReasonCode], now: datetime
) -> CaseRejected:
    return CaseRejected(
        case_id=case_id,
        version=submission.version,
        outcome=outcome,
        reasons=tuple(code.value for code in codes),
        decided_at=now,
    )


def repainting(
    case_id: str,
    submitted: SubmittedPicture,
    picture: Picture,
    revision: int,
    boxes: tuple[FrameBoxes, ...],
    pictures_total: int,
) -> RedactionRequested:
    return RedactionRequested(
        case_id=case_id,
        picture_id=picture.picture_id,
        revision=revision,
        kind=submitted.kind,
        boxes=boxes,
        position=picture.position,
        pictures_total=pictures_total,
    )


def about_approval(event: CaseApproved) -> Detail:
    """Ties the audit record to every byte that was published: the event holds the hash of each rendition."""
    return {
        "published": [picture.picture_id for picture in event.pictures],
        "event_sha256": hashlib.sha256(event.to_json()).hexdigest(),
    }


def about_boxes(boxes: Sequence[FrameBoxes]) -> Detail:
    """How many boxes, and the hash of the list (canonical JSON), so that it can be recognised later."""
    listed = json.dumps([frame.model_dump(mode="json") for frame in boxes], sort_keys=True, separators=(",", ":"))
    return {
        "boxes": sum(len(frame.boxes) for frame in boxes),
        "clinical": sum(len(frame.clinical) for frame in boxes),
        "sha256": hashlib.sha256(listed.encode()).hexdigest(),
    }
