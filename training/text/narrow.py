"""The taught network's graph, narrower where its time goes and the least is lost: at its finest maps.

Four changes, each with weights that begin near what they replace; `distil` teaches the rest:

- GELU becomes hard swish, scaled so that both bend at the same place: a convolution's time goes into erf otherwise.
- Of the first maps, at half the picture's size, 16 channels of 24 stay, and two convolutions add up what one made of
  both maps beside each other.
- The neck's finest map has 48 channels instead of 96.
- The head convolves each of the four maps at its own size and adds them up on the way, instead of enlarging all four
  and convolving them together.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import NodeProto, helper, numpy_helper

Array = npt.NDArray[np.float32]

BEND = 1.8
"""Hard swish of BEND * x, divided by BEND, is near GELU of x: 0.08 apart at most, and least where values mostly are."""

STEM = 16
FINEST = 48
OPSET = 14
"""The first with HardSwish."""

MAP = "fetch_name_0"


class Graph:
    """An ONNX file's nodes in their order and its weights by name, in single precision, without what only renames."""

    def __init__(self, path: Path) -> None:
        self.model = onnx.load(str(path))
        stored = {each.name: numpy_helper.to_array(each) for each in self.model.graph.initializer}
        names: dict[str, str] = {}
        self.nodes: list[NodeProto] = []
        self.weights: dict[str, npt.NDArray[np.generic]] = {}
        for node in self.model.graph.node:
            if node.op_type == "Cast" and node.input[0] in stored:
                stored[node.output[0]] = stored[node.input[0]].astype(np.float32)
            elif node.op_type == "Identity":
                names[node.output[0]] = names.get(node.input[0], node.input[0])
            elif node.op_type == "Constant":
                stored[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
            elif not node.output[0].startswith("codes"):
                node.input[:] = [names.get(each, each) for each in node.input]
                self.nodes.append(node)
        self.weights = {each: stored[each] for node in self.nodes for each in node.input if each in stored}

    def node(self, name: str) -> NodeProto:
        """The node of that name. Raises ValueError where there is none."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise ValueError(f"the graph has no {name}")

    def weight(self, convolution: str) -> Array:
        """Its kernel."""
        return np.asarray(self.weights[self.node(convolution).input[1]], np.float32)

    def keep(self, node: str, values: npt.NDArray[np.generic]) -> None:
        """Other numbers for the second input of the node."""
        self.weights[self.node(node).input[1]] = np.ascontiguousarray(values)

    def shift(self, convolution: str) -> NodeProto:
        """The node that adds a convolution's shift."""
        output = self.node(convolution).output[0]
        return next(node for node in self.nodes if node.op_type == "Add" and node.input[0] == output)

    def put(self, place: str, *nodes: NodeProto) -> None:
        """Nodes before the one of that name."""
        at = self.nodes.index(self.node(place))
        self.nodes[at:at] = nodes

    def drop(self, *names: str) -> None:
        """Leaves nodes out."""
        self.nodes = [node for node in self.nodes if node.name not in names]

    def conv(self, name: str, source: str, like: str, values: Array) -> NodeProto:
        """A convolution of the same kind with other numbers, which are to be learned; gives `name`."""
        node = NodeProto()
        node.CopyFrom(self.node(like))
        node.name = name
        node.input[:] = [source, f"{name}.w_0"]
        node.output[:] = [name]
        self.weights[f"{name}.w_0"] = np.ascontiguousarray(values)
        return node

    def write(self, target: Path) -> None:
        """The file, with the map of lettering as its only output."""
        graph = self.model.graph
        del graph.node[:], graph.value_info[:], graph.initializer[:]
        used = {each for node in self.nodes for each in node.input}
        graph.node.extend(self.nodes)
        graph.initializer.extend(
            numpy_helper.from_array(np.asarray(values), name) for name, values in self.weights.items() if name in used
        )
        kept = [each for each in graph.output if each.name == MAP]
        del graph.output[:]
        graph.output.extend(kept)
        self.model.opset_import[0].version = OPSET
        onnx.checker.check_model(self.model)
        target.write_bytes(self.model.SerializeToString(deterministic=True))


def narrow(taught: Path, target: Path) -> None:
    """Writes the narrower network. Raises ValueError where `taught` is another network."""
    graph = Graph(taught)
    _swish(graph)
    _stem(graph)
    _finest(graph)
    _head(graph)
    graph.write(target)


def _swish(graph: Graph) -> None:
    """One node for GELU's five; the convolution before is scaled up, the one after it down."""
    users: dict[str, list[NodeProto]] = {}
    for node in graph.nodes:
        for each in node.input:
            users.setdefault(each, []).append(node)
    for node in [each for each in graph.nodes if each.op_type == "Div"]:
        chain = [node]
        for _ in range(4):
            chain.append(users[chain[-1].output[0]][0])
        before = next(each for each in graph.nodes if node.input[0] in each.output)  # the convolution's shift
        kernel = next(each for each in graph.nodes if before.input[0] in each.output)
        after = users[chain[-1].output[0]][0]
        for name, factor in ((before.input[1], BEND), (kernel.input[1], BEND), (after.input[1], 1 / BEND)):
            graph.weights[name] = np.asarray(graph.weights[name], np.float32) * np.float32(factor)
        swish = helper.make_node("HardSwish", [node.input[0]], [chain[-1].output[0]], name=chain[-1].name)
        graph.put(after.name, swish)
        graph.nodes = [each for each in graph.nodes if all(each is not part for part in chain)]


def _stem(graph: Graph) -> None:
    """Of Conv.0 and Conv.2 the channels that weigh most; Conv.1's are rounded up, which costs nothing."""
    first, second, third = (graph.weight(f"Conv.{at}") for at in range(3))
    joined = graph.weight("Conv.3")  # of the pooled first map and of the third
    pooled, last = joined[:, : len(first)], joined[:, len(first) :]
    here = _heaviest(STEM, _norm(first, 0) * (_norm(second, 1) + _norm(pooled, 1)))
    there = _heaviest(STEM, _norm(third, 0) * _norm(last, 1))
    more = np.random.default_rng(0).normal(0, 0.05, (STEM - len(second), STEM, 2, 2)).astype(np.float32)
    graph.keep("Conv.0", first[here])
    graph.keep("Conv.1", np.concatenate([second[:, here], more]))
    graph.keep("Conv.2", np.pad(third[there], ((0, 0), (0, STEM - len(second)), (0, 0), (0, 0))))
    for conv, part in (("Conv.0", here), ("Conv.2", there)):
        shift = graph.shift(conv).input[1]
        graph.weights[shift] = graph.weights[shift][:, part]
    shift = graph.shift("Conv.1").input[1]
    graph.weights[shift] = np.pad(graph.weights[shift], ((0, 0), (0, STEM - len(second)), (0, 0), (0, 0)))
    maps = graph.node("Concat.0").input
    added = graph.shift("Conv.3")
    graph.put(
        added.name,
        graph.conv("stem.pooled", maps[0], "Conv.3", pooled[:, here]),
        graph.conv("stem.last", maps[1], "Conv.3", last[:, there]),
        helper.make_node("Add", ["stem.last", added.input[1]], ["stem.shifted"], name="stem.shifted"),
        helper.make_node("Add", ["stem.pooled", "stem.shifted"], [added.output[0]], name="stem.sum"),
    )
    graph.drop("Concat.0", "Conv.3", added.name)


def _finest(graph: Graph) -> None:
    """The neck's finest map: the channels that weigh most, the coarser map brought to as many before it is enlarged."""
    side, around, out = graph.weight("Conv.63"), graph.weight("Conv.78"), graph.weight("Conv.79")
    kept = _heaviest(FINEST, _norm(around, 0) * _norm(out, 1))
    graph.keep("Conv.63", side[kept])
    graph.keep("Conv.64", graph.weight("Conv.64")[:, kept])
    graph.keep("Conv.65", graph.weight("Conv.65")[kept])
    graph.keep("Conv.78", around[kept])
    graph.keep("Conv.79", out[:, kept])
    for conv in ("Conv.65", "Conv.78"):
        shift = graph.shift(conv).input[1]
        graph.weights[shift] = graph.weights[shift][:, kept]
    for each in graph.node("Conv.78").attribute:
        if each.name == "group":
            each.i = FINEST
    enlarge = graph.node("Resize.2")
    choice = np.eye(len(side), dtype=np.float32)[kept].reshape(FINEST, len(side), 1, 1)
    graph.put("Resize.2", graph.conv("neck.narrower", enlarge.input[0], "Conv.63", choice))
    enlarge.input[0] = "neck.narrower"


def _head(graph: Graph) -> None:
    """Conv.82 of four maps enlarged by 8, 4, 2 and 1 becomes four convolutions, each sum enlarged by 2 for the next."""
    kernel = graph.weight("Conv.82")
    enlarged = [graph.node(f"Resize.{at}") for at in (3, 4, 5)]
    maps = [*(each.input[0] for each in enlarged), graph.node("Concat.2").input[3]]
    width = kernel.shape[1] // len(maps)
    added = graph.shift("Conv.82")
    last = ""
    for at, (source, growth) in enumerate(zip(maps, (8, 4, 2, 1), strict=True)):
        part = _of_enlarged(kernel[:, at * width : (at + 1) * width], growth)
        own = f"head.{growth}"
        graph.put(added.name, graph.conv(own, source, "Conv.82", part))
        if growth == 1:
            graph.put(
                added.name,
                helper.make_node("Add", [own, added.input[1]], ["head.shifted"], name="head.shifted"),
                helper.make_node("Add", ["head.shifted", last], [added.output[0]], name="head.all"),
            )
            continue
        if last:
            graph.put(added.name, helper.make_node("Add", [own, last], [f"{own}.sum"], name=f"{own}.sum"))
            own = f"{own}.sum"
        grown = NodeProto()
        grown.CopyFrom(enlarged[-1])
        grown.name, grown.input[0], grown.output[0] = f"{own}.grown", own, f"{own}.grown"
        graph.put(added.name, grown)
        last = f"{own}.grown"
    graph.drop("Resize.3", "Resize.4", "Resize.5", "Concat.2", "Conv.82", added.name)


def _of_enlarged(kernel: Array, growth: int) -> Array:
    """What a 3 x 3 kernel on the enlarged map takes from where on the small one, mean over what one pixel becomes."""
    if growth == 1:
        return kernel
    share = np.zeros((3, 3), np.float32)  # of the small map's line, what each line of the kernel takes
    for place in range(growth):
        for step in (-1, 0, 1):
            share[(place + step) // growth + 1, step + 1] += 1 / growth
    return np.einsum("ay,bx,oiyx->oiab", share, share, kernel).astype(np.float32)


def _heaviest(count: int, weights: Array) -> list[int]:
    return sorted(np.argsort(weights)[::-1][:count].tolist())


def _norm(kernel: Array, side: int) -> Array:
    """Of each channel that goes out (0) or comes in (1)."""
    return np.asarray(np.sqrt((kernel**2).sum(tuple(at for at in range(4) if at != side))), np.float32)
