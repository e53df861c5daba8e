"""Pictures that show a face or part of one: two different moderators have to agree on the same revision.

The author may mark a clinical region (an eye, a lesion on the cheek) that the paint of a face leaves out, and author
and moderator may take the box of a face away altogether, or draw it smaller. What stays visible may tell who the
patient is; one person's judgement is not enough for that, nor for saying that the machine saw a face where none is.
"""

from collections.abc import Iterable

from services.moderation.domain.coverage import painted_part
from services.moderation.domain.values import FirstApproval, Picture
from shared.events import Box, Frame, RegionKind
from shared.openings import shows_part_of_a_face

FACE_COVERED_PART = 0.8
"""A face is covered where this much of the machine's box is: people draw closer than the machine, but not half."""


def needs_second_moderator(picture: Picture) -> bool:
    """Whether a clinical region of the picture meets a face, or a face that the machine once saw has no paint."""
    return any(shows_part_of_a_face(frame) or uncovered_faces(picture, frame) for frame in picture.frames)


def uncovered_faces(picture: Picture, frame: Frame) -> tuple[Box, ...]:
    """The faces that the machine saw in any revision of this frame and that the paint of the current one shows."""
    painted = set(_faces(frame)) if not frame.clinical else set[Box]()
    seen = (each.box for each in picture.faces if each.frame == frame.index)
    return tuple(box for box in seen if box not in painted and painted_part(frame, box) < FACE_COVERED_PART)


def agreed(first: FirstApproval | None, moderator_id: str, pictures: dict[str, int]) -> bool:
    """Whether somebody else has approved each of these pictures (id to revision) before."""
    if not pictures:
        return True
    if first is None or first.moderator_id == moderator_id:
        return False
    return all(first.pictures.get(picture_id) == revision for picture_id, revision in pictures.items())


def _faces(frame: Frame) -> Iterable[Box]:
    return (region.box for region in frame.regions if region.kind is RegionKind.FACE)
