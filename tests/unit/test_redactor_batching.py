"""Batches: what runs together and when, by a clock that the test moves; the same answers as alone; lost processes."""

import asyncio
import io
import os
import signal
import socket
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from services.redactor.domain import Reason, Unreadable
from services.redactor.inference import Engine, EngineKind, Tensor, make_engine, wire
from services.redactor.inference.batching import Batcher
from services.redactor.inference.gathering import Gathering
from services.redactor.inference.server import InferenceProcess, Sharing
from services.redactor.inference.shared import InferenceFailed, InferenceLost, SharedEngine, cut_back, on_coarse_grid
from services.redactor.pixels import pool as pools
from services.redactor.pixels.pool import PixelPool
from services.redactor.weights import CENTERFACE, DEFAULT_DIRECTORY, TEXT_DETECTION, missing
from shared.errors import NotNow
from tests import pictures

SAMPLES = Path(__file__).parents[1] / "samples" / "pictures"
needs_weights = pytest.mark.skipif(
    bool(missing(DEFAULT_DIRECTORY)), reason="the model weights are not there: make weights"
)
LONG_S = 3600.0
"""A wait that no test lives to see the end of: what comes back before came back for another reason."""


# ---- who runs together


def test_a_request_waits_as_long_as_said_and_not_longer() -> None:
    gathering: Gathering[str] = Gathering(most=4, wait_s=2.0)
    gathering.add("a", "first", 1, now=10.0)
    gathering.add("a", "second", 1, now=11.5)
    assert gathering.next_due() == 12.0
    assert gathering.due(11.9, callers=9) == []
    assert gathering.due(12.0, callers=9) == ["first", "second"]
    assert gathering.next_due() is None


def test_a_full_batch_waits_for_nothing_and_holds_no_more_than_it_may() -> None:
    gathering: Gathering[str] = Gathering(most=4, wait_s=LONG_S)
    for index, pictures_ in enumerate([2, 1, 2]):
        gathering.add("a", f"request {index}", pictures_, now=0.0)
    assert gathering.due(0.0, callers=9) == ["request 0", "request 1"]
    assert gathering.due(0.0, callers=9) == []
    gathering.add("a", "larger than a batch", 9, now=0.0)
    assert gathering.due(0.0, callers=9) == ["request 2"]
    assert gathering.due(0.0, callers=9) == ["larger than a batch"]


def test_what_differs_in_network_or_shape_never_runs_together() -> None:
    gathering: Gathering[str] = Gathering(most=4, wait_s=1.0)
    gathering.add(("faces", (3, 64, 64)), "one", 1, now=0.0)
    gathering.add(("text", (3, 64, 64)), "two", 1, now=0.1)
    gathering.add(("faces", (3, 64, 96)), "three", 1, now=0.2)
    assert [gathering.due(9.0, callers=9) for _ in range(3)] == [["one"], ["two"], ["three"]]


def test_who_waits_longest_comes_first_even_before_a_full_batch() -> None:
    gathering: Gathering[str] = Gathering(most=2, wait_s=1.0)
    gathering.add("rare", "rare", 1, now=0.0)
    gathering.add("common", "one", 1, now=0.5)
    gathering.add("common", "two", 1, now=0.6)
    assert gathering.due(1.0, callers=9) == ["rare"]
    assert gathering.due(1.0, callers=9) == ["one", "two"]


def test_nobody_waits_for_callers_who_are_not_there() -> None:
    gathering: Gathering[str] = Gathering(most=8, wait_s=LONG_S)
    gathering.add("a", "mine", 1, now=0.0)
    assert gathering.due(0.0, callers=2) == []
    gathering.add("b", "the other's", 1, now=0.0)
    assert gathering.due(0.0, callers=2) == ["mine"]
    assert gathering.due(0.0, callers=1) == ["the other's"]


# ---- one engine, many callers


class Recording:
    """An engine whose network says for each picture its mean, and that notes each batch it was given."""

    name = "recording"

    def __init__(self) -> None:
        self.batches: list[Tensor] = []
        self.metadata: dict[str, str] = {}

    def path(self, name: str) -> Path:
        return Path(name)

    def network(self, name: str) -> "Recording":
        return self

    def rest(self) -> Counter[int]:
        return Counter()

    def run(self, batch: Tensor) -> Sequence[Tensor]:
        self.batches.append(batch)
        if len(batch) > 1 and np.isnan(batch).any():
            raise RuntimeError("one of them is bad")
        if np.isnan(batch).any():
            raise RuntimeError("this one is bad")
        return [batch.mean(axis=(1, 2, 3), keepdims=True)]


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def recording() -> Recording:
    return Recording()


def picture(value: float, side: int = 4) -> Tensor:
    return np.full((1, 3, side, side), value, np.float32)


def served(batcher: Batcher) -> threading.Thread:
    thread = threading.Thread(target=batcher.serve, daemon=True)
    thread.start()
    return thread


def asked(batcher: Batcher, batches: Sequence[Tensor], network: str = "any") -> list[object]:
    """Each batch by a caller of its own, all at once; an exception in place of an answer."""
    results: list[object] = [None] * len(batches)

    def ask(index: int) -> None:
        try:
            results[index] = batcher.run(network, batches[index])
        except Exception as error:
            results[index] = error
        finally:
            batcher.leave()

    for _ in batches:
        batcher.enter()
    threads = [threading.Thread(target=ask, args=(index,)) for index in range(len(batches))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_callers_who_ask_at_once_get_their_own_answer_out_of_one_batch(recording: Recording) -> None:
    batcher = Batcher(recording, most=8, wait_s=LONG_S)
    thread = served(batcher)
    answers = asked(batcher, [picture(value) for value in (1.0, 2.0, 3.0)])
    batcher.close()
    thread.join()
    assert [float(answer.outputs[0].item()) for answer in answers] == [1.0, 2.0, 3.0]  # type: ignore[attr-defined]
    assert [len(batch) for batch in recording.batches] == [3]
    assert [answer.batch_size for answer in answers] == [3, 3, 3]  # type: ignore[attr-defined]


def test_the_wait_for_a_caller_who_asks_nothing_ends_when_the_clock_says(recording: Recording) -> None:
    clock = Clock()
    batcher = Batcher(recording, most=8, wait_s=5.0, clock=clock)
    batcher.enter()  # somebody who is at work and might ask
    thread = served(batcher)
    results: list[object] = []
    caller = threading.Thread(target=lambda: results.extend(asked(batcher, [picture(1.0)])))
    caller.start()
    while not len(batcher._gathering):
        pass
    clock.now = 4.9
    batcher.look()
    assert not recording.batches
    clock.now = 5.0
    batcher.look()
    caller.join()
    assert len(recording.batches) == len(results) == 1
    batcher.close()
    thread.join()


def test_trouble_with_one_picture_is_not_the_others(recording: Recording) -> None:
    batcher = Batcher(recording, most=8, wait_s=LONG_S)
    thread = served(batcher)
    good, bad, other = asked(batcher, [picture(1.0), picture(float("nan")), picture(3.0)])
    batcher.close()
    thread.join()
    assert isinstance(bad, RuntimeError)
    assert str(bad) == "this one is bad"
    assert [good.outputs[0].item(), other.outputs[0].item()] == [1.0, 3.0]  # type: ignore[attr-defined]


def test_who_asks_after_the_end_is_told(recording: Recording) -> None:
    batcher = Batcher(recording, most=8, wait_s=0.0)
    batcher.close()
    with pytest.raises(ConnectionError):
        batcher.run("any", picture(1.0))


@needs_weights
def test_batches_of_the_processors_engine_say_what_single_pictures_do() -> None:
    engine = make_engine(EngineKind.AUTO, DEFAULT_DIRECTORY)
    generator = np.random.default_rng(2)
    batches = [generator.uniform(0, 255, (1, 3, 96, 128)).astype(np.float32) for _ in range(3)]
    batcher = Batcher(engine, most=8, wait_s=LONG_S)
    thread = served(batcher)
    answers = asked(batcher, batches, CENTERFACE)
    batcher.close()
    thread.join()
    network = engine.network(CENTERFACE)
    for batch, answer in zip(batches, answers, strict=True):
        assert answer.batch_size == 3  # type: ignore[attr-defined]
        for together, alone in zip(answer.outputs, network.run(batch), strict=True):  # type: ignore[attr-defined]
            assert together.shape == alone.shape
            assert np.abs(together - alone).max() < 0.05 * max(1.0, np.abs(alone).max())


# ---- tensors between processes


def test_memory_that_is_smaller_than_said_or_could_be_shrunk_is_refused() -> None:
    area = wire.new_area()
    try:
        wire.put(area, [picture(1.0)])
        with pytest.raises(wire.BadRequest):
            wire.take(area, [(1, 3, 400, 400)])
        with pytest.raises(wire.BadRequest):
            wire.take(area, [(1, 3, 4, -4)])
        with pytest.raises(wire.BadRequest):
            wire.take(area, [(1 << 20, 1 << 20, 4, 4)])
        wire.fix_size(area)
        with pytest.raises(OSError, match="not permitted"):
            os.ftruncate(area, 1)
    finally:
        os.close(area)
    plain = os.memfd_create("plain")
    try:
        with pytest.raises(wire.BadRequest):
            wire.fix_size(plain)
    finally:
        os.close(plain)


def test_tensors_come_back_as_they_were_put() -> None:
    area = wire.new_area()
    tensors = [np.random.default_rng(1).normal(size=shape).astype(np.float32) for shape in ((1, 3, 4, 5), (2, 7))]
    try:
        wire.put(area, tensors)
        back = wire.take(area, [each.shape for each in tensors])
    finally:
        os.close(area)
    assert all(np.array_equal(one, other) for one, other in zip(tensors, back, strict=True))


def test_a_coarser_grid_adds_dark_pixels_and_maps_are_cut_back() -> None:
    batch = np.random.default_rng(1).uniform(-1, 1, (1, 3, 320, 448)).astype(np.float32)
    grown = on_coarse_grid(batch, 192)
    assert grown.shape == (1, 3, 384, 576)
    assert np.array_equal(grown[:, :, :320, :448], batch)
    assert (grown[:, :, 320:] == batch.min()).all()
    assert cut_back(np.zeros((1, 1, 96, 144), np.float32), grown.shape, batch.shape).shape == (1, 1, 80, 112)
    steps = np.zeros((1, 40, 18710), np.float32)
    assert cut_back(steps, grown.shape, batch.shape) is steps
    line = np.zeros((1, 3, 48, 320), np.float32)
    assert on_coarse_grid(line, 192) is line
    assert on_coarse_grid(line, 32) is line


# ---- the process of its own


@pytest.fixture(scope="module")
def inference() -> Iterator[InferenceProcess]:
    process = InferenceProcess(DEFAULT_DIRECTORY, EngineKind.AUTO, Sharing(most=4, wait_s=0.0))
    process.ensure()
    yield process
    process.close()


@needs_weights
def test_a_worker_gets_from_the_process_what_it_would_have_calculated(inference: InferenceProcess) -> None:
    batch = np.random.default_rng(2).uniform(-1, 1, (1, 3, 160, 128)).astype(np.float32)
    shared = SharedEngine(DEFAULT_DIRECTORY, inference.address)
    own: Engine = make_engine(EngineKind.AUTO, DEFAULT_DIRECTORY)
    (there,) = shared.network(TEXT_DETECTION).run(batch)
    (here,) = own.network(TEXT_DETECTION).run(batch)
    assert np.array_equal(there, here)
    assert shared.rest() == Counter({1: 1})


@needs_weights
def test_what_the_engine_cannot_run_is_told_and_the_process_lives_on(inference: InferenceProcess) -> None:
    shared = SharedEngine(DEFAULT_DIRECTORY, inference.address)
    with pytest.raises(InferenceFailed):
        shared.network("no-such-model.onnx").run(picture(1.0))
    assert shared.network(TEXT_DETECTION).run(picture(0.0, side=64))[0].shape == (1, 1, 64, 64)
    shared.rest()


@needs_weights
def test_a_packet_that_no_worker_sends_ends_its_own_conversation_only(inference: InferenceProcess) -> None:
    for packet in (b"\xff{", b"[]", b'{"network": "../weights.json", "shape": [1, 3, 4, 4]}', b'{"network": "x"}'):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as intruder:
            intruder.connect(inference.address)
            area = wire.new_area()
            wire.put(area, [picture(1.0)])
            socket.send_fds(intruder, [packet], [area])
            os.close(area)
            assert intruder.recv(100) == b""
    shared = SharedEngine(DEFAULT_DIRECTORY, inference.address)
    assert shared.network(TEXT_DETECTION).run(picture(0.0, side=64))
    shared.rest()


@needs_weights
def test_a_process_that_ends_is_told_as_lost_and_another_takes_its_place() -> None:
    inference = InferenceProcess(DEFAULT_DIRECTORY, EngineKind.AUTO, Sharing(most=4, wait_s=0.0))
    try:
        first = inference.ensure()
        assert inference.ensure() == first
        shared = SharedEngine(DEFAULT_DIRECTORY, inference.address)
        network = shared.network(TEXT_DETECTION)
        network.run(picture(0.0, side=64))
        assert inference.pid is not None
        gone = psutil.Process(inference.pid)
        gone.kill()
        gone.wait()
        with pytest.raises(InferenceLost):
            network.run(picture(0.0, side=64))
        inference.replace(first)
        assert inference.generation == first + 1
        inference.replace(first)  # another worker met the same end and says so later
        assert inference.generation == first + 1
        assert network.run(picture(0.0, side=64))
        shared.rest()
    finally:
        inference.close()
    assert not Path(inference.address).exists()


# ---- the pool on top


@needs_weights
async def test_pictures_redacted_together_form_batches_and_come_out_as_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[float] = []
    monkeypatch.setattr(pools.BATCH_SIZE, "observe", seen.append)
    written = io.BytesIO()
    Image.open(SAMPLES / "photo.jpg").resize((480, 259)).save(written, "PNG")
    data = written.getvalue()
    alone = PixelPool(DEFAULT_DIRECTORY, workers=1)
    together = PixelPool(DEFAULT_DIRECTORY, workers=2, sharing=Sharing(most=4, wait_s=1.0))
    try:
        expected = (await alone.redact(data)).frames[0]
        alone.close()
        await together.warm_up()
        done = await asyncio.gather(*(together.redact(data) for _ in range(2)))
    finally:
        alone.close()
        together.close()
    for each in done:
        (frame,) = each.frames
        assert [region.kind for region in frame.regions] == [region.kind for region in expected.regions]
        for one, other in zip(frame.regions, expected.regions, strict=True):
            assert np.abs(np.subtract(one.box, other.box)).max() <= 2
    assert max(seen) >= 2


@needs_weights
async def test_a_picture_survives_the_end_of_the_inference_process() -> None:
    pool = PixelPool(DEFAULT_DIRECTORY, workers=1, sharing=Sharing())
    try:
        await pool.warm_up()
        assert pool._inference is not None
        pid = pool._inference.pid
        assert pid is not None
        work = asyncio.create_task(pool.redact(pictures.plain_jpeg(1200, 900)))
        await asyncio.to_thread(_until_busy, pid)
        os.kill(pid, signal.SIGKILL)
        assert (await work).frames[0].width == 1200
        assert pool._inference.generation == 2
    finally:
        pool.close()


@needs_weights
async def test_an_inference_process_that_always_fails_is_no_fault_of_the_picture(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pool = PixelPool(DEFAULT_DIRECTORY, workers=1, sharing=Sharing())
    try:
        await pool.warm_up()
        assert pool._inference is not None
        replaced: list[int] = []
        monkeypatch.setattr(pool._inference, "replace", replaced.append)
        pool._inference._end()
        monkeypatch.setattr(pool._inference, "ensure", lambda: 1)
        pool._inference._listening.close()
        os.unlink(pool._inference.address)
        with pytest.raises(NotNow):
            await pool.redact(pictures.plain_jpeg(64, 48))
        assert replaced == [1, 1]
        with pytest.raises(Unreadable) as refused:
            await pool.redact(pictures.text_named_jpg())
        assert refused.value.reason is Reason.NOT_A_PICTURE
    finally:
        pool.close()


def _until_busy(pid: int) -> None:
    process = psutil.Process(pid)
    start = process.cpu_times().user
    while process.cpu_times().user < start + 0.1:
        process.cpu_percent(0.01)
