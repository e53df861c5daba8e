"""Graphs that OpenVINO runs faster calculate what they did before: small ones made here, and the networks in use."""

from typing import Any

import numpy as np
import openvino
import pytest
from openvino import opset13

from services.redactor.inference import model_path
from services.redactor.inference.rewrites import rewritten
from services.redactor.weights import CENTERFACE, DEFAULT_DIRECTORY, TEXT_BOTH_WAYS, TEXT_RECOGNITION, missing

CHANNELS = 5

needs_weights = pytest.mark.skipif(
    bool(missing(DEFAULT_DIRECTORY)), reason="the model weights are not there: make weights"
)


def drawn(*shape: int) -> Any:
    return np.random.default_rng(sum(shape)).normal(0, 0.5, shape).astype(np.float32)


def doubled(x: Any, depth: int, *, stride: int = 2) -> Any:
    channels = x.get_output_partial_shape(0)[1].get_length()
    weights = opset13.constant(drawn(channels, depth, 2, 2))
    larger = opset13.convolution_backprop_data(
        x, weights, [stride] * 2, pads_begin=[0, 0], pads_end=[0, 0], dilations=[1, 1], output_padding=[0, 0]
    )
    return opset13.add(larger, opset13.constant(drawn(1, depth, 1, 1)))


def tail(*, depth: int = 1, stride: int = 2) -> Any:
    """What a text finder ends with; `depth` and `stride` of its last step may be others."""
    picture = opset13.parameter([2, CHANNELS, 6, 9], np.float32, name="picture")
    likely = opset13.sigmoid(doubled(opset13.relu(doubled(picture, 3)), depth, stride=stride))
    return openvino.Model([opset13.result(likely)], [picture], "tail")


def gated(*, of_itself: bool = True, one_a_channel: bool = True) -> Any:
    picture = opset13.parameter([-1, CHANNELS, -1, -1], np.float32, name="picture")
    gate = opset13.reduce_mean(picture, opset13.constant([2, 3] if one_a_channel else [1]), True)
    product = opset13.multiply(opset13.relu(picture) if not of_itself else picture, opset13.sigmoid(gate))
    return openvino.Model([opset13.result(opset13.add(picture, product))], [picture], "gated")


def kinds(model: Any) -> list[str]:
    return [node.get_type_name() for node in model.get_ordered_ops()]


def answers(model: Any, batch: Any) -> list[Any]:
    compiled = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return [np.array(each) for each in compiled.create_infer_request().infer([batch]).values()]


def test_a_tail_of_transposed_convolutions_gives_the_same_map_without_them() -> None:
    batch = drawn(2, CHANNELS, 6, 9)
    (before,) = answers(tail(), batch)

    model = rewritten(tail())

    assert "ConvolutionBackpropData" not in kinds(model)
    (after,) = answers(model, batch)
    assert after.shape == before.shape == (2, 1, 24, 36)
    assert np.allclose(after, before, atol=1e-6)


@pytest.mark.parametrize("other", [{"depth": 2}, {"stride": 1}])
def test_a_tail_of_another_shape_stays(other: dict[str, int]) -> None:
    batch = drawn(2, CHANNELS, 6, 9)
    (before,) = answers(tail(**other), batch)

    model = rewritten(tail(**other))

    assert kinds(model).count("ConvolutionBackpropData") == 2
    assert np.array_equal(answers(model, batch)[0], before)


def test_a_gate_and_its_sum_become_one_product() -> None:
    batch = drawn(2, CHANNELS, 8, 8)
    (before,) = answers(gated(), batch)

    model = rewritten(gated())

    added = [node for node in model.get_ordered_ops() if node.get_type_name() == "Add"]
    assert [list(node.get_output_partial_shape(0).get_max_shape())[2:] for node in added] == [[1, 1]]
    assert np.allclose(answers(model, batch)[0], before, atol=1e-6)


@pytest.mark.parametrize("other", [{"of_itself": False}, {"one_a_channel": False}])
def test_what_is_no_gate_of_the_same_map_stays(other: dict[str, bool]) -> None:
    batch = drawn(1, CHANNELS, 8, 8)
    (before,) = answers(gated(**other), batch)

    model = rewritten(gated(**other))

    assert kinds(model) == kinds(gated(**other))
    assert np.array_equal(answers(model, batch)[0], before)


@needs_weights
@pytest.mark.parametrize(
    ("name", "shape"),
    [(TEXT_BOTH_WAYS, (1, 3, 96, 160)), (TEXT_RECOGNITION, (2, 3, 48, 96)), (CENTERFACE, (1, 3, 96, 160))],
)
def test_the_networks_in_use_give_the_same_maps(name: str, shape: tuple[int, ...]) -> None:
    core = openvino.Core()
    batch = drawn(*shape)
    before = answers(core.read_model(str(model_path(DEFAULT_DIRECTORY, name))), batch)

    after = answers(rewritten(core.read_model(str(model_path(DEFAULT_DIRECTORY, name)))), batch)

    assert len(after) == len(before)
    for one, other in zip(before, after, strict=True):
        assert np.allclose(other, one, atol=2e-4)


@needs_weights
def test_the_text_finder_has_lost_its_slow_tail() -> None:
    model = rewritten(openvino.Core().read_model(str(model_path(DEFAULT_DIRECTORY, TEXT_BOTH_WAYS))))

    assert "ConvolutionBackpropData" not in kinds(model)
