"""The catcher of mail (`deploy.local.mail`) as a part of the platform."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from deploy.local.downloads import ROOT
from deploy.local.ports import listening


class Mail:
    """The catcher of one data folder, as a process of its own."""

    def __init__(self, folder: Path, ports: Mapping[str, int]) -> None:
        self.folder = folder
        self._port = ports["mail"]

    def prepare(self) -> list[str]:
        """Make the folder and return the command."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        words = ["serve", "--folder", str(self.folder), "--port", str(self._port)]
        return [sys.executable, "-m", "deploy.local.mail", *words]

    def environment(self) -> dict[str, str]:
        """Nothing of ours but where our code is."""
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
        return {**kept, "PYTHONPATH": str(ROOT), "MALLOC_ARENA_MAX": "2"}

    def ready(self) -> bool:
        """Whether the catcher takes connections."""
        return listening(self._port)
