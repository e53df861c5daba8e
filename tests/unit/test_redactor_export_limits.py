"""DICOM export behind the limits of a picture: a hostile file costs its worker's limits and gives a sentence."""

import io
from pathlib import Path

import numpy as np
import pydicom
import pytest
from typer.testing import CliRunner

from services.redactor.__main__ import app
from services.redactor.domain import Reason, Unreadable
from services.redactor.export import Export
from services.redactor.pixels.deidentify import new_run
from services.redactor.pixels.pool import Limits, PixelPool
from services.redactor.weights import DEFAULT_DIRECTORY, missing
from tests.unit.test_redactor_export import radiograph

SAMPLE = Path(__file__).parents[1] / "samples" / "pictures" / "dicom.dcm"
RUN = new_run()
pytestmark = pytest.mark.skipif(
    bool(missing(DEFAULT_DIRECTORY)), reason="the model weights are not there: make weights"
)


async def test_a_file_above_the_time_limit_is_refused_and_the_next_one_is_answered() -> None:
    pool = PixelPool(DEFAULT_DIRECTORY, workers=1, limits=Limits(time_s=1.0))
    noise = np.random.default_rng(1).integers(0, 4096, (4000, 4000), np.uint16)
    try:
        await pool.warm_up()
        with pytest.raises(Unreadable) as refused:
            await pool.run(Export(radiograph(noise), RUN))
        assert refused.value.reason is Reason.TIME_LIMIT
        with pytest.raises(Unreadable) as refused:
            await pool.run(Export(b"Dear colleague", RUN))
        assert refused.value.reason is Reason.UNSUPPORTED_FORMAT
    finally:
        pool.close()


async def test_a_file_above_the_memory_limit_is_refused() -> None:
    pool = PixelPool(DEFAULT_DIRECTORY, workers=1, limits=Limits(memory_bytes=1400 * 2**20))
    try:
        with pytest.raises(Unreadable) as refused:
            await pool.run(Export(radiograph(np.zeros((7000, 7000), np.uint16)), RUN))
    finally:
        pool.close()
    assert refused.value.reason is Reason.MEMORY_LIMIT


def test_the_command_says_of_a_file_that_it_took_too_long(tmp_path: Path) -> None:
    (tmp_path / "one.dcm").write_bytes(radiograph(np.zeros((7000, 7000), np.uint16)))
    arguments = ["export-dicom", str(tmp_path / "one.dcm"), "--out", str(tmp_path / "out.dcm"), "--time-limit", "1"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 1
    assert "it took longer than allowed" in done.stderr
    assert not (tmp_path / "out.dcm").exists()


async def test_files_of_one_study_stay_together_whichever_process_makes_them() -> None:
    made = []
    for _ in range(2):
        pool = PixelPool(DEFAULT_DIRECTORY, workers=1)
        try:
            out = await pool.run(Export(SAMPLE.read_bytes(), RUN))
        finally:
            pool.close()
        made.append(pydicom.dcmread(io.BytesIO(out.data)))
    assert made[0].StudyInstanceUID == made[1].StudyInstanceUID
    assert made[0].SOPInstanceUID != made[1].SOPInstanceUID


def test_neither_the_secret_nor_the_file_is_shown_with_the_order() -> None:
    assert repr(Export(b"QUIXADA", RUN)) == "Export()"
