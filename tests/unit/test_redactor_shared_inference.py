"""One process that runs the networks for all workers: tensors on their way to it and back, and its loss."""

import asyncio
import io
import os
import signal
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from services.redactor.domain import Reason, Unreadable
from services.redactor.inference import Engine, EngineKind, Tensor, make_engine, wire
from services.redactor.inference.server import InferenceProcess, Sharing
from services.redactor.inference.shared import InferenceFailed, InferenceLost, SharedEngine, cut_back, on_coarse_grid
from services.redactor.pixels import pool as pools
from services.redactor.pixels.pool import PixelPool
from services.redactor.weights import DEFAULT_DIRECTORY, TEXT_BOTH_WAYS, missing
from shared.errors import NotNow
from tests import pictures
from tests.waiting import until

SAMPLES = Path(__file__).parents[1] / "samples" / "pictures"
needs_weights = pytest.mark.skipif(
    bool(missing(DEFAULT_DIRECTORY)), reason="the model weights are not there: make weights"
)


def picture(value: float, side: int = 4) -> Tensor:
    return np.full((1, 3, side, side), value, np.float32)


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
    there = shared.network(TEXT_BOTH_WAYS).run(batch)
    here = own.network(TEXT_BOTH_WAYS).run(batch)
    assert len(there) == len(here) == 2
    assert all(np.array_equal(one, other) for one, other in zip(there, here, strict=True))
    assert shared.rest() == Counter({1: 1})


@needs_weights
async def test_the_memory_of_a_great_picture_goes_back_once_nobody_is_at_work() -> None:
    inference = InferenceProcess(DEFAULT_DIRECTORY, EngineKind.AUTO, Sharing(most=4, wait_s=0.0))
    try:
        inference.ensure()
        process = psutil.Process(inference.pid)
        shared = SharedEngine(DEFAULT_DIRECTORY, inference.address)
        shared.network(TEXT_BOTH_WAYS).run(picture(0.0, side=1600))
        used = process.memory_info().rss
        shared.rest()
        await until(lambda: used - process.memory_info().rss > 150 * 2**20)
        assert shared.network(TEXT_BOTH_WAYS).run(picture(0.0, side=64))
        shared.rest()
    finally:
        inference.close()


@needs_weights
def test_what_the_engine_cannot_run_is_told_and_the_process_lives_on(inference: InferenceProcess) -> None:
    shared = SharedEngine(DEFAULT_DIRECTORY, inference.address)
    with pytest.raises(InferenceFailed):
        shared.network("no-such-model.onnx").run(picture(1.0))
    assert shared.network(TEXT_BOTH_WAYS).run(picture(0.0, side=64))[0].shape == (1, 1, 64, 64)
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
    assert shared.network(TEXT_BOTH_WAYS).run(picture(0.0, side=64))
    shared.rest()


@needs_weights
def test_a_tensor_that_the_process_cannot_take_is_told_and_not_taken_for_its_loss(inference: InferenceProcess) -> None:
    pid = inference.pid
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as worker:
        worker.connect(inference.address)
        area = wire.new_area()
        wire.put(area, [picture(1.0)])
        for shape in ([1, 3, 400, 400], [1, 3, 1 << 16, 1 << 16]):
            wire.send(worker, {"network": TEXT_BOTH_WAYS, "shape": shape}, area)
            assert "a tensor" in wire.receive(worker)[0]["error"]
        os.close(area)
    assert inference.pid == pid


@pytest.mark.parametrize("answer", [b'{"shapes": [[1, 1, 4000, 4000]], "batch_size": 1}', b"\xff{", b"[]"])
def test_an_answer_that_cannot_be_taken_is_a_failure_of_the_process(tmp_path: Path, answer: bytes) -> None:
    """The pool knows two kinds of trouble with it; a third would be called the picture's fault."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
        listening.bind(str(tmp_path / "socket"))
        listening.listen()

        def reply() -> None:
            connection, _ = listening.accept()
            with connection:
                _, areas = wire.receive(connection)
                connection.send(answer)
            os.close(areas[0])

        process = threading.Thread(target=reply)
        process.start()
        shared = SharedEngine(DEFAULT_DIRECTORY, str(tmp_path / "socket"))
        with pytest.raises(InferenceFailed):
            shared.network(TEXT_BOTH_WAYS).run(picture(0.0, side=64))
        process.join()
    assert shared._connection is None


@needs_weights
def test_a_process_that_ends_is_told_as_lost_and_another_takes_its_place() -> None:
    inference = InferenceProcess(DEFAULT_DIRECTORY, EngineKind.AUTO, Sharing(most=4, wait_s=0.0))
    try:
        first = inference.ensure()
        assert inference.ensure() == first
        shared = SharedEngine(DEFAULT_DIRECTORY, inference.address)
        network = shared.network(TEXT_BOTH_WAYS)
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
