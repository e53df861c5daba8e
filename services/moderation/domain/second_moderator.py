"""Pictures that show part of a face: two different moderators have to agree on the same revision.

The author may mark a clinical region (an eye, a lesion on the cheek) that the paint of a face leaves out. What stays
visible there may still tell who the patient is; one person's judgement is not enough for that.
"""

from services.moderation.domain.values import FirstApproval, Picture
from shared.events import Box, RegionKind

FACE_MARGIN = 0.25
"""Part of each side by which a face reaches beyond its box: hair line, chin and ears are painted with it."""


def needs_second_moderator(picture: Picture) -> bool:
    """Whether a clinical region of the picture meets a face, painted or still found."""
    return any(
        region.kind is RegionKind.FACE and _meets(clinical, region.box)
        for frame in picture.frames
        for clinical in frame.clinical
        for region in (*frame.regions, *frame.residual)
    )


def agreed(first: FirstApproval | None, moderator_id: str, pictures: dict[str, int]) -> bool:
    """Whether somebody else has approved each of these pictures (id to revision) before."""
    if not pictures:
        return True
    if first is None or first.moderator_id == moderator_id:
        return False
    return all(first.pictures.get(picture_id) == revision for picture_id, revision in pictures.items())


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
