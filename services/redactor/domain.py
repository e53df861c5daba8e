"""What is covered and how: boxes, thresholds, the reasons for which a picture cannot be read. Pure: no pixels here."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from shared.events import Box, Region, RegionKind

BLOCK_PX = 16
"""Painted boxes grow outward to this grid: a JPEG codes colour in blocks of 16 by 16 pixels, and the ringing that
it leaves round a letter reaches to the edge of the letter's block, where it would still tell what stood there."""

MAX_FRAMES = 50
"""Frames that are read from one DICOM file; a longer one is refused, never cut silently."""


MAX_REGIONS = 2_500
"""Regions of one picture, all frames, and as many each of its proposals and of what is residual.

With 110 bytes each the three lists fill 0.8 MB of a message. The bound comes from elsewhere: the author may give back
the list with boxes added (`events.MAX_BOXES`), and the lists of ten pictures travel in one message of 4 MB."""


class Reason(StrEnum):
    """Why a picture could not be redacted: stable codes, shown to the author and the moderator."""

    NOT_A_PICTURE = "not_a_picture"
    UNSUPPORTED_FORMAT = "unsupported_format"
    TRUNCATED = "truncated"
    TOO_MANY_PIXELS = "too_many_pixels"
    TOO_MANY_FRAMES = "too_many_frames"
    DECODER_FAILED = "decoder_failed"
    TIME_LIMIT = "time_limit"
    MEMORY_LIMIT = "memory_limit"
    ORIGINAL_MISSING = "original_missing"


class Unreadable(Exception):
    """This picture cannot be redacted, now or later: a person must see the reason. Never retried."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else str(reason))
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type["Unreadable"], tuple[Reason, str]]:
        return Unreadable, (self.reason, self.detail)  # it crosses from the worker process to the service


@dataclass(frozen=True)
class Thresholds:
    """Scores from 0 to 1 above which something found is painted: low, since a miss costs more than an extra box.

    What the defaults find, with 95 % intervals, on the development set and drawn pictures (`python -m
    benchmarks.quality`, 23 November 2026): faces 266 of 266 (0.99 to 1.00), drawn lettering of 10 pixels and more at
    contrast 35 and more 0.985 (0.97 to 0.99), all lettering 0.991 (0.95 to 1.00) of 114 on drawn films, codes 0.967 of
    30 (0.83 to 0.99), tattoos 0.874 of 95 (0.79 to 0.93) with what the text finder adds. docs/redaction.md has
    the sets, the precision, other thresholds and the failures.
    """

    face: float = 0.25  # CenterFace, in each of its turns
    face_small: float = 0.6  # BlazeFace full range, in each of four turns
    text_pixel: float = 0.3  # a pixel of the text map
    text: float = 0.45  # the mean over a text box; in the first look nine tenths of it, see `detectors.text.LONG_CORES`
    mark: float = 0.9  # a clinical mark is given back only when it is read at least this surely
    tattoo: float = 0.97  # painted from here: 0.83 of 95 real tattoos, none of 26 photos of wounds and lesions
    tattoo_proposed: float = 0.6  # from here to `tattoo` it is shown to the author and the moderator, who must answer


def clip(box: Box, width: int, height: int) -> Box | None:
    """The part of `box` that lies in a picture of this size, or None where nothing does."""
    left, top = max(0, box[0]), max(0, box[1])
    right, bottom = min(width, box[0] + box[2]), min(height, box[1] + box[3])
    return (left, top, right - left, bottom - top) if right > left and bottom > top else None


def padded(region: Region) -> Box:
    """The box with the margin that its kind needs: finders draw tight boxes, identifiers reach beyond them.

    Faces 18 % of each side (hair line, chin and ears tell who it is); text and codes 15 % of the shorter side and
    at least 4 pixels (the text finder's own boxes have a margin already). What a person drew is taken as drawn.
    """
    left, top, width, height = region.box
    if region.kind is RegionKind.FACE:
        across, down = round(width * 0.18), round(height * 0.18)
    elif region.kind is RegionKind.MANUAL:
        across = down = 0
    else:
        across = down = max(4, round(min(width, height) * 0.15))
    return left - across, top - down, width + 2 * across, height + 2 * down


def aligned(box: Box, width: int, height: int, block: int = BLOCK_PX) -> Box | None:
    """`box` grown outward to the grid of `block` pixels and cut to the picture; None where nothing is left."""
    inside = clip(box, width, height)
    if inside is None:
        return None
    left, top = inside[0] // block * block, inside[1] // block * block
    right, bottom = -(-(inside[0] + inside[2]) // block) * block, -(-(inside[1] + inside[3]) // block) * block
    return clip((left, top, right - left, bottom - top), width, height)


def hole(clinical: Box, width: int, height: int, block: int = BLOCK_PX) -> Box | None:
    """What a clinical box leaves open of a face: the whole blocks inside it, None where it holds none.

    Shrunk inward, since a block that is open by a pixel would show the ringing of what lies beside. At the picture's
    right and lower edge a block may be a part of one.
    """
    inside = clip(clinical, width, height)
    if inside is None:
        return None
    left, top = -(-inside[0] // block) * block, -(-inside[1] // block) * block
    right, bottom = inside[0] + inside[2], inside[1] + inside[3]
    right = right if right == width else right // block * block
    bottom = bottom if bottom == height else bottom // block * block
    return (left, top, right - left, bottom - top) if right > left and bottom > top else None


def holes(clinical: Iterable[Box], width: int, height: int) -> list[Box]:
    """What these clinical boxes leave open, in pixels of the upright picture."""
    return [box for each in clinical if (box := hole(each, width, height)) is not None]


def without(box: Box, opening: Box) -> list[Box]:
    """`box` less `opening`: up to four boxes that do not overlap."""
    left, top, right, bottom = box[0], box[1], box[0] + box[2], box[1] + box[3]
    if not overlap(box, opening):
        return [box]
    inner_left, inner_right = max(left, opening[0]), min(right, opening[0] + opening[2])
    inner_top, inner_bottom = max(top, opening[1]), min(bottom, opening[1] + opening[3])
    pieces = (
        (left, top, right - left, inner_top - top),
        (left, inner_bottom, right - left, bottom - inner_bottom),
        (left, inner_top, inner_left - left, inner_bottom - inner_top),
        (inner_right, inner_top, right - inner_right, inner_bottom - inner_top),
    )
    return [piece for piece in pieces if piece[2] > 0 and piece[3] > 0]


def painted_boxes(regions: Iterable[Region], width: int, height: int, clinical: Iterable[Box] = ()) -> list[Box]:
    """What is filled for these regions, in pixels of the upright picture.

    The paint of a face leaves out the blocks inside the boxes `clinical`. Everything else is filled there too: text
    over an eye, a code, a tattoo, what a person drew.
    """
    openings = holes(clinical, width, height)
    filled = []
    for region in regions:
        box = aligned(padded(region), width, height)
        pieces = [box] if box is not None else []
        if region.kind is RegionKind.FACE:
            for opening in openings:
                pieces = [piece for each in pieces for piece in without(each, opening)]
        filled += pieces
    return filled


def area(box: Box) -> int:
    """Pixels in `box`."""
    return box[2] * box[3]


def overlap(one: Box, other: Box) -> int:
    """Pixels that two boxes share."""
    across = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    down = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    return across * down if across > 0 and down > 0 else 0


LINE_SHAPE = 2.0
"""What is this much longer than tall is a line of text."""


def merged(regions: Sequence[Region], *, shared_part: float = 0.5) -> list[Region]:
    """One region where several finders, turns or scales saw the same thing: the surest stays.

    The same thing: same kind, and either more than `shared_part` of their union is shared, or nine tenths of the
    weaker box lie inside the surer one. What only overlaps stays: together they cover more. Of a line of text the
    surer box may be a part only: where the weaker one sticks out, the box that holds both is kept. Not so of what is
    no line: a side mark would go with what is taken for lettering round it.
    """
    kept: list[Region] = []
    for region in sorted(regions, key=lambda region: (-region.score, region.box)):
        for index, other in enumerate(kept):
            shared = overlap(region.box, other.box)
            union = area(region.box) + area(other.box) - shared
            within = shared > 0.9 * area(region.box)
            if other.kind is region.kind and (shared > shared_part * union or within):
                if region.kind is RegionKind.TEXT and not within:
                    both = _joined([other, region])
                    if max(both.box[2:]) >= LINE_SHAPE * min(both.box[2:]):
                        kept[index] = both
                break
        else:
            kept.append(region)
    return sorted(kept, key=lambda region: (region.kind.value, region.box))


def bounded(regions: Sequence[Region], limit: int) -> list[Region]:
    """At most `limit` regions, and one of each kind at least: where there are more (a page of print), neighbours in
    reading order become one, first those of the most frequent kind.

    Kinds are never joined: the paint of a face has openings, and that of a name across it has none.
    """
    by_kind = {
        kind: sorted((each for each in regions if each.kind is kind), key=lambda each: (each.box[1], each.box[0]))
        for kind in sorted({each.kind for each in regions})
    }
    together = dict.fromkeys(by_kind, 1)
    while sum(groups := [-(-len(by_kind[kind]) // together[kind]) for kind in by_kind]) > limit > 0 and max(groups) > 1:
        together[list(by_kind)[groups.index(max(groups))]] += 1
    if max(together.values(), default=1) == 1:
        return list(regions)
    return [
        _joined(of_kind[start : start + together[kind]])
        for kind, of_kind in by_kind.items()
        for start in range(0, len(of_kind), together[kind])
    ]


def surest(regions: Sequence[Region], limit: int) -> list[Region]:
    """At most `limit` regions, for a list that is shown and not painted: faces first, then the surest of the others."""
    if len(regions) <= limit:
        return list(regions)
    first = sorted(regions, key=lambda each: (each.kind is not RegionKind.FACE, -each.score, each.box))
    return first[:limit]


def _joined(regions: Sequence[Region]) -> Region:
    left, top = min(each.box[0] for each in regions), min(each.box[1] for each in regions)
    right = max(each.box[0] + each.box[2] for each in regions)
    bottom = max(each.box[1] + each.box[3] for each in regions)
    best = max(regions, key=lambda region: region.score)
    return best.model_copy(update={"box": (left, top, right - left, bottom - top)})
