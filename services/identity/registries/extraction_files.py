"""The lines of the open extraction of the Annuaire Santé: pipe-separated text, UTF-8, one header line, no quotes.

Three files: `PS_LibreAcces_Personne_activite_…` (a line for each activity of a person), `…_SavoirFaire_…` and
`…_Dipl_AutExerc_…`. Columns are found by their names: the agency adds some and moves others from time to time. Lines
end with one more separator in some editions.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final

RPPS_TYPE: Final = "8"
ADELI_TYPE: Final = "0"

_TYPE, _ID, _FAMILY, _GIVEN = "Type d'identifiant PP", "Identifiant PP", "Nom d'exercice", "Prénom d'exercice"
_PROFESSION, _CATEGORY = "Code profession", "Code catégorie professionnelle"
_SKILLS = ("Code savoir-faire", "Code diplôme obtenu", "Code discipline autorisation")
_ACTIVITY = "Code mode exercice"
_MAX_LINE_BYTES = 64 * 1024


class FileUnusable(ValueError):
    """This is no file of the extraction; the message is a sentence for the operator."""


@dataclass(frozen=True, slots=True)
class Malformed:
    """A line that cannot be read. `reason` quotes nothing of it: a line names a person."""

    line: int
    reason: str


@dataclass(slots=True)
class Person:
    """What one line, or several about the same person, say. `professions` are pairs of TRE_G15 code and category.

    `active` is true once the person was met in the file of activities: who is in the other two only does not practise.
    """

    number: str
    families: set[str] = field(default_factory=set)
    givens: set[str] = field(default_factory=set)
    professions: set[tuple[str, str]] = field(default_factory=set)
    skills: set[str] = field(default_factory=set)
    active: bool = False

    def merge(self, other: "Person") -> None:
        """Add what another line says of the same person."""
        self.families |= other.families
        self.givens |= other.givens
        self.professions |= other.professions
        self.skills |= other.skills
        self.active = self.active or other.active


class Columns:
    """Where a file has its columns. Raises FileUnusable where a needed one is missing."""

    def __init__(self, header: str, name: str) -> None:
        titles = [title.strip().strip('"').replace("’", "'") for title in header.rstrip("\r\n").split("|")]
        if titles and not titles[-1]:
            titles.pop()
        self.count = len(titles)
        self._places = {title: place for place, title in enumerate(titles)}
        missing = [title for title in (_TYPE, _ID, _FAMILY, _GIVEN) if title not in self._places]
        if missing:
            raise FileUnusable(f"{name} is no file of the extraction: it lacks the column '{missing[0]}'.")
        self.of_activities = _ACTIVITY in self._places and _PROFESSION in self._places

    def person(self, line: str) -> Person | str | None:
        """The person of a line; None for one of a register other than RPPS; or why the line cannot be read."""
        cells = line.rstrip("\r\n").split("|")
        if len(cells) == self.count + 1 and not cells[-1]:
            cells.pop()
        if len(cells) != self.count:
            return f"{len(cells)} cells, not {self.count}"
        kind, number = self._cell(cells, _TYPE), self._cell(cells, _ID)
        if kind == ADELI_TYPE:
            return None
        if kind != RPPS_TYPE:
            return "a type of identifier that is neither 8 nor 0"
        if not re.fullmatch(r"[0-9]{11}", number):
            return "an RPPS number that is not 11 digits"
        family, given = self._cell(cells, _FAMILY), self._cell(cells, _GIVEN)
        profession = self._cell(cells, _PROFESSION)
        return Person(
            number=number,
            families={family} - {""},
            givens={given} - {""},
            professions={(profession, self._cell(cells, _CATEGORY))} if profession else set(),
            skills={self._cell(cells, title) for title in _SKILLS} - {""},
            active=self.of_activities,
        )

    def _cell(self, cells: list[str], title: str) -> str:
        place = self._places.get(title)
        return cells[place].strip() if place is not None else ""


def read(file: BinaryIO, name: str) -> Iterator[Person | Malformed | None]:
    """What each line after the header says; None for a line of another register. Streams: one line is in memory.

    Raises FileUnusable for a file without the extraction's header.
    """
    header = file.readline(_MAX_LINE_BYTES)
    try:
        columns = Columns(header.decode("utf-8-sig"), name)
    except UnicodeDecodeError as error:
        raise FileUnusable(f"{name} is no file of the extraction: its header is not UTF-8.") from error
    number = 1
    while raw := file.readline(_MAX_LINE_BYTES):
        number += 1
        if not raw.strip():
            continue
        try:
            said = columns.person(raw.decode())
        except UnicodeDecodeError:
            said = "not UTF-8"
        yield Malformed(number, said) if isinstance(said, str) else said


def as_of(path: Path) -> datetime:
    """Of when a file is: the digits in its name (year to minute, local time taken for UTC), else its own date."""
    found = re.search(r"_(\d{12})(?:\D|$)", path.name)
    if found:
        try:
            return datetime.strptime(found[1], "%Y%m%d%H%M").replace(tzinfo=UTC)
        except ValueError:
            pass
    return datetime.fromtimestamp(path.stat().st_mtime, UTC)
