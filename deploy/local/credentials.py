"""Secrets of a platform: made at random when first asked for, kept in files that only their owner can read.

The folder has the form that `SECRETS_DIR` expects: one file a secret, named like the setting in lower case
(`ingest_kafka_password`). An environment variable of that name in upper case wins over the file, so that a platform
that somebody else runs can hand in its own.
"""

import base64
import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path


class Credentials:
    """The secrets in `folder` (created with mode 0700, files 0600)."""

    def __init__(self, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self._environment = os.environ if environment is None else environment

    def password(self, name: str) -> str:
        """The secret `name`; 48 hexadecimal digits when it is made here."""
        return self._environment.get(name.upper()) or self._stored(name, lambda: secrets.token_hex(24))

    def key_file(self, name: str) -> Path:
        """A file that holds base64 of 32 random bytes."""
        self._stored(name, lambda: base64.b64encode(secrets.token_bytes(32)).decode())
        return self.folder / name

    def path(self, name: str) -> Path:
        """Where another program keeps its secret `name`; the folder exists, the file need not."""
        self._make_folder()
        return self.folder / name

    def _stored(self, name: str, make: Callable[[], str]) -> str:
        path = self.path(name)
        draft = path.with_name(f".{name}.{secrets.token_hex(4)}")
        if not path.exists():
            write_private(draft, make())
            try:
                os.link(draft, path)  # fails where another process was faster: its value is the one that counts
            except FileExistsError:
                pass
            finally:
                draft.unlink()
        return path.read_text().strip()

    def _make_folder(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.folder.chmod(0o700)


def write_private(path: Path, text: str) -> None:
    """Write `text` to `path` with mode 0600 from the first byte on; an older file is replaced whole."""
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}.tmp")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    draft.replace(path)
