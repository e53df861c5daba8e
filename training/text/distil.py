"""Teaches a narrower network to see what the taught one sees, from the first maps to the last."""

import json
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.text.narrow import Graph, narrow
from training.text.network import TextNet, export
from training.text.train import SEED, Plan, batches, loss_of, rate_at

STEM = "p2o.pd_op.relu.4.0"
"""The first map that both networks have in the same width."""

TAPS = (
    STEM,
    *(f"Add.{at}" for at in (33, 65, 121, 153)),  # the four quarters
    *(f"Add.{at}" for at in (159, 179, 181)),  # the neck, without its finest map
    *(f"Add.{at}" for at in (191, 199, 207, 215)),  # what the head gets
    "Add.217",  # what it makes of it
)
"""The maps that are to be alike."""

ALIKE = 1.0
"""What their difference counts for, mean over the taps, in parts of the taught network's own spread."""

WANTED = 0.3
"""What the lessons' map counts for beside that of the taught network."""


@dataclass(frozen=True)
class Steps:
    """First the first maps alone, then everything."""

    stem: Plan
    whole: Plan


FULL = Steps(Plan(steps=250, batch=4, rate=2e-3), Plan(steps=1700, rate=5e-4, kept=0.995))
QUICK = Steps(Plan(steps=3, batch=2, rate=2e-3), Plan(steps=4, batch=2, rate=5e-4))


def distil(lessons: Path, taught: Path, out: Path, steps: Steps, *, threads: int = 2) -> Path:
    """Narrows the taught network and teaches what comes of it. Writes `out`/text.onnx and distil.jsonl; returns the
    path of the former. Raises ValueError where no lessons are, or where `taught` is another network."""
    torch.set_num_threads(threads)
    cv2.setNumThreads(1)
    torch.manual_seed(SEED)
    out.mkdir(parents=True, exist_ok=True)
    plain, narrower, target = (out / name for name in ("taught.onnx", "narrower.onnx", "text.onnx"))
    Graph(taught).write(plain)
    narrow(taught, narrower)
    teacher = TextNet(plain).to(memory_format=torch.channels_last)
    net, mean = TextNet(narrower).to(memory_format=torch.channels_last), TextNet(narrower)
    with (out / "distil.jsonl").open("w") as log:
        first = net.before(STEM)
        for stage, plan, learned in (("stem", steps.stem, first), ("whole", steps.whole, list(net.parameters()))):
            optimiser = torch.optim.AdamW(learned, lr=plan.rate, weight_decay=1e-4)
            for step, (pictures, wanted) in enumerate(batches(lessons, plan)):
                for group in optimiser.param_groups:
                    group["lr"] = rate_at(step, plan)
                pictures = pictures.contiguous(memory_format=torch.channels_last)
                loss = _stem_loss(teacher, net, pictures) if stage == "stem" else _loss(teacher, net, pictures, wanted)
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                torch.nn.utils.clip_grad_norm_(learned, 2.0)
                optimiser.step()
                _follow(mean, net, 0.0 if stage == "stem" else min(plan.kept, (step + 1) / (step + 10)))
                line = {"stage": stage, "step": step, "loss": round(float(loss.detach()), 4), "at": round(time.time())}
                log.write(json.dumps(line) + "\n")
                log.flush()
                if step % 100 == 99:
                    export(narrower, mean, target)
    export(narrower, mean, target)
    return target


def _stem_loss(teacher: TextNet, net: TextNet, pictures: Tensor) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        with torch.no_grad():
            wanted = teacher.values(pictures, STEM)[STEM]
        return _unlike(net.values(pictures, STEM)[STEM], wanted)


def _loss(teacher: TextNet, net: TextNet, pictures: Tensor, wanted: Tensor) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        with torch.no_grad():
            shown = teacher.values(pictures)
        seen = net.values(pictures)
    alike = torch.stack([_unlike(seen[each], shown[each]) for each in TAPS]).mean()
    logits = seen[net.output].float()
    same = loss_of(logits, torch.sigmoid(shown[teacher.output].float()))
    return same + WANTED * loss_of(logits, wanted) + ALIKE * alike


def _unlike(seen: Tensor, wanted: Tensor) -> Tensor:
    """The mean squared difference, in parts of the wanted map's variance."""
    return F.mse_loss(seen.float(), wanted.float()) / (wanted.float().var() + 1e-6)


def _follow(mean: nn.Module, net: nn.Module, kept: float) -> None:
    with torch.no_grad():
        for old, new in zip(mean.parameters(), net.parameters(), strict=True):
            old.lerp_(new, 1 - kept)
