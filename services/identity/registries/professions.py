"""Codes of professions as data: from the registries' to ours. A code that is not here is a profession that we do not
take, or not yet."""

from collections.abc import Iterable
from typing import Final

from shared.events import Profession

TRE_G15: Final[dict[str, Profession]] = {
    "10": Profession.PHYSICIAN,
    "21": Profession.PHARMACIST,
    "40": Profession.DENTIST,
    "50": Profession.MIDWIFE,
    "60": Profession.NURSE,
    "70": Profession.PHYSIOTHERAPIST,
    "80": Profession.PODIATRIST,
    "93": Profession.PSYCHOLOGIST,
}
"""French nomenclature TRE_G15-ProfessionSante. 10, 21, 60, 70 and 80 were read in sources; 40, 50 and 93 are general
knowledge and were not checked against the nomenclature."""

STUDENT_CATEGORY: Final = "E"
"""TRE_R09-CategorieProfessionnelle: C civilian, M military, E student."""

NUCC_PREFIXES: Final[dict[str, Profession]] = {
    "103T": Profession.PSYCHOLOGIST,
    "1223": Profession.DENTIST,
    "163W": Profession.NURSE,
    "164W": Profession.NURSE,
    "176B": Profession.MIDWIFE,
    "1835": Profession.PHARMACIST,
    "20": Profession.PHYSICIAN,
    "213E": Profession.PODIATRIST,
    "2251": Profession.PHYSIOTHERAPIST,
    "363L": Profession.NURSE,
    "364S": Profession.NURSE,
    "367A": Profession.MIDWIFE,
    "3902": Profession.STUDENT,
}
"""Beginnings of United States taxonomy codes, from general knowledge. The code set itself is not part of this product
(commercial use of it needs a licence of its publisher)."""


def of_tre_g15(code: str, category: str = "") -> Profession | None:
    """Our profession for a French code; whoever is in the category of students is a student, whatever they study."""
    known = TRE_G15.get(code.strip())
    return Profession.STUDENT if known is not None and category.strip().upper() == STUDENT_CATEGORY else known


def of_nucc(codes: Iterable[str]) -> frozenset[Profession]:
    """Our professions for United States taxonomy codes."""
    found = (next((mine for prefix, mine in NUCC_PREFIXES.items() if code.startswith(prefix)), None) for code in codes)
    return frozenset(mine for mine in found if mine is not None)
