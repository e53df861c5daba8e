"""Pictures that show a face or part of one: two different moderators have to agree on the same revision.

The author may mark a clinical region (an eye, a lesion on the cheek) that the paint of a face leaves out, and author
and moderator may take the box of a face away altogether, or draw it smaller. What stays visible may tell who the
patient is; one person's judgement is not enough for that, nor for saying that the machine saw a face where none is.
"""

from collections.abc import Iterable

from services.moderation.domain.coverage import painted_part
from services.moderation.domain.values import FirstApproval, Picture
from shared.events import Box, Frame, RegionKind

FACE_MARGIN = 0.25
"""Part of each side by which a face reaches beyond its box: hair line, chin and ears are painted with it."""

FACE_COVERED_PART = 0.8
"""A face is covered where this much of the machine's box is: people draw closer than the machine, but not half."""


def needs_second_moderator(picture: Picture) -> bool:
    """Whether a clinical region of the picture meets a face, or a face that the machine once saw has no paint."""
    opened = any(
        region.kind is RegionKind.FACE and _meets(clinical, region.box)
        for frame in picture.frames
        for clinical in frame.clinical
        for region in (*frame.regions, *frame.residual)
    )
    return opened or any(uncovered_faces(picture, frame) for frame in picture.frames)


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


def _meets(clinical: Box, face: Box) -> bool:
    across, down = round(face[2] * FACE_MARGIN), round(face[3] * FACE_MARGIN)
    left, right = face[0] - across, face[0] + face[2] + across
    top, bottom = face[1] - down, face[1] + face[3] + down
    return (
        clinical[0] < right
        and clinical[0] + clinical[2] > left
        and clinical[1] < bottom
        and clinical[1] + clinical[3] > top
    )
