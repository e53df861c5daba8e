"""The original's graph as a network that learns: every node is carried out as ONNX says, every weight is a parameter.

Only the operations that PP-OCRv6's detector has are known. GELU, which the file spells out in five nodes, is one step
here; the last sigmoid is left out, since the loss is better calculated before it.
"""

from pathlib import Path

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import helper, numpy_helper
from torch import Tensor, nn

HALF = ".half"
"""What the name of a weight ends with that is stored in half precision."""


class TextNet(nn.Module):
    """Reads the ONNX file. Raises ValueError for an operation that is not known. Sides must be multiples of 32."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        graph = onnx.load(str(path)).graph
        self.input, self.output = graph.input[0].name, graph.output[0].name
        self.weights = nn.ParameterDict()
        self._fixed: dict[str, Tensor] = {}
        for each in graph.initializer:
            values = torch.from_numpy(numpy_helper.to_array(each).copy())
            self._keep(each.name, values)
        self._steps: list[tuple[str, list[str], str, dict[str, object]]] = []
        nodes = [node for node in graph.node if node.op_type != "Constant"]
        for node in graph.node:
            if node.op_type == "Constant":
                self._keep(node.output[0], torch.from_numpy(numpy_helper.to_array(node.attribute[0].t).copy()))
        names: dict[str, str] = {}  # what an Identity only renames
        gelu = _gelus(nodes)
        for node in nodes:
            inputs = [names.get(each, each) for each in node.input]
            if node.op_type == "Identity":
                names[node.output[0]] = inputs[0]
            elif node.output[0] in gelu:
                if gelu[node.output[0]] is not None:
                    source = gelu[node.output[0]] or ""
                    self._steps.append(("Gelu", [names.get(source, source)], node.output[0], {}))
            else:
                if not hasattr(self, f"_{node.op_type.lower()}"):
                    raise ValueError(f"no way to carry out {node.op_type}")
                settings = {each.name: helper.get_attribute_value(each) for each in node.attribute}
                self._steps.append((node.op_type, inputs, node.output[0], settings))
        self.output = names.get(self.output, self.output)
        self._join_shifts()

    def _join_shifts(self) -> None:
        """A convolution and the adding of its shift, two nodes in the file, as one step."""
        joined: list[tuple[str, list[str], str, dict[str, object]]] = []
        for kind, inputs, output, settings in self._steps:
            last = joined[-1] if joined else ("", [], "", {})
            shift = inputs[-1].replace(".", "/")
            if kind == "Add" and last[0] == "Conv" and inputs[0] == last[2] and shift in self.weights:
                joined[-1] = ("Conv", [*last[1], inputs[-1]], output, last[3])
            else:
                joined.append((kind, inputs, output, settings))
        self._steps = joined

    def take(self, exported: Path) -> None:
        """The weights of a file that `export` has written."""
        with torch.no_grad():
            for each in onnx.load(str(exported)).graph.initializer:
                name = each.name.removesuffix(HALF).replace(".", "/")
                if name in self.weights:
                    self.weights[name].copy_(torch.from_numpy(numpy_helper.to_array(each).astype(np.float32)))

    def _keep(self, name: str, values: Tensor) -> None:
        # Single numbers belong to what an operation is; all others are learned.
        if values.dtype == torch.float32 and values.numel() > 1 and values.ndim >= 1 and "constant" not in name:
            self.weights[name.replace(".", "/")] = nn.Parameter(values)
        else:
            self._fixed[name] = values

    def forward(self, pictures: Tensor) -> Tensor:
        """n x 3 x height x width, RGB, byte / 127.5 - 1. Gives n x 1 x height x width, before the sigmoid."""
        return self.values(pictures)[self.output]

    def values(self, pictures: Tensor, until: str = "") -> dict[str, Tensor]:
        """Every map on the way, up to the one named `until`, by its name in the file; that of the output is before its
        sigmoid. Raises ValueError where there is no such map."""
        known: dict[str, Tensor] = {self.input: pictures}

        def value(name: str) -> Tensor:
            if name in known:
                return known[name]
            learned = name.replace(".", "/")
            return self.weights[learned] if learned in self.weights else self._fixed[name]

        for kind, inputs, output, settings in self._steps:
            if kind == "Sigmoid" and output == self.output:
                known[output] = value(inputs[0])
                return known
            known[output] = getattr(self, f"_{kind.lower()}")([value(each) for each in inputs if each], settings)
            if output == until:
                return known
        raise ValueError(f"the graph has no {until}" if until else "the graph does not end in a sigmoid")

    def before(self, name: str) -> list[nn.Parameter]:
        """The weights that the map of this name depends on."""
        wanted, found = {name}, []
        for _, inputs, output, _ in reversed(self._steps):
            if output in wanted:
                wanted.update(inputs)
                found += [each.replace(".", "/") for each in inputs]
        return [self.weights[each] for each in dict.fromkeys(found) if each in self.weights]

    def _conv(self, values: list[Tensor], settings: dict[str, object]) -> Tensor:
        x, kernel, *shift = values
        if settings.get("auto_pad") == b"SAME_UPPER":  # of 2 x 2 at steps of one: one line right and below
            x = F.pad(x, (0, kernel.shape[3] - 1, 0, kernel.shape[2] - 1))
            pads = [0, 0]
        else:
            pads = list(settings["pads"])[:2]  # type: ignore[call-overload]
        return F.conv2d(
            x,
            kernel,
            stride=settings["strides"],
            padding=pads,
            groups=settings["group"],
            bias=shift[0].flatten() if shift else None,
        )  # type: ignore[arg-type]

    def _convtranspose(self, values: list[Tensor], settings: dict[str, object]) -> Tensor:
        return F.conv_transpose2d(*values, stride=settings["strides"])  # type: ignore[arg-type, misc]

    def _maxpool(self, values: list[Tensor], settings: dict[str, object]) -> Tensor:
        # The line right and below is no part of any maximum: what stands there follows a ReLU.
        return F.max_pool2d(F.pad(values[0], (0, 1, 0, 1)), 2, 1)

    def _resize(self, values: list[Tensor], settings: dict[str, object]) -> Tensor:
        factor = [float(each) for each in values[-1][2:]]
        return F.interpolate(values[0], scale_factor=factor, mode="nearest")

    def _add(self, values: list[Tensor], settings: dict[str, object]) -> Tensor:
        return values[0] + values[1]

    def _mul(self, values: list[Tensor], settings: dict[str, object]) -> Tensor:
        return values[0] * values[1]

    def _relu(self, values: list[Tensor], settings: dict[str, object]) -> Tensor:
        return F.relu(values[0])

    def _gelu(self, values: list[Tensor], settings: dict[str, object]) -> Tensor:
        return F.gelu(values[0])

    def _hardswish(self, values: list[Tensor], settings: dict[str, object]) -> Tensor:
        return F.hardswish(values[0])

    def _hardsigmoid(self, values: list[Tensor], settings: dict[str, object]) -> Tensor:
        return (values[0] * float(settings["alpha"]) + float(settings["beta"])).clamp(0, 1)  # type: ignore[arg-type]

    def _reducemean(self, values: list[Tensor], settings: dict[str, object]) -> Tensor:
        return values[0].mean((2, 3), keepdim=True)

    def _globalaveragepool(self, values: list[Tensor], settings: dict[str, object]) -> Tensor:
        return values[0].mean((2, 3), keepdim=True)

    def _concat(self, values: list[Tensor], settings: dict[str, object]) -> Tensor:
        return torch.cat(values, 1)

    def _sigmoid(self, values: list[Tensor], settings: dict[str, object]) -> Tensor:
        return torch.sigmoid(values[0])


def export(original: Path, net: TextNet, target: Path) -> None:
    """The original's file with the network's weights, in half precision and widened once when the file is loaded."""
    model = onnx.load(str(original))
    learned = {name.replace("/", "."): weight.detach().numpy() for name, weight in net.weights.items()}
    casts = []
    for each in model.graph.initializer:
        if each.name in learned:
            values = learned[each.name].astype(np.float16)
            if values.size < 256:  # shifts: few bytes, and they carry more than their part of the error
                each.CopyFrom(numpy_helper.from_array(learned[each.name].astype(np.float32), each.name))
                continue
            wide, each.name = each.name, f"{each.name}{HALF}"
            each.CopyFrom(numpy_helper.from_array(values, each.name))
            casts.append(helper.make_node("Cast", [each.name], [wide], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    del model.graph.value_info[:]
    model.producer_name = "consilium training.text"
    onnx.checker.check_model(model)
    target.write_bytes(model.SerializeToString(deterministic=True))


def _gelus(nodes: list[onnx.NodeProto]) -> dict[str, str | None]:
    """Of the nodes that together are a GELU: the output of the last, and the others' outputs, with what goes in."""
    users: dict[str, list[onnx.NodeProto]] = {}
    for node in nodes:
        for each in node.input:
            users.setdefault(each, []).append(node)
    parts: dict[str, str | None] = {}
    for node in nodes:
        if node.op_type != "Div" or users[node.output[0]][0].op_type != "Erf":
            continue
        erf = users[node.output[0]][0]
        plus = users[erf.output[0]][0]
        times = users[plus.output[0]][0]
        half = users[times.output[0]][0]
        parts |= {each.output[0]: None for each in (node, erf, plus, times)}
        parts[half.output[0]] = node.input[0]
    return parts
