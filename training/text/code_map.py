"""A second, coarse map out of the text network's middle: where something may be printed like a code.

Two small layers on what the network knows half way anyhow. The network itself is not changed by it: its map of
lettering stays the same to the last bit. The map of codes says where a finder of codes has to look, and no more.
"""

import json
import time
from pathlib import Path

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from training.text.code_lessons import FINE, WIDE

FINE_CHANNELS, WIDE_CHANNELS = 96, 192
HIDDEN = 32
OUTPUT = "codes"

SEED = 20_261_122
EPOCHS = 20
QUICK_EPOCHS = 1
BATCH = 16
RATE = 2e-3
HARD = 6
"""For each field of a code, this many others count: those in which the map errs most."""

SURELY, SURELY_NOT = 0.6, 0.02
"""The parts of a field that a code covers; between them lie its edges, which do not count."""


class CodeMap(nn.Module):
    """`fine` (n x 96 x 2 h x 2 w) and `wide` (n x 192 x h x w) give n x 1 x h x w, before the sigmoid."""

    def __init__(self) -> None:
        super().__init__()
        self.from_fine = nn.Conv2d(FINE_CHANNELS, HIDDEN, 3, stride=2, padding=1, bias=False)
        self.from_wide = nn.Conv2d(WIDE_CHANNELS, HIDDEN, 1)
        self.joined = nn.Conv2d(HIDDEN, 1, 3, padding=1)

    def forward(self, fine: Tensor, wide: Tensor) -> Tensor:
        """See above."""
        return self.joined(F.relu(self.from_fine(fine) + self.from_wide(wide)))  # type: ignore[no-any-return]


def train(lessons: Path, out: Path, epochs: int = EPOCHS) -> CodeMap:
    """Learns from every lesson in `lessons`; writes `out`/code_loss.jsonl. Raises ValueError where there are none."""
    torch.manual_seed(SEED)
    places = sorted(lessons.glob("?????.npz"))
    if not places:
        raise ValueError(f"no lessons in {lessons}")
    kept = [_read(place) for place in places]
    net = CodeMap()
    optimiser = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=1e-2)
    steps = epochs * (len(kept) // BATCH + 1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps)
    rng = np.random.default_rng(SEED)
    with (out / "code_loss.jsonl").open("w") as log:
        for epoch in range(epochs):
            losses = []
            order = rng.permutation(len(kept))
            for first in range(0, len(order), BATCH):
                optimiser.zero_grad()
                loss = torch.stack([_loss(net, *kept[int(at)]) for at in order[first : first + BATCH]]).mean()
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
                schedule.step()
                losses.append(float(loss.detach()))
            line = {"epoch": epoch, "loss": round(float(np.mean(losses)), 4), "at": round(time.time())}
            log.write(json.dumps(line) + "\n")
            log.flush()
    return net


def _read(place: Path) -> tuple[Tensor, Tensor, Tensor]:
    with np.load(place) as packed:
        fine, wide, wanted = (torch.from_numpy(packed[name]) for name in ("fine", "wide", "wanted"))
    return fine, wide, wanted


def _loss(net: CodeMap, fine: Tensor, wide: Tensor, wanted: Tensor) -> Tensor:
    logits = net(fine.float()[None], wide.float()[None])[0, 0]
    each = F.binary_cross_entropy_with_logits(logits, (wanted > SURELY).float(), reduction="none")
    codes, others = each[wanted > SURELY], each[wanted <= SURELY_NOT]
    hardest = torch.topk(others, min(len(others), max(60, HARD * len(codes)))).values
    return (codes.sum() / max(20, len(codes))) + hardest.mean()


def attach(network: Path, net: CodeMap, target: Path) -> None:
    """The ONNX file with the map of codes as its second output, in place of one that it has already."""
    model = onnx.load(str(network))
    graph = model.graph
    for kept in (graph.node, graph.initializer, graph.output):
        others = [each for each in kept if not _of_codes(each)]
        del kept[:]
        kept.extend(others)
    weights = {name.replace(".", "/"): value.detach().numpy() for name, value in net.state_dict().items()}

    def name(of: str) -> str:
        return f"{OUTPUT}/{of}"

    def conv(source: str, layer: str, to: str, pads: int, stride: int = 1) -> onnx.NodeProto:
        inputs = [source, *(name(each) for each in (f"{layer}/weight", f"{layer}/bias") if each in weights)]
        side = weights[f"{layer}/weight"].shape[2]
        return helper.make_node(
            "Conv", inputs, [name(to)], kernel_shape=[side] * 2, pads=[pads] * 4, strides=[stride] * 2
        )

    graph.initializer.extend(numpy_helper.from_array(value, name(of)) for of, value in weights.items())
    graph.node.extend(
        [
            conv(FINE, "from_fine", "fine", 1, 2),
            conv(WIDE, "from_wide", "wide", 0),
            helper.make_node("Add", [name("fine"), name("wide")], [name("sum")]),
            helper.make_node("Relu", [name("sum")], [name("hidden")]),
            conv(name("hidden"), "joined", "logits", 1),
            helper.make_node("Sigmoid", [name("logits")], [OUTPUT]),
        ]
    )
    graph.output.append(helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["n", 1, None, None]))
    onnx.checker.check_model(model)
    target.write_bytes(model.SerializeToString(deterministic=True))


def _of_codes(part: onnx.NodeProto | onnx.TensorProto | onnx.ValueInfoProto) -> bool:
    names = part.output if isinstance(part, onnx.NodeProto) else [part.name]
    return any(each == OUTPUT or each.startswith(f"{OUTPUT}/") for each in names)
