"""All finders over one picture: what they see is painted, or proposed where a person has to say."""

from dataclasses import dataclass

from services.redactor.detectors import Pixels, is_grey, single
from services.redactor.detectors.codes import Codes
from services.redactor.detectors.faces import Faces
from services.redactor.detectors.tattoos import Tattoos
from services.redactor.detectors.text import Text
from services.redactor.domain import Thresholds, merged
from services.redactor.inference import Engine
from services.redactor.pixels.watch import Watch
from shared.events import PictureKind, Region

SMALL_PRINT = frozenset({PictureKind.XRAY, PictureKind.ECG, PictureKind.SCAN, PictureKind.ECHO, PictureKind.LAB})
"""Kinds whose lettering may be small and faint: text is sought in them at a larger scale."""


@dataclass(frozen=True)
class Findings:
    """What was seen, in pixels of the upright picture, unpadded."""

    regions: tuple[Region, ...]
    """To be painted."""

    proposals: tuple[Region, ...]
    """Not sure enough to be painted unasked: author and moderator must answer."""


class Search:
    """Holds the finders of one process. Not thread-safe, as they are not."""

    def __init__(self, engine: Engine, thresholds: Thresholds) -> None:
        self.faces = Faces(engine, threshold=thresholds.face, threshold_small=thresholds.face_small)
        self.text = Text(engine, pixel=thresholds.text_pixel, box=thresholds.text, mark=thresholds.mark)
        self.codes = Codes()
        self.tattoos = Tattoos(engine, threshold=min(thresholds.tattoo, thresholds.tattoo_proposed))
        self._sure_tattoo = thresholds.tattoo

    def __call__(
        self, pixels: Pixels, kind: PictureKind | None, watch: Watch, words: frozenset[str] = frozenset()
    ) -> Findings:
        """Everything that any finder sees. `kind` None: how small the print may be is told by the look. `words`: what
        the file's header says of the patient, to be looked for in the lettering."""
        plain = single(pixels)
        found = self.faces.detect(plain)
        watch.lap("faces")
        lettering = self.text.look(plain, True if kind in SMALL_PRINT else None, words)
        found += lettering.regions
        watch.lap("text")
        grey = is_grey(plain)
        found += self.codes.detect(plain, lying=not grey, parts=lettering.coded)
        watch.lap("codes")
        tattoos = self._tattoos(plain, grey, watch)
        found += [region for region in tattoos if region.score >= self._sure_tattoo]
        return Findings(tuple(merged(found)), self._unsure(tattoos))

    def proposals(self, pixels: Pixels, watch: Watch, *, sure_too: bool = False) -> tuple[Region, ...]:
        """`Findings.proposals` alone. `sure_too`: with what would be painted, for a picture whose regions a person has
        set: they may have taken a tattoo's box away."""
        tattoos = self._tattoos(pixels, is_grey(pixels), watch)
        sure = merged([region for region in tattoos if sure_too and region.score >= self._sure_tattoo])
        return (*sure, *self._unsure(tattoos))

    def _tattoos(self, pixels: Pixels, grey: bool, watch: Watch) -> list[Region]:
        """Of every score from that on which something is proposed; none where nothing has a colour. What the author
        calls the picture plays no part: a photo sent as a radiograph would go unsearched."""
        found = [] if grey else self.tattoos.detect(pixels)
        watch.lap("tattoos")
        return found

    def _unsure(self, tattoos: list[Region]) -> tuple[Region, ...]:
        return tuple(merged([region for region in tattoos if region.score < self._sure_tattoo]))
