"""Paints skin and what lies on it that is no tattoo: lesions, wounds, bruises, hair, shadows, rulers, jewellery."""

import math
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from training.tattoos.designs import Map, Random, smooth

Light = npt.NDArray[Any]
"""height x width x 3, RGB from 0 to 1."""

TONES = (
    (245, 218, 200),
    (236, 196, 170),
    (224, 178, 148),
    (206, 156, 122),
    (190, 136, 102),
    (160, 108, 78),
    (128, 84, 60),
    (98, 64, 46),
    (72, 48, 36),
)


def skin(random: Random, side: int) -> Light:
    """Bare skin: one tone with patches of red and brown, pores, fine lines."""
    tone = np.array(TONES[random.integers(len(TONES))], np.float32) / 255 * random.uniform(0.85, 1.1)
    tone = tone + random.normal(0, 0.02, 3).astype(np.float32)
    picture: Light = np.broadcast_to(tone, (side, side, 3)).astype(np.float32)
    patches = (smooth(random, side, 4) - 0.5)[:, :, np.newaxis]
    picture = picture * (1 + patches * np.array([0.06, 0.2, 0.2], np.float32) * random.uniform(0.2, 1.5))
    brown = (smooth(random, side, 7) - 0.5)[:, :, np.newaxis]
    picture = picture * (1 + brown * random.uniform(0.02, 0.25))
    grain = cv2.GaussianBlur(random.standard_normal((side, side)).astype(np.float32), (0, 0), random.uniform(0.6, 2))
    picture = picture * (1 + grain[:, :, np.newaxis] * random.uniform(0.0, 0.05))
    if random.random() < 0.3:  # freckles
        spots = np.zeros((side, side), np.float32)
        for _ in range(int(random.integers(5, 80))):
            cv2.circle(
                spots, _point(random, side), int(random.integers(1, 4)), random.uniform(0.1, 0.5), -1, cv2.LINE_AA
            )
        picture = mixed(picture, spots, tone * np.array([0.6, 0.42, 0.35], np.float32))
    return np.clip(picture, 0, 1)


def mixed(picture: Light, share: Map, colour: npt.ArrayLike) -> Light:
    """`colour` over the picture by `share`, keeping a part of its light."""
    over = share[:, :, np.newaxis]
    return np.asarray(picture * (1 - over) + np.asarray(colour, np.float32) * over, np.float32)


def patch(random: Random, side: int, radius: float, rough: float, edge: float) -> Map:
    """An uneven round spot at a random place; `edge` is the width of its border as a part of the radius."""
    rows, columns = np.mgrid[0:side, 0:side].astype(np.float32)
    x, y = random.uniform(0.1, 0.9, 2) * side
    turn, stretch = random.uniform(0, math.pi), random.uniform(0.5, 1.0)
    across = ((columns - x) * math.cos(turn) + (rows - y) * math.sin(turn)) / stretch
    along = (rows - y) * math.cos(turn) - (columns - x) * math.sin(turn)
    distance = np.hypot(across, along) / radius + rough * (smooth(random, side, max(4, int(side / radius * 2))) - 0.5)
    return np.asarray(np.clip((1 - distance) / edge, 0, 1), np.float32)


def with_findings(random: Random, picture: Light) -> Light:
    """The skin with none to several of the things that a clinical photo shows and that are no tattoo."""
    painters = (_naevus, _lesion, _wound, _bruise, _rash, _scar, _pen, _callus, _nails, _features)
    shares = (0.12, 0.2, 0.18, 0.08, 0.08, 0.04, 0.04, 0.1, 0.08, 0.08)
    for _ in range(int(random.choice(4, p=(0.2, 0.45, 0.25, 0.1)))):
        picture = painters[int(random.choice(len(painters), p=shares))](random, picture)
    return picture


def with_hair(random: Random, picture: Light) -> Light:
    """A few to very many hairs of one colour, mostly in one direction."""
    side = picture.shape[0]
    share = np.zeros(picture.shape[:2], np.float32)
    direction, length = random.uniform(0, 2 * math.pi), random.uniform(0.04, 0.25) * side
    for _ in range(int(random.choice((4, 12, 40, 200)))):
        x, y = random.uniform(0, side, 2)
        turn = direction + random.normal(0, 0.4)
        bend = random.normal(0, 0.4)
        points = [(x, y)]
        for _ in range(5):
            turn += bend / 5
            points.append((points[-1][0] + length / 5 * math.cos(turn), points[-1][1] + length / 5 * math.sin(turn)))
        cv2.polylines(share, [np.array(points, np.int32)], False, random.uniform(0.3, 0.9), 1, cv2.LINE_AA)
    return mixed(picture, share, np.array([0.12, 0.08, 0.06]) * random.uniform(0.4, 2.5))


def with_things(random: Random, picture: Light) -> Light:
    """A ruler, a lens's dark rim, a strap, a ring, a dressing or a glove in the picture."""
    side = picture.shape[0]
    kind = int(random.integers(6))
    share = np.zeros(picture.shape[:2], np.float32)
    if kind == 0:  # ruler, printed on the glass or on paper
        x, y = _point(random, side)
        turn, count, step = random.uniform(0, math.pi), int(random.integers(8, 30)), random.uniform(0.015, 0.04) * side
        along = np.array([math.cos(turn), math.sin(turn)])
        across = np.array([-along[1], along[0]])
        for index in range(count):
            start = np.array([x, y]) + along * step * index
            end = start + across * step * (2.0 if index % 5 == 0 else 1.2)
            cv2.line(share, _pixel(start), _pixel(end), 0.8, 1, cv2.LINE_AA)
        cv2.line(share, (x, y), _pixel(np.array([x, y]) + along * step * count), 0.8, 1, cv2.LINE_AA)
        return mixed(picture, share, (0.12, 0.12, 0.12))
    if kind == 1:  # dermatoscope
        rows, columns = np.mgrid[0:side, 0:side].astype(np.float32) / side - 0.5
        share = np.clip((np.hypot(rows, columns) - random.uniform(0.42, 0.62)) / random.uniform(0.02, 0.2), 0, 1)
        return mixed(picture, share.astype(np.float32), (0.03, 0.03, 0.04))
    if kind in (2, 3):  # strap, watch, cord
        start, end = _point(random, side), _point(random, side)
        cv2.line(share, start, end, 1.0, int(random.integers(2, max(4, side // 10))), cv2.LINE_AA)
        return mixed(picture, share, random.uniform(0.0, 0.95, 3))
    corners = np.array([_point(random, side) for _ in range(4)], np.int32)
    cv2.fillConvexPoly(share, cv2.convexHull(corners), 1.0, cv2.LINE_AA)
    colour = random.uniform(0.8, 1.0) * np.ones(3) if kind == 4 else random.uniform(0.1, 0.9, 3)
    return mixed(picture, share, colour * (0.8 + 0.2 * float(random.random())))


def _point(random: Random, side: int) -> tuple[int, int]:
    return int(random.integers(side)), int(random.integers(side))


def _pixel(point: npt.NDArray[np.floating]) -> tuple[int, int]:
    return int(point[0]), int(point[1])


def _naevus(random: Random, picture: Light) -> Light:
    side = picture.shape[0]
    for _ in range(int(random.integers(1, 6))):
        share = patch(random, side, random.uniform(0.01, 0.06) * side, 0.4, 0.4) * random.uniform(0.5, 0.95)
        picture = picture * (1 - share[:, :, np.newaxis] * np.array([0.6, 0.75, 0.8]) * random.uniform(0.7, 1.2)).clip(
            0.05
        )
    return picture.astype(np.float32)


def _lesion(random: Random, picture: Light) -> Light:
    """A large pigmented lesion as through a dermatoscope: brown network, darker and bluish parts."""
    side = picture.shape[0]
    radius = random.uniform(0.08, 0.38) * side
    share = patch(random, side, radius, random.uniform(0.3, 1.2), random.uniform(0.08, 0.6))
    network = 0.5 + 0.5 * smooth(random, side, int(random.integers(10, 50)))
    share = share * network * random.uniform(0.5, 0.95)
    picture = picture * (1 - share[:, :, np.newaxis] * np.array([0.45, 0.7, 0.8], np.float32))
    if random.random() < 0.6:
        dark = patch(random, side, radius * 0.6, 1.0, 0.4) * (share > 0.15) * random.uniform(0.4, 0.9)
        dark_tones = ((0.12, 0.07, 0.06), (0.2, 0.2, 0.28), (0.3, 0.12, 0.1), (0.05, 0.04, 0.04))
        picture = mixed(picture, cv2.GaussianBlur(dark.astype(np.float32), (0, 0), 2), dark_tones[random.integers(4)])
    return np.asarray(picture, np.float32)


def _wound(random: Random, picture: Light) -> Light:
    """A red bed with yellow slough and black necrosis, a pale or dark rim, inflamed skin round it."""
    side = picture.shape[0]
    radius = random.uniform(0.04, 0.28) * side
    layers = (
        (2.2, 1.6, (0.62, 0.24, 0.22), random.uniform(0.1, 0.6)),
        (1.25, 0.25, (0.85, 0.78, 0.62) if random.random() < 0.5 else (0.3, 0.16, 0.12), random.uniform(0.2, 0.9)),
        (1.0, 0.15, (random.uniform(0.4, 0.75), random.uniform(0.05, 0.25), random.uniform(0.08, 0.25)), 0.95),
    )
    seed = int(random.integers(1 << 31))  # the layers share their place and shape
    for scale, edge, colour, strength in layers:
        share = patch(np.random.default_rng(seed), side, radius * scale, 0.7, edge) * strength
        picture = mixed(picture, share, colour)
    bed = patch(np.random.default_rng(seed), side, radius, 0.7, 0.15)
    for colour in ((0.75, 0.66, 0.35), (0.08, 0.06, 0.05), (0.9, 0.35, 0.3)):
        if random.random() < 0.55:
            part = (
                bed * np.clip((smooth(random, side, 8) - random.uniform(0.4, 0.7)) * 8, 0, 1) * random.uniform(0.5, 1)
            )
            picture = mixed(picture, part.astype(np.float32), colour)
    glint = bed * (smooth(random, side, 30) > 0.85) * random.uniform(0, 0.7)
    return mixed(picture, glint.astype(np.float32), (1, 0.95, 0.95))


def _bruise(random: Random, picture: Light) -> Light:
    side = picture.shape[0]
    for _ in range(int(random.integers(1, 4))):
        colours = ((0.35, 0.2, 0.4), (0.45, 0.4, 0.2), (0.25, 0.2, 0.35), (0.5, 0.2, 0.25), (0.3, 0.32, 0.36))
        share = patch(random, side, random.uniform(0.06, 0.35) * side, 0.8, random.uniform(0.5, 1.0))
        picture = mixed(picture, share * random.uniform(0.15, 0.7), colours[random.integers(5)])
    return picture


def _rash(random: Random, picture: Light) -> Light:
    side = picture.shape[0]
    level = random.uniform(0.45, 0.8)
    share = np.clip((smooth(random, side, int(random.integers(6, 40))) - level) * 6, 0, 1)
    share = share * smooth(random, side, 3) * random.uniform(0.3, 0.9)
    return np.asarray(picture * (1 - share[:, :, np.newaxis] * np.array([0.15, 0.6, 0.55])), np.float32)


def _scar(random: Random, picture: Light) -> Light:
    side = picture.shape[0]
    share = np.zeros(picture.shape[:2], np.float32)
    start, end = np.array(_point(random, side)), np.array(_point(random, side))
    cv2.line(share, _pixel(start), _pixel(end), 0.7, int(random.integers(1, 5)), cv2.LINE_AA)
    along = (end - start) / (np.linalg.norm(end - start) + 1)
    if random.random() < 0.5:  # stitches
        for part in np.linspace(0.05, 0.95, int(random.integers(4, 12))):
            middle = start + (end - start) * part
            off = np.array([-along[1], along[0]]) * random.uniform(3, 8)
            cv2.line(share, _pixel(middle - off), _pixel(middle + off), 0.9, 1, cv2.LINE_AA)
    colours = ((0.7, 0.35, 0.35), (0.9, 0.75, 0.7), (0.15, 0.15, 0.25))
    return mixed(picture, cv2.GaussianBlur(share, (0, 0), 0.8), colours[random.integers(3)])


def _pen(random: Random, picture: Light) -> Light:
    """A surgeon's mark: a thin ring, arrow or cross."""
    side = picture.shape[0]
    share = np.zeros(picture.shape[:2], np.float32)
    centre, size = _point(random, side), int(random.uniform(0.03, 0.15) * side)
    if random.random() < 0.5:
        cv2.ellipse(share, centre, (size, max(1, size // 2)), random.uniform(0, 180), 0, 320, 0.8, 1, cv2.LINE_AA)
    else:
        cv2.line(share, (centre[0] - size, centre[1]), (centre[0] + size, centre[1]), 0.8, 1, cv2.LINE_AA)
        cv2.line(share, (centre[0], centre[1] - size), (centre[0], centre[1] + size), 0.8, 1, cv2.LINE_AA)
    return mixed(picture, share, (0.2, 0.15, 0.5))


def _callus(random: Random, picture: Light) -> Light:
    """Dry, thick, peeling skin: yellow, brown and grey scales with cracks, often round a wound."""
    side = picture.shape[0]
    seed = int(random.integers(1 << 31))
    radius = random.uniform(0.1, 0.4) * side
    whole = patch(np.random.default_rng(seed), side, radius, random.uniform(0.4, 1.2), random.uniform(0.1, 0.8))
    colours = ((0.72, 0.6, 0.4), (0.45, 0.33, 0.24), (0.3, 0.24, 0.2), (0.55, 0.5, 0.45), (0.8, 0.74, 0.6))
    for _ in range(int(random.integers(2, 5))):
        scales = np.clip((smooth(random, side, int(random.integers(6, 45))) - random.uniform(0.35, 0.65)) * 6, 0, 1)
        share = (whole * scales * random.uniform(0.3, 0.9)).astype(np.float32)
        picture = mixed(picture, share, np.array(colours[random.integers(5)]) * random.uniform(0.6, 1.2))
    ridges = smooth(random, side, int(random.integers(8, 30)))
    cracks = (np.abs(ridges - 0.5) < 0.015) * whole * random.uniform(0, 0.7)
    picture = mixed(picture, cv2.GaussianBlur(cracks.astype(np.float32), (0, 0), 0.7), (0.2, 0.12, 0.1))
    return _wound(np.random.default_rng(seed), picture) if random.random() < 0.4 else picture


def _nails(random: Random, picture: Light) -> Light:
    """A row of toes or fingers: bulges parted by dark folds, each with a pale, yellow or dark nail."""
    side = picture.shape[0]
    count, size = int(random.integers(2, 6)), random.uniform(0.05, 0.13) * side
    start, turn = random.uniform(0.1, 0.7, 2) * side, random.uniform(0, 2 * math.pi)
    along = np.array([math.cos(turn), math.sin(turn)])
    off = np.array([-along[1], along[0]])
    tone = picture.mean(axis=(0, 1))
    for index in range(count):
        centre = start + along * size * 2.1 * index + off * random.uniform(-0.3, 0.3) * size
        folds, nail = np.zeros((side, side), np.float32), np.zeros((side, side), np.float32)
        edge = centre + along * size * 1.05
        cv2.line(folds, _pixel(edge - off * size * 1.5), _pixel(edge + off * size * 1.5), 0.8, 2, cv2.LINE_AA)
        picture = mixed(picture, cv2.GaussianBlur(folds, (0, 0), 2.0), tone * 0.35)
        axes = max(1, int(size * 0.6)), max(1, int(size * random.uniform(0.4, 0.7)))
        cv2.ellipse(nail, _pixel(centre), axes, math.degrees(turn), 0, 360, 1.0, -1, cv2.LINE_AA)
        colours = (tone * 1.15, np.array((0.85, 0.75, 0.6)), np.array((0.6, 0.5, 0.35)), np.array((0.25, 0.2, 0.18)))
        nail = cv2.GaussianBlur(nail, (0, 0), 0.8) * random.uniform(0.4, 0.9)
        picture = mixed(picture, nail, np.clip(colours[random.integers(4)], 0, 1))
    return picture


def _features(random: Random, picture: Light) -> Light:
    """Eyes, brows, nostrils, lips or an ear's folds, a navel, a nipple: dark and regular, and no ink."""
    side = picture.shape[0]
    x, y = random.uniform(0.3, 0.7, 2) * side
    unit, tone = random.uniform(0.05, 0.2) * side, picture.mean(axis=(0, 1))
    dark, red, white = (np.zeros((side, side), np.float32) for _ in range(3))
    if random.random() < 0.25:
        radius = max(2, int(unit * 0.35))
        cv2.circle(red, (int(x), int(y)), radius, random.uniform(0.3, 0.8), -1, cv2.LINE_AA)
        cv2.circle(dark, (int(x), int(y)), max(1, radius // 3), 0.5, -1, cv2.LINE_AA)
    else:
        for way in (-1, 1):
            eye = int(x + way * unit), int(y)
            axes = max(2, int(unit * 0.42)), max(1, int(unit * random.uniform(0.08, 0.25)))
            cv2.ellipse(white, eye, axes, 0, 0, 360, 0.8, -1, cv2.LINE_AA)
            cv2.ellipse(dark, eye, axes, 0, 170, 370, 0.9, max(1, int(unit / 14)), cv2.LINE_AA)
            cv2.circle(dark, eye, max(1, int(unit * 0.15)), 0.9, -1, cv2.LINE_AA)
            brow = int(x + way * unit), int(y - unit * 0.3)
            cv2.ellipse(
                dark, brow, (int(unit * 0.6), int(unit * 0.25)), 0, 200, 340, 0.8, max(1, int(unit / 7)), cv2.LINE_AA
            )
            nostril = int(x + way * unit * 0.28), int(y + unit * 1.2)
            cv2.circle(dark, nostril, max(1, int(unit * 0.08)), 0.7, -1, cv2.LINE_AA)
        mouth = (int(x), int(y + unit * 2.0)), (int(unit * 0.7), max(1, int(unit * 0.22)))
        cv2.ellipse(red, *mouth, 0, 0, 360, 0.7, -1, cv2.LINE_AA)
        cv2.line(dark, (int(x - unit * 0.7), mouth[0][1]), (int(x + unit * 0.7), mouth[0][1]), 0.6, 1, cv2.LINE_AA)
    picture = mixed(picture, white, (0.88, 0.85, 0.82))
    picture = mixed(picture, red, tone * np.array([0.95, 0.55, 0.55], np.float32))
    return mixed(picture, dark, (0.12, 0.08, 0.07))
