"""Workers: limits that the kernel keeps, and a service that outlives whatever a picture does to its worker."""

import asyncio
import io
import os
import signal
import sys
import traceback
import types
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil
import pytest
from PIL import Image

from services.redactor.domain import Reason, Unreadable
from services.redactor.pixels import pool as pools
from services.redactor.pixels.pool import Limits, PixelPool
from services.redactor.weights import DEFAULT_DIRECTORY, WeightsMissing, missing
from tests import pictures

pytestmark = pytest.mark.skipif(
    bool(missing(DEFAULT_DIRECTORY)), reason="the model weights are not there: make weights"
)
MakePool = Callable[[Limits], PixelPool]


@pytest.fixture
async def make_pool() -> AsyncIterator[MakePool]:
    opened: list[PixelPool] = []

    def make(limits: Limits) -> PixelPool:
        opened.append(PixelPool(DEFAULT_DIRECTORY, workers=1, limits=limits))
        return opened[-1]

    yield make
    for pool in opened:
        pool.close()


def flat_png(side: int) -> bytes:
    """A picture of a few KB that is allowed by its size, and large once unpacked."""
    written = io.BytesIO()
    Image.new("L", (side, side), 90).save(written, "PNG")
    return written.getvalue()


async def test_a_picture_above_the_time_limit_is_unreadable_and_the_next_one_is_painted(make_pool: MakePool) -> None:
    pool = make_pool(Limits(time_s=1.0))
    await pool.warm_up()
    with pytest.raises(Unreadable) as refused:
        await pool.redact(pictures.plain_jpeg(2000, 1500))
    assert refused.value.reason is Reason.TIME_LIMIT
    with pytest.raises(Unreadable) as refused:
        await pool.redact(pictures.text_named_jpg())  # quick enough: the replaced worker answers
    assert refused.value.reason is Reason.NOT_A_PICTURE


async def test_a_picture_above_the_memory_limit_is_unreadable_and_the_worker_lives_on(make_pool: MakePool) -> None:
    pool = make_pool(Limits(memory_bytes=1400 * 2**20))
    await pool.warm_up()
    (worker,) = pool._all
    before = set(worker._processes or {})
    with pytest.raises(Unreadable) as refused:
        await pool.redact(flat_png(7700))
    assert refused.value.reason is Reason.MEMORY_LIMIT
    assert set(worker._processes or {}) == before
    assert (await pool.redact(pictures.plain_jpeg(64, 48))).frames[0].width == 64


async def test_a_worker_that_is_killed_once_costs_nothing_but_time(make_pool: MakePool) -> None:
    pool = make_pool(Limits())
    await pool.warm_up()
    (worker,) = pool._all
    (process,) = (worker._processes or {}).values()
    assert process.pid is not None
    work = asyncio.create_task(pool.redact(pictures.plain_jpeg(1200, 900)))
    await asyncio.to_thread(_until_busy, process.pid)
    os.kill(process.pid, signal.SIGKILL)
    assert (await work).frames[0].width == 1200
    assert len(pool._all) == 1


PARENT = """
import asyncio, sys
from pathlib import Path
from services.redactor.pixels.pool import PixelPool

async def main():
    pool = PixelPool(Path(sys.argv[1]), workers=1)
    await pool.warm_up()
    print(*next(iter(pool._all))._processes, flush=True)
    await asyncio.sleep(600)

if __name__ == "__main__":
    asyncio.run(main())
"""


async def test_a_worker_leaves_with_its_parent(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    parent = await asyncio.create_subprocess_exec(
        sys.executable,
        str(script),
        str(DEFAULT_DIRECTORY),
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(Path.cwd())},
    )
    assert parent.stdout is not None
    worker = psutil.Process(int(await parent.stdout.readline()))
    parent.kill()
    await parent.wait()
    await asyncio.to_thread(worker.wait, 30)


def test_missing_weights_are_told_at_once_and_how_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match="make weights"):
        PixelPool(tmp_path, workers=1)


def _until_busy(pid: int) -> None:
    process = psutil.Process(pid)
    start = process.cpu_times().user
    while process.cpu_times().user < start + 0.1:
        process.cpu_percent(0.01)


@pytest.mark.parametrize("refusal", [None, Unreadable(Reason.TRUNCATED, "OSError")])
def test_what_a_decoder_said_stays_in_the_worker(monkeypatch: pytest.MonkeyPatch, refusal: Unreadable | None) -> None:
    """The pool sends an error's whole history to the service, as text, and a log may write it."""

    class Broken:
        engine = types.SimpleNamespace(rest=lambda: None)

        def redact(self, *_: object) -> None:
            try:
                raise ValueError("value QUIXADA is not valid")
            except ValueError as error:
                if refusal is not None:
                    raise refusal from error
                raise

    monkeypatch.setattr(pools, "_redactor", Broken())
    with pytest.raises(Unreadable) as refused:
        pools._limited(lambda redactor, _: redactor.redact(b""), 60.0)
    expected = (Reason.TRUNCATED, "OSError") if refusal else (Reason.DECODER_FAILED, "ValueError")
    assert (refused.value.reason, refused.value.detail) == expected
    assert "QUIXADA" not in "".join(traceback.format_exception(refused.value))
