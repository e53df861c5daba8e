"""What a moderator has to answer before a picture is published: each proposal of the machine, and what marks it shows.

The machine paints what it is sure of and proposes what it suspects (tattoos mostly). It misses some, and knows no
scar: so the question about marks is put of every picture that may show skin.
"""

from collections.abc import Iterable
from itertools import pairwise

from services.moderation.domain.audit import Detail
from services.moderation.domain.refusals import (
    AnswerFault,
    BadAnswers,
    MarksUnanswered,
    ProposalNotCovered,
    ProposalsUnanswered,
)
from services.moderation.domain.values import Answers, Picture
from shared.events import SKIN_KINDS, Box, Frame, FrameBoxes, MarkAnswer, PictureKind, Region, RegionKind

COVERED_PART = 0.5
"""A proposal counts as covered where this much of its box is painted: a person draws closer than the machine."""


def check_answers(kind: PictureKind, picture: Picture, answers: Answers) -> None:
    """Return if everything that this revision asks is answered.

    Raises BadAnswers (about no proposal, or twice about one), ProposalNotCovered where the answer `covered` is not
    true of the picture, ProposalsUnanswered, MarksUnanswered.
    """
    suspected = {
        (frame.index, number): (frame, region)
        for frame in picture.frames
        for number, region in enumerate(frame.proposals)
    }
    answered = set()
    for place, given in enumerate(answers.proposals):
        spot = (given.frame, given.proposal)
        if spot not in suspected:
            raise BadAnswers(AnswerFault.PROPOSAL_UNKNOWN, "proposals", place)
        if spot in answered:
            raise BadAnswers(AnswerFault.PROPOSAL_TWICE, "proposals", place)
        frame, region = suspected[spot]
        if given.answer is MarkAnswer.COVERED and not is_covered(frame, region):
            raise ProposalNotCovered(given.frame, given.proposal)
        answered.add(spot)
    if open_ := [spot for spot in suspected if spot not in answered]:
        raise ProposalsUnanswered(tuple(open_))
    if kind in SKIN_KINDS and answers.marks is None:
        raise MarksUnanswered


def is_covered(frame: Frame, proposal: Region) -> bool:
    """Whether the paint of the frame's regions hides the proposal.

    A face that the author's clinical region opens does not count where that region meets the proposal.
    """
    opened = any(_shared(clinical, proposal.box) for clinical in frame.clinical)
    painted = [
        shared
        for region in frame.regions
        if not (opened and region.kind is RegionKind.FACE) and (shared := _shared(region.box, proposal.box))
    ]
    return _union(painted) >= COVERED_PART * proposal.box[2] * proposal.box[3]


def about_answers(answers: Answers) -> Detail:
    """What the audit chain keeps: codes and places only."""
    detail: Detail = {}
    if answers.proposals:
        detail["proposals"] = [
            f"{each.frame}/{each.proposal} {each.answer}" + (f" {each.reason}" if each.reason else "")
            for each in answers.proposals
        ]
    if answers.marks:
        detail["marks"] = answers.marks.answer.value
        if answers.marks.reasons:
            detail["mark_reasons"] = [reason.value for reason in answers.marks.reasons]
    return detail


def about_covered(picture: Picture, boxes: Iterable[FrameBoxes]) -> Detail:
    """The proposals that these boxes answer by covering them; empty where there is none."""
    listed = {entry.frame: entry for entry in boxes}
    covered = [
        f"{frame.index}/{number}"
        for frame in picture.frames
        for number, proposal in enumerate(frame.proposals)
        if is_covered(
            frame.model_copy(update={"clinical": listed[frame.index].clinical, "regions": listed[frame.index].boxes}),
            proposal,
        )
    ]
    return {"proposals_covered": covered} if covered else {}


def _shared(one: Box, other: Box) -> Box | None:
    """The part that two boxes have in common; None where there is none."""
    left, top = max(one[0], other[0]), max(one[1], other[1])
    right, bottom = min(one[0] + one[2], other[0] + other[2]), min(one[1] + one[3], other[1] + other[3])
    return (left, top, right - left, bottom - top) if right > left and bottom > top else None


def _union(boxes: list[Box]) -> int:
    """Pixels in at least one of the boxes: strip by strip between the boxes' left and right edges."""
    edges = sorted({edge for x, _, width, _ in boxes for edge in (x, x + width)})
    pixels = 0
    for left, right in pairwise(edges):
        reached = 0
        for top, bottom in sorted((y, y + height) for x, y, width, height in boxes if x <= left < x + width):
            pixels += (right - left) * max(0, bottom - max(top, reached))
            reached = max(reached, bottom)
    return pixels
