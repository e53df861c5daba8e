"""Composes training pictures: a limb, a trunk or skin close by, before a room or cloth, with or without a tattoo."""

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from training.tattoos.designs import SIDE, Design, Map, Random, collage, design, rendered, shaded, smooth
from training.tattoos.skin import Light, mixed, skin, with_findings, with_hair, with_things
from training.tattoos.sources import Picture, Sources

STRIDE = 8
SCENE_PX = 256

TATTOO, NOT, UNSURE = 1, 0, 255

SEEN = 0.06
"""Ink that changes no channel of the skin by this part of the full range is not to be found."""


@dataclass(frozen=True)
class Scene:
    """A picture of `SCENE_PX` square, and for each `STRIDE` pixels TATTOO, NOT, or UNSURE (the border: not counted)."""

    pixels: Picture
    labels: npt.NDArray[np.uint8]


def scene(random: Random, sources: Sources, *, tattooed: float = 0.6) -> Scene:
    """One picture. `tattooed`: how often there is a tattoo where there is skin."""
    side = SCENE_PX
    kind = int(random.choice(4, p=(0.25, 0.42, 0.12, 0.21)))  # close by, limb, trunk, no bare skin or a face
    background = _background(random, sources, side)
    if kind == 3:
        if random.random() < 0.4:
            background = _face(random, sources, side)
        return _finished(random, background, np.zeros((side, side), np.float32))
    bare = skin(random, side)
    has_tattoo = random.random() < tattooed
    if not has_tattoo or random.random() < 0.25:
        bare = with_findings(random, bare)
    ink, where = bare, np.zeros((side, side), np.float32)
    body, shade = _body(random, side, kind)
    if has_tattoo:
        for _ in range(int(random.choice((1, 2, 3), p=(0.75, 0.18, 0.07)))):
            ink, placed = _tattooed(random, sources, ink, body, kind)
            where = np.maximum(where, placed)
    lit = ink * shade[:, :, np.newaxis]
    if random.random() < 0.35:
        lit = with_hair(random, lit)
    picture = np.asarray(background * (1 - body[:, :, np.newaxis]) + lit * body[:, :, np.newaxis], np.float32)
    where = where * body
    if random.random() < 0.3:
        before = picture
        picture = with_things(random, picture)
        where = where * (np.abs(picture - before).max(axis=2) < 0.25)
    return _finished(random, picture, where.astype(np.float32))


def _body(random: Random, side: int, kind: int) -> tuple[Map, Map]:
    """Where the skin is, and how the light falls on it."""
    rows, columns = np.mgrid[0:side, 0:side].astype(np.float32) / side - 0.5
    turn = random.uniform(0, math.pi) if random.random() < 0.4 else random.normal(math.pi / 2, 0.25)
    along = columns * math.cos(turn) + rows * math.sin(turn)
    across = rows * math.cos(turn) - columns * math.sin(turn)
    light = 1 + random.uniform(-0.5, 0.5) * along + random.uniform(-0.5, 0.5) * across
    light = light * (1 - random.uniform(0, 0.4) * np.clip((smooth(random, side, 3) - 0.5) * 3, 0, 1))
    light = light + 0.05 * (smooth(random, side, 6) - 0.5)
    if kind == 0:
        return np.ones((side, side), np.float32), np.asarray(light, np.float32)
    half = random.uniform(0.1, 0.3) if kind == 1 else random.uniform(0.28, 0.5)
    swing, phase = random.uniform(0, 0.06), random.uniform(0, 6)
    width = half * (1 + random.uniform(-0.6, 0.6) * along + 0.1 * np.sin(6 * along + phase))
    offset = across - random.uniform(-0.15, 0.15) - swing * np.sin(5 * along + phase)
    round_ = offset / width
    body = np.clip((1 - np.abs(round_)) * width * side / 1.5, 0, 1)
    if random.random() < 0.45:  # it ends in the picture: a stump, a shoulder, a hem
        body = body * np.clip((random.uniform(0.1, 0.45) - along * random.choice((-1, 1))) * side / 2, 0, 1)
    falls = np.sqrt(np.clip(1 - (round_ * 0.97) ** 2, 0.02, 1))
    curved = (1 - (depth := random.uniform(0.2, 0.7))) + depth * falls
    return np.asarray(body, np.float32), np.asarray(light * curved, np.float32)


def _tattooed(random: Random, sources: Sources, bare: Light, body: Map, kind: int) -> tuple[Light, Map]:
    """The skin with one tattoo on it, and where it lies (the hull of its ink)."""
    side = bare.shape[0]
    sleeve = random.random() < (0.3 if kind == 1 else 0.12)
    drawn = (collage, shaded)[int(random.random() < 0.35)](random, sources) if sleeve else design(random, sources)
    inside = np.argwhere(body > 0.9)
    middle = inside[random.integers(len(inside))][::-1] if len(inside) else np.array([side / 2, side / 2])
    if kind != 1:
        middle = 0.6 * middle + 0.4 * side / 2
    elif len(inside):  # towards the limb's own middle
        near = inside[np.abs(inside - middle[::-1]).max(axis=1) < side * 0.3]
        middle = near.mean(axis=0)[::-1] * 0.8 + middle * 0.2
    size = (
        random.uniform(0.55, 1.3)
        if sleeve
        else math.exp(random.uniform(math.log(0.1 if random.random() < 0.15 else 0.22), math.log(1.0)))
    )
    density, colour = _warped(random, drawn, side, middle, size)
    soft = random.uniform(0.0, 1.4)
    if soft > 0.3:
        density = np.asarray(cv2.GaussianBlur(density, (0, 0), soft), np.float32)
    strength = random.uniform(0.65, 1.3) * (0.75 + 0.25 * smooth(random, side, 6))
    over = np.clip(density * strength * (0.85 + 0.15 * random.random((side, side))), 0, 1)[:, :, np.newaxis]
    tinted = colour * 0.85 + bare * 0.15  # ink lies under the skin: its light comes through
    absorbed = bare * (0.25 + 0.75 * colour)
    ink = tinted if random.random() < 0.75 else absorbed
    seen = (np.abs(ink - bare).max(axis=2) * over[:, :, 0]) > SEEN
    where = _hull(density * seen, size * side)
    if random.random() < 0.3:  # fresh: the skin round it is red
        halo = cv2.GaussianBlur(np.asarray(where, np.float32), (0, 0), side * 0.03) * random.uniform(0.05, 0.4)
        bare = np.asarray(bare * (1 - halo[:, :, np.newaxis] * np.array([0.05, 0.4, 0.35])), np.float32)
    return np.asarray(bare * (1 - over) + ink * over, np.float32).clip(0, 1), where


def _warped(
    random: Random, drawn: Design, side: int, middle: npt.NDArray[np.floating], size: float
) -> tuple[Map, npt.NDArray[Any]]:
    rows, columns = np.mgrid[0:side, 0:side].astype(np.float32)
    x, y = (columns - middle[0]) / (size * side), (rows - middle[1]) / (size * side)
    turn = random.normal(0, 0.5)
    across, along = x * math.cos(turn) + y * math.sin(turn), y * math.cos(turn) - x * math.sin(turn)
    bulge = random.uniform(0.0, 1.2)
    across = np.arcsin(np.clip(across * bulge, -0.999, 0.999)) / max(bulge, 1e-3) if bulge > 0.1 else across
    across = across * random.uniform(0.8, 1.4) + random.uniform(-0.1, 0.1) * np.sin(along * 5)
    map_x, map_y = ((across + 0.5) * SIDE).astype(np.float32), ((along + 0.5) * SIDE).astype(np.float32)
    shrink = size * side / SIDE
    density, colour = drawn.density, drawn.colour
    if shrink < 0.7:
        density = cv2.GaussianBlur(density, (0, 0), 0.5 / shrink)
        colour = cv2.GaussianBlur(colour, (0, 0), 0.5 / shrink)
    moved = cv2.remap(density, map_x, map_y, cv2.INTER_LINEAR, borderValue=0)
    moved_colour = cv2.remap(colour, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.float32), np.asarray(moved_colour, np.float32)


def _hull(density: Map, size_px: float) -> Map:
    ink = (density > 0.15).astype(np.uint8)
    reach = max(3, int(size_px * 0.17)) | 1
    closed = cv2.morphologyEx(
        cv2.copyMakeBorder(ink, reach, reach, reach, reach, cv2.BORDER_REPLICATE),
        cv2.MORPH_CLOSE,
        cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach)),
    )
    return np.asarray(closed[reach:-reach, reach:-reach], np.float32)


def _finished(random: Random, picture: Light, where: Map) -> Scene:
    """As a camera would have it: turned, tinted, blurred, noisy, compressed; and the labels at their stride."""
    if random.random() < 0.5:
        picture, where = picture[:, ::-1], where[:, ::-1]
    turns = int(random.integers(4)) if random.random() < 0.4 else 0
    picture, where = np.rot90(picture, turns), np.rot90(where, turns)
    if random.random() < 0.08:
        picture = np.repeat(picture.mean(axis=2, keepdims=True), 3, axis=2)
    else:
        picture = picture * (1 + random.normal(0, 0.06, 3))
        grey = picture.mean(axis=2, keepdims=True)
        picture = grey + (picture - grey) * random.uniform(0.6, 1.35)
    picture = np.clip(picture * random.uniform(0.8, 1.25), 0, 1) ** random.uniform(0.7, 1.2)
    picture = (picture - 0.5) * random.uniform(0.8, 1.2) + 0.5
    picture = np.ascontiguousarray(picture, np.float32)
    if random.random() < 0.4:
        picture = cv2.GaussianBlur(picture, (0, 0), random.uniform(0.4, 1.6))
    picture = picture + random.standard_normal(picture.shape).astype(np.float32) * random.uniform(0, 0.03)
    pixels = (np.clip(picture, 0, 1) * 255).astype(np.uint8)
    if random.random() < 0.7:
        _, code = cv2.imencode(".jpg", pixels[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, int(random.integers(40, 96))])
        pixels = np.ascontiguousarray(np.asarray(cv2.imdecode(code, cv2.IMREAD_COLOR), np.uint8)[:, :, ::-1])
    return Scene(pixels, labels(np.ascontiguousarray(where, np.float32)))


def labels(where: Map) -> npt.NDArray[np.uint8]:
    """Which cells of `STRIDE` pixels hold tattoo, which hold none, and which only a border."""
    side = where.shape[0] // STRIDE
    share = cv2.resize(where, (side, side), interpolation=cv2.INTER_AREA)
    marked = np.full(share.shape, UNSURE, np.uint8)
    marked[share > 0.5] = TATTOO
    near = cv2.dilate(share, np.ones((3, 3), np.uint8)) > 0.02
    marked[(share < 0.02) & ~near] = NOT
    return marked


def _background(random: Random, sources: Sources, side: int) -> Light:
    kind = int(random.choice(5, p=(0.34, 0.22, 0.2, 0.14, 0.1)))
    picture = (_photo, _plain, _cloth, _floor, _grey)[kind](random, sources, side)
    if random.random() < 0.35:  # another thing before it
        other = (_photo, _plain, _cloth)[int(random.integers(3))](random, sources, side)
        share = np.zeros((side, side), np.float32)
        corners = random.integers(-side // 4, side * 5 // 4, (int(random.integers(3, 6)), 2)).astype(np.int32)
        cv2.fillPoly(share, [corners], 1.0, cv2.LINE_AA)
        picture = picture * (1 - share[:, :, np.newaxis]) + other * share[:, :, np.newaxis]
    if random.random() < 0.4:
        picture = cv2.GaussianBlur(picture.astype(np.float32), (0, 0), random.uniform(0.5, 4))
    return np.asarray(picture, np.float32)


def _photo(random: Random, sources: Sources, side: int) -> Light:
    photo = sources.photos[random.integers(len(sources.photos))]
    height, width = photo.shape[:2]
    cut = int(random.uniform(0.25, 1.0) * min(height, width))
    top, left = int(random.integers(height - cut + 1)), int(random.integers(width - cut + 1))
    piece = cv2.resize(photo[top : top + cut, left : left + cut], (side, side), interpolation=cv2.INTER_AREA)
    picture = piece.astype(np.float32) / 255
    if random.random() < 0.3:
        picture = picture[:, :, random.permutation(3)]
    return picture


def _face(random: Random, sources: Sources, side: int) -> Light:
    """A portrait at any size, in any tone, sometimes masked or before something else."""
    portrait = sources.faces[random.integers(len(sources.faces))].astype(np.float32) / 255
    size = random.uniform(0.5, 2.6) * side / portrait.shape[0]
    middle = portrait.shape[1] / 2, portrait.shape[0] / 2
    turn = np.asarray(cv2.getRotationMatrix2D(middle, random.normal(0, 12), size), np.float64)
    turn[:, 2] += side / 2 - np.array(portrait.shape[1::-1]) / 2 + random.uniform(-0.15, 0.15, 2) * side
    flip = portrait[:, ::-1] if random.random() < 0.5 else portrait
    seen = cv2.warpAffine(np.ascontiguousarray(flip), turn, (side, side), borderMode=cv2.BORDER_REFLECT)
    picture = np.asarray(seen, np.float32) * np.array([1, random.uniform(0.85, 1.05), random.uniform(0.75, 1.1)])
    picture = picture ** random.uniform(0.6, 2.2)
    if random.random() < 0.4:  # a mask, a hand, a microphone
        share = np.zeros((side, side), np.float32)
        place = int(side * random.uniform(0.35, 0.65)), int(side * random.uniform(0.45, 0.8))
        axes = int(side * random.uniform(0.06, 0.25)), int(side * random.uniform(0.06, 0.2))
        cv2.ellipse(share, place, axes, random.uniform(-20, 20), 0, 360, 1.0, -1, cv2.LINE_AA)
        cover = (_plain, _cloth)[int(random.random() < 0.4)](random, sources, side)
        picture = picture * (1 - share[:, :, np.newaxis]) + cover * share[:, :, np.newaxis]
    return np.asarray(picture.clip(0, 1), np.float32)


def _plain(random: Random, sources: Sources, side: int) -> Light:
    """A wall, a sheet, a drape: one colour with soft folds."""
    colour = random.uniform(0.03, 1, 3) if random.random() < 0.4 else np.full(3, random.uniform(0.03, 1))
    picture = np.broadcast_to(colour, (side, side, 3)) * (0.75 + 0.35 * smooth(random, side, 3))[:, :, np.newaxis]
    if random.random() < 0.5:
        folds = np.abs(smooth(random, side, int(random.integers(3, 9))) - 0.5) * random.uniform(0.2, 1.2)
        picture = picture * (0.7 + folds[:, :, np.newaxis])
    return np.asarray(picture, np.float32)


def _cloth(random: Random, sources: Sources, side: int) -> Light:
    """Printed cloth: stripes, dots or icons, as often looking like a tattoo as can be; only the skin is missing."""
    picture = _plain(random, sources, side)
    share = np.zeros((side, side), np.float32)
    kind = int(random.integers(3 if sources.icons else 2))
    if kind == 0:
        rows, columns = np.mgrid[0:side, 0:side] / side
        turn = random.uniform(0, math.pi)
        wave = np.sin((columns * math.cos(turn) + rows * math.sin(turn)) * random.uniform(15, 120))
        share = np.clip(wave * 3, 0, 1).astype(np.float32)
    elif kind == 1:
        step = int(random.integers(8, 50))
        for y in range(0, side, step):
            for x in range(0, side, step):
                cv2.circle(share, (x, y), max(1, step // 4), 1.0, -1, cv2.LINE_AA)
    else:
        for _ in range(int(random.integers(1, 10))):
            size = int(random.integers(20, side // 2))
            body, box = sources.icons[random.integers(len(sources.icons))]
            y, x = random.integers(0, side - size, 2)
            alpha = rendered(body, box, size)[:, :, 3]
            share[y : y + size, x : x + size] = np.maximum(share[y : y + size, x : x + size], alpha)
    return mixed(picture, share * random.uniform(0.4, 1.0), random.uniform(0, 1, 3))


def _floor(random: Random, sources: Sources, side: int) -> Light:
    """Tiles, planks or boxes seen at a slant."""
    count = int(random.integers(3, 12))
    board = np.indices((count, count)).sum(axis=0) % 2 if random.random() < 0.5 else random.random((count, count))
    one, other = random.uniform(0, 1, 3), random.uniform(0, 1, 3)
    if random.random() < 0.5:
        one, other = np.full(3, one[0]), np.full(3, other[0])
    flat = board[:, :, np.newaxis] * one + (1 - board[:, :, np.newaxis]) * other
    large = cv2.resize(flat.astype(np.float32), (side, side), interpolation=cv2.INTER_NEAREST)
    corners = np.array([[0, 0], [side, 0], [side, side], [0, side]], np.float32)
    moved = corners + random.uniform(-0.5, 0.5, (4, 2)).astype(np.float32) * side * 0.8
    seen = cv2.warpPerspective(
        large, cv2.getPerspectiveTransform(corners, moved), (side, side), borderMode=cv2.BORDER_REFLECT
    )
    return np.asarray(seen, np.float32)


def _grey(random: Random, sources: Sources, side: int) -> Light:
    """As a radiograph, an ultrasound picture or a printed curve."""
    if random.random() < 0.6:
        field = sum(smooth(random, side, cells) * weight for cells, weight in ((3, 1.0), (8, 0.5), (40, 0.2)))
        grey = np.clip((field - random.uniform(0.2, 0.9)) * random.uniform(0.6, 1.6), 0, 1)
        picture = np.repeat(np.asarray(grey, np.float32)[:, :, np.newaxis], 3, axis=2)
        if random.random() < 0.3:  # the colours of flow in an ultrasound picture
            flow = np.clip((smooth(random, side, 14) - 0.65) * 9, 0, 1) * (smooth(random, side, 3) > 0.5)
            hot = smooth(random, side, 10)[:, :, np.newaxis] > 0.5
            picture = mixed(picture, flow.astype(np.float32), np.where(hot, (0.9, 0.5, 0.1), (0.1, 0.3, 0.9)))
        return picture
    paper = np.full((side, side, 3), (1.0, 0.95, 0.93), np.float32) * random.uniform(0.85, 1.0)
    step = int(random.integers(5, 16))
    paper[::step] = paper[:, ::step] = (0.95, 0.7, 0.7)
    points = np.stack([np.arange(side), side / 2 + np.cumsum(random.normal(0, 4, side))], axis=1).astype(np.int32)
    cv2.polylines(paper, [points], False, (0.1, 0.1, 0.2), 1, cv2.LINE_AA)
    return paper
