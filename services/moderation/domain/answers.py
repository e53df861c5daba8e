"""What a moderator has to answer before a picture is published: each proposal of the machine, and what marks it shows.

The machine paints what it is sure of and proposes what it suspects (tattoos mostly). It misses some, and knows no
scar: so the question about marks is put of every picture that may show skin.
"""

from collections.abc import Iterable

from services.moderation.domain.audit import Detail
from services.moderation.domain.coverage import painted_part
from services.moderation.domain.refusals import (
    AnswerFault,
    BadAnswers,
    MarksUnanswered,
    ProposalNotCovered,
    ProposalsUnanswered,
)
from services.moderation.domain.values import Answers, Picture
from shared.events import SKIN_KINDS, Frame, FrameBoxes, MarkAnswer, PictureKind, Region

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
    """Whether the paint of the frame's regions hides the proposal (see `painted_part`)."""
    return painted_part(frame, proposal.box) >= COVERED_PART


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
