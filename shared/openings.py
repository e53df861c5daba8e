"""Which frames show part of a face: one rule for the patient's consent (ingest) and for the second moderator.

The author may mark a clinical region that the paint of a face leaves out. Where it meets no face it opens nothing.
"""

from shared.events import Box, Frame, RegionKind

FACE_MARGIN = 0.25
"""Part of each side by which a face reaches beyond its box: hair line, chin and ears are painted with it."""


def shows_part_of_a_face(frame: Frame) -> bool:
    """Whether a clinical region of the frame meets a face that is painted, or that the second look still saw."""
    faces = [region.box for region in (*frame.regions, *frame.residual) if region.kind is RegionKind.FACE]
    return any(_meets(clinical, face) for clinical in frame.clinical for face in faces)


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
