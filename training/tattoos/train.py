"""Trains in two steps, each on pictures made as it goes: the decoder on a frozen backbone, then everything.

Making a picture costs as much as learning from it, so each is used several times: from a pool that is renewed bit by
bit. One thread, fixed seed: the same pictures in the same order on every machine; weights agree up to the rounding of
the processor's own convolutions.
"""

import json
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from training.tattoos.network import TattooNet
from training.tattoos.scenes import TATTOO, UNSURE, scene
from training.tattoos.sources import Sources

SEED = 20_261_122
BATCH = 16


@dataclass(frozen=True)
class Plan:
    """How long: rounds of one new batch each, and steps of learning in each round."""

    frozen_rounds: int = 180
    frozen_steps: int = 3
    whole_rounds: int = 60
    whole_steps: int = 2
    pool: int = 40  # batches


QUICK = Plan(frozen_rounds=12, whole_rounds=3, pool=6)


def train(sources: Sources, out: Path, plan: Plan) -> Path:
    """Trains and writes `out`/tattoos.pt, and the loss after each round to `out`/loss.jsonl. Returns the weights."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    torch.manual_seed(SEED)
    random = np.random.default_rng(SEED)
    net = TattooNet().to(memory_format=torch.channels_last)
    net.backbone.load(sources.backbone)
    out.mkdir(parents=True, exist_ok=True)
    target = out / "tattoos.pt"
    with (out / "loss.jsonl").open("w") as log:
        _frozen(net, sources, random, plan, log, target)
        _whole(net, sources, random, plan, log, target)
    return target


def tensor(pixels: npt.NDArray[np.uint8]) -> Tensor:
    """n x h x w x 3 bytes as the network takes them."""
    return (torch.from_numpy(pixels).permute(0, 3, 1, 2).float() - 127) / 128


def loss_of(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross entropy over the cells that are sure, and one minus the overlap, so that small tattoos count as well."""
    sure = (labels != UNSURE).float()
    wanted = (labels == TATTOO).float()
    each = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none") * sure
    hard = each.sum() / sure.sum().clamp(min=1)
    share = torch.sigmoid(logits) * sure
    overlap = (2 * (share * wanted).sum((1, 2, 3)) + 8) / (share.sum((1, 2, 3)) + wanted.sum((1, 2, 3)) + 8)
    return hard + 0.3 * (1 - overlap).mean()


def _batch(random: np.random.Generator, sources: Sources) -> tuple[Tensor, Tensor]:
    scenes = [scene(random, sources) for _ in range(BATCH)]
    labels = torch.from_numpy(np.stack([each.labels for each in scenes]))[:, None]
    return tensor(np.stack([each.pixels for each in scenes])), labels


def _rate(step: int, steps: int, top: float) -> float:
    warm = min(1.0, (step + 1) / (0.05 * steps + 1))
    return top * warm * (0.5 + 0.5 * float(np.cos(np.pi * step / steps))) + top * 0.01


def _frozen(net: TattooNet, sources: Sources, random: np.random.Generator, plan: Plan, log, target: Path) -> None:  # type: ignore[no-untyped-def]
    optimiser = torch.optim.AdamW(net.decoder.parameters(), lr=3e-3, weight_decay=1e-3)
    net.backbone.eval()
    net.decoder.train()
    for module in net.decoder.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 0.05
    pool: list[tuple[list[Tensor], Tensor]] = []
    for number in range(plan.frozen_rounds):
        pictures, labels = _batch(random, sources)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            features = [each.half() for each in net.backbone(pictures.contiguous(memory_format=torch.channels_last))]
        pool = [*pool[-plan.pool + 1 :], (features, labels)]
        losses = []
        for _ in range(plan.frozen_steps):
            optimiser.param_groups[0]["lr"] = _rate(number, plan.frozen_rounds, 3e-3)
            picked = [(int(random.integers(len(pool))), int(random.integers(BATCH))) for _ in range(BATCH)]
            chosen = [torch.stack([pool[b][0][level][i] for b, i in picked]).float() for level in range(3)]
            loss = loss_of(net.decoder(chosen), torch.stack([pool[b][1][i] for b, i in picked]))
            losses.append(_step(optimiser, loss, net))
        _report(log, "frozen", number, losses, net, target)


def _whole(net: TattooNet, sources: Sources, random: np.random.Generator, plan: Plan, log, target: Path) -> None:  # type: ignore[no-untyped-def]
    groups = [
        {"params": list(net.backbone.parameters()), "top": 2e-4},
        {"params": list(net.decoder.parameters()), "top": 1e-3},
    ]
    optimiser = torch.optim.AdamW(groups, lr=1e-4, weight_decay=1e-3)
    net.backbone.eval()  # its batch norms keep the means of photographs: painted pictures would shift them
    pool: list[tuple[Tensor, Tensor]] = []
    for number in range(plan.whole_rounds):
        pool = [*pool[-plan.pool + 1 :], _batch(random, sources)]
        losses = []
        for _ in range(plan.whole_steps):
            for group in optimiser.param_groups:
                group["lr"] = _rate(number, plan.whole_rounds, group["top"])
            picked = [(int(random.integers(len(pool))), int(random.integers(BATCH))) for _ in range(BATCH)]
            pictures = torch.stack([pool[b][0][i] for b, i in picked]).contiguous(memory_format=torch.channels_last)
            loss = loss_of(net(pictures), torch.stack([pool[b][1][i] for b, i in picked]))
            losses.append(_step(optimiser, loss, net))
        _report(log, "whole", number, losses, net, target)


def _step(optimiser: torch.optim.Optimizer, loss: Tensor, net: TattooNet) -> float:
    optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
    optimiser.step()
    return float(loss.detach())


def _report(log, phase: str, number: int, losses: list[float], net: TattooNet, target: Path) -> None:  # type: ignore[no-untyped-def]
    mean = sum(losses) / len(losses)
    log.write(
        json.dumps({"phase": phase, "round": number, "loss": round(mean, 4), "cpu_s": time.process_time()}) + "\n"
    )
    log.flush()
    if number % 20 == 19:
        torch.save(net.state_dict(), target.with_suffix(f".{phase}.pt"))
        print(f"{phase} {number + 1}: loss {mean:.3f}", flush=True)
    torch.save(net.state_dict(), target)
