"""The published consent texts: `<version>.<language>.md` in this folder, in English and French.

A text is named by its version and proved by the SHA-256 of its bytes, which every consent record keeps. A text that
was ever published is never edited or removed: a new wording is a new version.
"""

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import cast

from shared.events import Language


@dataclass(frozen=True)
class ConsentText:
    version: str
    language: Language
    sha256: str
    text: str


@cache
def published() -> tuple[ConsentText, ...]:
    """Every published text, oldest version first."""
    found = []
    for file in files(__package__).iterdir():
        version, _, rest = file.name.partition(".")
        language, _, suffix = rest.partition(".")
        if suffix == "md" and language in ("fr", "en"):
            data = file.read_bytes()
            found.append(
                ConsentText(version, cast(Language, language), hashlib.sha256(data).hexdigest(), data.decode())
            )
    if not found:
        raise RuntimeError("no consent text is installed: no case could ever be submitted")
    return tuple(sorted(found, key=lambda text: (text.version, text.language)))


@cache
def current() -> str:
    """The version to sign now. The earlier ones stay valid for who has signed them, within what they say: see
    `domain.consent.FACES_COVERED`."""
    return published()[-1].version


@cache
def hashes() -> dict[Language, frozenset[str]]:
    """The SHA-256 of every published text, by language."""
    languages: tuple[Language, ...] = ("fr", "en")
    return {one: frozenset(text.sha256 for text in published() if text.language == one) for one in languages}
