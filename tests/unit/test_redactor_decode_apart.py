"""Work in a copy of the process: what it gives comes back whole, and its death is only an error here."""

import os
import signal
from typing import Any

import numpy as np
import psutil
import pytest

from services.redactor.pixels.apart import apart


def test_bytes_and_facts_come_back_whole() -> None:
    data = np.arange(3_000_000, dtype=np.uint32).tobytes()
    given, facts = apart(lambda: (data, {"bits": 16, "kind": "RGB"}))
    assert bytes(given) == data
    assert facts == {"bits": 16, "kind": "RGB"}


def test_what_it_changes_stays_in_the_copy() -> None:
    here: list[int] = []

    def changes() -> tuple[bytes, dict[str, Any]]:
        here.append(1)
        return b"", {"seen": here}

    assert apart(changes)[1] == {"seen": [1]}
    assert here == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_its_death_is_an_error_and_leaves_no_process_behind(number: int) -> None:
    def dies() -> tuple[bytes, dict[str, Any]]:
        os.kill(os.getpid(), number)
        return b"", {}

    before = psutil.Process().children()
    with pytest.raises(ValueError, match="crashed"):
        apart(dies)
    assert psutil.Process().children() == before


def test_its_errors_are_told() -> None:
    def fails(error: Exception) -> tuple[bytes, dict[str, Any]]:
        raise error

    with pytest.raises(RuntimeError, match="unexpected end"):
        apart(lambda: fails(ValueError("unexpected end of it")))
    with pytest.raises(MemoryError):
        apart(lambda: fails(MemoryError()))
