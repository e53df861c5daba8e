"""Who carries the finder: its libraries and lists are in one image only."""

import subprocess
import sys

import pytest

LOADED = "import sys, services.{0}.app; print('shared.deid' in sys.modules, 'phonenumbers' in sys.modules)"


@pytest.mark.parametrize(("service", "carries"), [("moderation", False), ("feed", False), ("ingest", True)])
def test_only_ingest_loads_the_finder(service: str, carries: bool) -> None:
    command = [sys.executable, "-c", LOADED.format(service)]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert told.split() == [str(carries)] * 2
