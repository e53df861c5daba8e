"""A picture of a case: what was uploaded, what is to be covered, and the redactor's answer."""

from collections.abc import Sequence

from services.ingest.domain.boxes import complete_boxes
from services.ingest.domain.consent import SeenFrame, SeenPicture
from services.ingest.domain.refusals import NotRenderedYet
from services.ingest.domain.stored import Stored
from shared.events import (
    SKIN_KINDS,
    CaseRedacted,
    Frame,
    FrameBoxes,
    Marks,
    Note,
    PictureKind,
    RedactionOutcome,
    SubmittedPicture,
    UploadedPicture,
)
from shared.openings import shows_part_of_a_face


class Rendering(Stored):
    """The redactor's answer for one revision of a picture. `reason` is set where it could not be read."""

    revision: int
    outcome: RedactionOutcome
    reason: str | None = None
    frames: tuple[Frame, ...] = ()
    notes: tuple[Note, ...] = ()


class Picture(Stored):
    """An uploaded picture. Sizes in pixels as the file's header says; `frames` is 1 where it says nothing.

    `boxes` None: the machine decides what to cover; else the complete list. `marks`: what the author last answered
    about marks on the skin.
    """

    picture_id: str
    kind: PictureKind
    media_type: str
    size_bytes: int
    width: int
    height: int
    frames: int = 1
    revision: int = 1
    # The author's next revision is above this as well; see `case.REVISIONS_PER_REVIEW`.
    revision_floor: int = 0
    boxes: tuple[FrameBoxes, ...] | None = None
    rendering: Rendering | None = None
    marks: Marks | None = None

    @property
    def current(self) -> Rendering | None:
        """The rendering of the current revision, if the redactor has answered."""
        return self.rendering if self.rendering and self.rendering.revision == self.revision else None

    @property
    def marks_asked(self) -> bool:
        """Whether the author has to say what marks it shows: it may show skin, and there is something to see."""
        unreadable = self.current is not None and self.current.outcome is RedactionOutcome.UNREADABLE
        return self.kind in SKIN_KINDS and not unreadable

    @property
    def part_of_a_face(self) -> bool:
        """Whether the current rendering leaves a clinical region open in a face."""
        return self.current is not None and any(shows_part_of_a_face(frame) for frame in self.current.frames)

    def complete_boxes(self, frames: Sequence[FrameBoxes]) -> tuple[FrameBoxes, ...]:
        """The list for all frames; see `boxes.complete_boxes`. Raises NotRenderedYet, BoxOutside."""
        shown = self.current
        if shown is None or shown.outcome is not RedactionOutcome.REDACTED:
            raise NotRenderedYet(picture_id=self.picture_id)
        return complete_boxes(shown.frames, frames)

    def take_rendering(self, event: CaseRedacted) -> bool:
        """Take in the redactor's answer. False where it says nothing new: stale, or double."""
        newer = event.revision > self.revision
        if not newer and not (event.revision == self.revision and self.current is None):
            return False
        if newer:
            # Moderation had it painted again: its boxes are the picture's boxes from now on.
            self.revision = event.revision
            painted = (FrameBoxes(frame=f.index, boxes=f.regions, clinical=f.clinical) for f in event.frames)
            self.boxes = tuple(painted) or self.boxes
        self.rendering = Rendering(
            revision=event.revision,
            outcome=event.outcome,
            reason=event.reason,
            frames=event.frames,
            notes=event.notes,
        )
        return True

    def seen(self) -> SeenPicture:
        """The picture as a signer sees it now: the hashes of all its painted bytes."""
        return SeenPicture(
            picture_id=self.picture_id,
            revision=self.revision,
            frames=tuple(
                SeenFrame(index=frame.index, sha256={str(one.size): one.sha256 for one in frame.renditions})
                for frame in (self.current.frames if self.current else ())
            ),
        )

    def uploaded(self) -> UploadedPicture:
        """What the redactor is told."""
        return UploadedPicture(
            picture_id=self.picture_id,
            revision=self.revision,
            kind=self.kind,
            media_type=self.media_type,
            size_bytes=self.size_bytes,
            boxes=self.boxes,
        )

    def submitted(self) -> SubmittedPicture:
        """What moderation is told."""
        return SubmittedPicture(picture_id=self.picture_id, revision=self.revision, kind=self.kind, marks=self.marks)
