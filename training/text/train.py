"""Teaches the original's network to see in one pass, in a smaller picture, what it saw in two in the whole one."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from services.redactor.detectors.text import MARGIN_PX, SHRUNK
from services.redactor.pixels.paint import FILL
from training.text.network import TextNet, export

SEED = 20_261_122
SIDE_PX = 640
OTHER_FACTORS = (0.45, 1.0)
"""The picture that the network sees, by that in which the original looked: mostly `SHRUNK`, and for a third between
these, so that it stays at home at other sizes."""

HARD = 3
"""For each pixel of lettering, this many others count: those in which the network errs most."""

Lesson = dict[str, npt.NDArray[np.uint8]]


@dataclass(frozen=True)
class Plan:
    """How long, and how much at once."""

    steps: int = 1400
    batch: int = 6
    rate: float = 3e-4
    kept: float = 0.99  # of the running mean of the weights, a step


QUICK = Plan(steps=6, batch=2)


def train(lessons: Path, original: Path, out: Path, plan: Plan, *, start: Path | None = None, threads: int = 2) -> Path:
    """Writes `out`/text.onnx and loss.jsonl; returns its path. `start`: a former result to go on from.

    Raises ValueError where no lessons are.
    """
    torch.set_num_threads(threads)
    cv2.setNumThreads(1)
    torch.manual_seed(SEED)
    net, mean = TextNet(original), TextNet(original)
    if start is not None:
        net.take(start)
        mean.take(start)
    net = net.to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(net.parameters(), lr=plan.rate, weight_decay=1e-4)
    out.mkdir(parents=True, exist_ok=True)
    target = out / "text.onnx"
    with (out / "loss.jsonl").open("w") as log:
        for step, (pictures, wanted) in enumerate(batches(lessons, plan)):
            for group in optimiser.param_groups:
                group["lr"] = rate_at(step, plan)
            loss = loss_of(net(pictures.contiguous(memory_format=torch.channels_last)), wanted)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(net.parameters(), 2.0)
            optimiser.step()
            kept = min(plan.kept, (step + 1) / (step + 10))
            with torch.no_grad():
                for old, new in zip(mean.parameters(), net.parameters(), strict=True):
                    old.lerp_(new, 1 - kept)
            log.write(
                json.dumps({"step": step, "loss": round(float(loss.detach()), 4), "at": round(time.time())}) + "\n"
            )
            log.flush()
            if step % 100 == 99:
                export(original, mean, target)
    export(original, mean, target)
    return target


def loss_of(logits: Tensor, wanted: Tensor) -> Tensor:
    """Cross entropy over lettering and over as many times `HARD` of what is none, and one minus the overlap."""
    each = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    lettering = wanted > 0.3
    count = int(lettering.sum())
    others = each[~lettering]
    hardest = torch.topk(others, min(len(others), max(2000, HARD * count))).values
    share = torch.sigmoid(logits)
    overlap = (2 * (share * wanted).sum((1, 2, 3)) + 20) / ((share**2).sum((1, 2, 3)) + (wanted**2).sum((1, 2, 3)) + 20)
    return each[lettering].sum() / max(1, count) + hardest.sum() / max(2000, HARD * count) + (1 - overlap).mean()


def rate_at(step: int, plan: Plan) -> float:
    """The rate of a step: rising for forty, then falling along half a cosine."""
    warm = min(1.0, (step + 1) / 40)
    return plan.rate * warm * (0.02 + 0.98 * (0.5 + 0.5 * float(np.cos(np.pi * step / plan.steps))))


def batches(lessons: Path, plan: Plan) -> Iterator[tuple[Tensor, Tensor]]:
    """The steps' batches, the next one made while one is learned from."""
    with ThreadPoolExecutor(1) as maker:
        ahead = maker.submit(_batch, lessons, plan, 0)
        for step in range(plan.steps):
            made = ahead.result()
            if step + 1 < plan.steps:
                ahead = maker.submit(_batch, lessons, plan, step + 1)
            yield made


def _batch(lessons: Path, plan: Plan, step: int) -> tuple[Tensor, Tensor]:
    rng = np.random.default_rng((SEED, step))
    places = sorted(lessons.glob("?????.npz"))
    if not places:
        raise ValueError(f"no lessons in {lessons}")
    pairs = [seen_and_wanted(_read(places[int(rng.integers(len(places)))]), rng) for _ in range(plan.batch)]
    pictures = torch.from_numpy(np.stack([seen for seen, _ in pairs])).permute(0, 3, 1, 2).float() / 127.5 - 1
    wanted = torch.from_numpy(np.stack([map_ for _, map_ in pairs]))[:, None].float() / 255
    return pictures, wanted


@lru_cache(maxsize=4000)
def _read(place: Path) -> Lesson:
    with np.load(place) as packed:
        return {name: np.asarray(cv2.imdecode(packed[name], cv2.IMREAD_UNCHANGED), np.uint8) for name in packed.files}


def seen_and_wanted(lesson: Lesson, rng: np.random.Generator) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """A part of a lesson as the network sees it (`SIDE_PX` square x 3), and the map it should give."""
    factor = SHRUNK if rng.random() < 0.65 else float(rng.uniform(*OTHER_FACTORS))
    pixels = lesson["shown" if rng.random() < 0.75 else "plain"]
    side = round(SIDE_PX / factor)
    wanted = lesson["wanted"]
    if rng.random() < 0.5:  # as the finder carries on a picture beyond its edges
        edge = (round(MARGIN_PX / factor),) * 4
        pixels, wanted = (
            np.asarray(cv2.copyMakeBorder(each, *edge, cv2.BORDER_REFLECT_101), np.uint8) for each in (pixels, wanted)
        )
    top, left = _corner(wanted, side, rng)
    pixels, wanted = (each[top : top + side, left : left + side] for each in (pixels, wanted))
    if rng.random() < 0.2:
        pixels, wanted = _painted(pixels, wanted, rng)
    small = round(pixels.shape[1] * factor), round(pixels.shape[0] * factor)
    pixels, wanted = (cv2.resize(each, small, interpolation=cv2.INTER_AREA) for each in (pixels, wanted))  # type: ignore[assignment]
    pixels = _otherwise(np.asarray(pixels, np.uint8), rng)
    turn = int(rng.integers(4))
    pixels, wanted = np.rot90(pixels, turn), np.rot90(wanted, turn)
    below, right = (max(0, SIDE_PX - length) for length in pixels.shape[:2])
    around = ((0, below), (0, right))
    seen = np.pad(pixels, (*around, (0, 0)), mode="edge" if rng.random() < 0.5 else "constant")
    return seen[:SIDE_PX, :SIDE_PX], np.pad(wanted, around)[:SIDE_PX, :SIDE_PX]


def _corner(wanted: npt.NDArray[np.uint8], side: int, rng: np.random.Generator) -> tuple[int, int]:
    """Of a part of this side, nearly always with lettering in it where there is any."""
    spans = [max(1, length - side + 1) for length in wanted.shape]
    lettered = cv2.findNonZero((wanted[::8, ::8] > 76).astype(np.uint8))
    if lettered is None or rng.random() < 0.1:
        return int(rng.integers(spans[0])), int(rng.integers(spans[1]))
    x, y = 8 * lettered.reshape(-1, 2)[int(rng.integers(len(lettered)))]
    top, left = (int(at - side * rng.uniform(0.05, 0.95)) for at in (y, x))
    return int(np.clip(top, 0, spans[0] - 1)), int(np.clip(left, 0, spans[1] - 1))


def _painted(
    pixels: npt.NDArray[np.uint8], wanted: npt.NDArray[np.uint8], rng: np.random.Generator
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Half of the lines under opaque boxes, as the second look meets them."""
    pixels, wanted = pixels.copy(), wanted.copy()
    _, _, stats, _ = cv2.connectedComponentsWithStats((wanted > 76).astype(np.uint8))
    for left, top, width, height, _ in stats[1:]:
        if rng.random() < 0.5:
            grow = round(min(width, height) * 1.2) + 4
            part = slice(max(0, top - grow), top + height + grow), slice(max(0, left - grow), left + width + grow)
            pixels[part], wanted[part] = FILL[0], 0
    return pixels, wanted


def _otherwise(pixels: npt.NDArray[np.uint8], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """The picture in another light, noisier, inverted, squeezed by JPEG; three channels."""
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., np.newaxis], 3, axis=2)
    levels: npt.NDArray[np.floating] = pixels.astype(np.float32)
    if rng.random() < 0.1:
        levels = 255 - levels
    if rng.random() < 0.4:
        levels = 255 * (levels / 255) ** float(rng.uniform(0.7, 1.4))
    if rng.random() < 0.3:
        levels = levels * float(rng.uniform(0.6, 1.0)) + float(rng.uniform(0, 40))
    if rng.random() < 0.2:
        levels = levels + rng.normal(0, rng.uniform(1, 6), levels.shape[:2]).astype(np.float32)[..., np.newaxis]
    pixels = np.clip(levels, 0, 255).astype(np.uint8)
    if rng.random() < 0.25:
        squeezed = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(60, 95))])[1]
        pixels = np.asarray(cv2.imdecode(squeezed, cv2.IMREAD_COLOR), np.uint8)
    return pixels
