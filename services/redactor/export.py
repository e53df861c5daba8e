"""DICOM in, DICOM out, without the patient. The command is in `command.export`.

The pixels are painted with the boxes that the redactor finds, as stored samples: bits, rescale and window stay, so that
the picture can still be measured and windowed. The header is made anew: see `pixels.deidentify`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from services.redactor.domain import Reason, Unreadable, painted_boxes
from services.redactor.pixels import dicom
from services.redactor.pixels.decode import LONGEST_SIDE_PX
from services.redactor.pixels.deidentify import deidentified, fill, forget_uids
from services.redactor.pixels.frames import DeepFrame
from services.redactor.pixels.paint import paint
from services.redactor.pixels.redact import Redactor
from shared.events import Box, PictureKind, Region

MAX_BYTES = 1 << 30
"""Of pixels in one exported file: all its frames are in memory at once."""


@dataclass(frozen=True)
class Exported:
    """`data`: the new file. `boxes`: how many were painted. `residual`: what the last look still saw and is painted,
    but was not looked at again: a person should."""

    data: bytes
    uid: str
    frames: int
    boxes: int
    residual: int


class Exporter:
    """One run: the same UID of several files becomes the same new UID. Not thread-safe, one at a time a process."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        forget_uids()

    def export(self, data: bytes) -> Exported:
        """Find, paint, and write anew. Raises Unreadable with the reason, also for what is no DICOM picture."""
        if not dicom.looks_like_dicom(data):
            raise Unreadable(Reason.UNSUPPORTED_FORMAT, "not a DICOM file")
        try:
            return self._exported(data)
        except Unreadable:
            raise
        except MemoryError:
            raise Unreadable(Reason.MEMORY_LIMIT) from None
        except Exception as error:  # a header that nobody foresaw: what is said of it may quote a name
            raise Unreadable(Reason.DECODER_FAILED, type(error).__name__) from None

    def _exported(self, data: bytes) -> Exported:
        redacted = self._redactor.redact(data)
        header = dicom.read_header(data, max_pixels=self._redactor.max_pixels, longest_side_px=LONGEST_SIDE_PX)
        boxes, residual = [], 0
        for frame, (found, left) in zip(redacted.frames, self._beyond_the_window(header), strict=True):
            boxes.append(painted_boxes([*frame.regions, *found, *left], frame.width, frame.height))
            residual += len(frame.residual) + len(left)
        result = deidentified(header.dataset, painted_samples(header, boxes), boxes_clear=residual == 0)
        return Exported(
            dicom.written(result), result.SOPInstanceUID, header.frame_count, sum(map(len, boxes)), residual
        )

    def _beyond_the_window(self, header: dicom.Header) -> Iterator[tuple[list[Region], list[Region]]]:
        """For each frame what is found in its stored samples over their whole range, and what a second look finds.

        The stored samples go out, and whoever gets them sets another window: what the file's own window or table turns
        to plain white is read then. Nothing for frames that were shown over their whole range already.
        """
        for samples, frame in dicom.stored_frames(header):
            if samples is None or (isinstance(frame, DeepFrame) and frame.samples is samples):
                yield [], []
                continue
            whole = DeepFrame(samples)
            found = self._redactor.find(whole.shown(), PictureKind.XRAY, header.words)
            shown = whole.shown(painted_boxes(found, whole.width, whole.height))
            yield found, self._redactor.look_again(self._redactor.paint(shown, found), found, PictureKind.XRAY)


def painted_samples(header: dicom.Header, boxes: list[list[Box]]) -> npt.NDArray[Any]:
    """All frames with their boxes filled: grey as stored samples (frames x height x width), all else as RGB bytes.

    Raises Unreadable.
    """
    frames: list[npt.NDArray[Any]] = []
    size = 0
    for (samples, frame), covered in zip(dicom.stored_frames(header), boxes, strict=True):
        if samples is None:
            painted = paint(frame.shown(covered), covered)
        else:
            painted = samples.copy()
            fill(painted, covered, inverted=str(header.dataset.PhotometricInterpretation) == "MONOCHROME1")
        frames.append(painted)
        size += painted.nbytes
        if size > MAX_BYTES:
            raise Unreadable(Reason.MEMORY_LIMIT, f"more than {MAX_BYTES} bytes of pixels")
    return np.stack(frames)
