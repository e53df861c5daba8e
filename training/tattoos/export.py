"""Writes the trained network as ONNX: batch norms folded into the convolutions, weights in half precision.

The graph is written node by node, so that the file has nothing in it but what is needed, and sides stay free (any
multiples of 32). Half the bytes: weights are stored in half precision and widened once, when the model is loaded.
"""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from training.tattoos.network import TAPS, Conv, TattooNet

OPSET = 17


class _Graph:
    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self._count = 0

    def add(self, kind: str, inputs: list[str], **attributes: Any) -> str:
        self._count += 1
        name = f"{kind.lower()}{self._count}"
        self.nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def weight(self, values: npt.NDArray[np.floating], *, half: bool = True) -> str:
        self._count += 1
        name = f"weight{self._count}"
        if not half:
            self.weights.append(numpy_helper.from_array(values.astype(np.float32), name))
            return name
        self.weights.append(numpy_helper.from_array(values.astype(np.float16), name))
        return self.add("Cast", [name], to=TensorProto.FLOAT)

    def conv(self, x: str, part: Conv) -> str:
        norm, conv = part.norm, part.conv
        if norm.running_var is None or norm.running_mean is None:
            raise ValueError("a batch norm without means cannot be folded")
        factor = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        kernel = (conv.weight * factor[:, None, None, None]).detach().numpy()
        offset = (norm.bias - norm.running_mean * factor).detach().numpy()
        pads = [part.before, part.before, part.after, part.after]
        x = self.add(
            "Conv",
            [x, self.weight(kernel), self.weight(offset, half=False)],
            kernel_shape=list(conv.kernel_size),
            strides=list(conv.stride),
            group=conv.groups,
            pads=pads,
        )
        if part.active:
            low, high = self.constant("zero", 0.0), self.constant("six", 6.0)
            x = self.add("Clip", [x, low, high])
        return x

    def constant(self, name: str, value: float) -> str:
        if all(each.name != name for each in self.weights):
            self.weights.append(numpy_helper.from_array(np.array(value, np.float32), name))
        return name


def export(weights: Path, target: Path) -> str:
    """Writes `target` and returns its sha256. Raises AssertionError where it does not compute what torch does."""
    net = TattooNet()
    net.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    net.eval()
    graph = _Graph()
    taken = _backbone(graph, net)
    x = _chain(graph, _chain(graph, taken[2], net.decoder.side[2]), net.decoder.mix[2])
    scales = numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "twice")
    graph.weights.append(scales)
    for level in (1, 0):
        x = graph.add("Resize", [x, "", "twice"], mode="linear", coordinate_transformation_mode="half_pixel")
        x = graph.add("Add", [x, _chain(graph, taken[level], net.decoder.side[level])])
        x = _chain(graph, x, net.decoder.mix[level])
    head = net.decoder.head
    if head.bias is None:
        raise ValueError("the head has a bias")
    kernel, bias = graph.weight(head.weight.detach().numpy()), graph.weight(head.bias.detach().numpy(), half=False)
    x = graph.add("Conv", [x, kernel, bias], kernel_shape=[1, 1])
    graph.nodes.append(helper.make_node("Sigmoid", [x], ["shares"]))
    wanted = helper.make_tensor_value_info("pictures", TensorProto.FLOAT, ["n", 3, "height", "width"])
    given = helper.make_tensor_value_info("shares", TensorProto.FLOAT, ["n", 1, "rows", "columns"])
    made = helper.make_graph(graph.nodes, "tattoos", [wanted], [given], graph.weights)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)
    model.producer_name = "consilium training.tattoos"
    onnx.checker.check_model(model)
    target.write_bytes(model.SerializeToString(deterministic=True))
    _compare(net, target)
    return hashlib.sha256(target.read_bytes()).hexdigest()


def _backbone(graph: _Graph, net: TattooNet) -> list[str]:
    x = graph.conv("pictures", net.backbone.stem)
    taken = []
    for index, block in enumerate(net.backbone.blocks):
        out = _chain(graph, x, block.parts)
        x = graph.add("Add", [x, out]) if block.adds else out
        if index in TAPS:
            taken.append(x)
    return taken


def _chain(graph: _Graph, x: str, module: nn.Module) -> str:
    for part in [module] if isinstance(module, Conv) else module.children():
        if not isinstance(part, Conv):
            raise TypeError(f"no way to write {type(part).__name__}")
        x = graph.conv(x, part)
    return x


def _compare(net: TattooNet, target: Path) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(target), providers=["CPUExecutionProvider"])
    for height, width in ((64, 96), (256, 160)):
        pictures = torch.from_numpy(np.random.default_rng(1).uniform(-1, 1, (2, 3, height, width)).astype(np.float32))
        with torch.no_grad():
            wanted = torch.sigmoid(net(pictures)).numpy()
        seen = session.run(None, {"pictures": pictures.numpy()})[0]
        assert np.abs(seen - wanted).max() < 0.02, "the exported model computes something else"
