"""The platform's own lists of specialties and of skills finer than these, in French and English.

`specialties.csv`: one line for each `Specialty` with names, other spellings (`|` between them) and the codes of other
lists that mean it: `r38` is the French registry's TRE_R38-SpecialiteOrdinale (codes between spaces; several of them
may be one specialty here, and neuro-psychiatry is in two). `nucc` is for the North American taxonomy and is empty:
commercial products need its owner's licence, and whoever has one fills the column. `skills.csv`: skills, each below
one specialty. All names are ours; nothing is taken from SNOMED CT, whose licence forbids to translate it oneself.

Profiles keep codes: none is ever taken away or given another meaning. A line may be added at any time.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

from shared.events import Specialty

_FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class SpecialtyEntry:
    """A specialty in words. `also_fr` and `also_en`: what people type when they mean it."""

    specialty: Specialty
    fr: str
    en: str
    also_fr: tuple[str, ...]
    also_en: tuple[str, ...]
    r38: tuple[str, ...]
    nucc: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return (self.fr, self.en, *self.also_fr, *self.also_en)


@dataclass(frozen=True, slots=True)
class Skill:
    """Something that a member is particularly good at, below one specialty."""

    code: str
    specialty: Specialty
    fr: str
    en: str
    also_fr: tuple[str, ...]
    also_en: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return (self.fr, self.en, *self.also_fr, *self.also_en)


@cache
def specialties() -> Mapping[Specialty, SpecialtyEntry]:
    """Every specialty, by the order of the French names' file."""
    return MappingProxyType(
        {
            Specialty(line["code"]): SpecialtyEntry(
                specialty=Specialty(line["code"]),
                fr=line["fr"],
                en=line["en"],
                also_fr=_several(line["fr_also"]),
                also_en=_several(line["en_also"]),
                r38=tuple(line["r38"].split()),
                nucc=tuple(line["nucc"].split()),
            )
            for line in _lines("specialties.csv")
        }
    )


@cache
def skills() -> Mapping[str, Skill]:
    """Every skill by its code."""
    return MappingProxyType(
        {
            line["code"]: Skill(
                code=line["code"],
                specialty=Specialty(line["specialty"]),
                fr=line["fr"],
                en=line["en"],
                also_fr=_several(line["fr_also"]),
                also_en=_several(line["en_also"]),
            )
            for line in _lines("skills.csv")
        }
    )


@cache
def specialty_of_r38(code: str) -> Specialty | None:
    """The specialty that a code of the French registry means, if we have one."""
    return next((entry.specialty for entry in specialties().values() if code in entry.r38), None)


def _lines(name: str) -> list[dict[str, str]]:
    with (_FOLDER / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _several(cell: str) -> tuple[str, ...]:
    return tuple(part for part in cell.split("|") if part)
