"""The import of the open extraction, on the real database."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from services.identity.domain.verification import (
    Number,
)
from services.identity.registries import RegistryAway
from services.identity.registries.extraction import Extraction, FileUnusable, ImportRefused
from shared.events import Profession
from tests.unit.test_identity_extraction import ACTIVITY, activity
from tests.verification_house import VerificationHouse

pytestmark = pytest.mark.platform


def write(folder: Path, name: str, *lines: str, header: str = ACTIVITY) -> Path:
    path = folder / f"PS_LibreAcces_{name}_202603010800.txt"
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8-sig")
    return path


async def test_the_extraction_answers_like_a_registry(house: VerificationHouse, tmp_path: Path) -> None:
    extraction = Extraction(house.mongo.db)
    await extraction.prepare()
    with pytest.raises(RegistryAway):
        await extraction.look_up(Number("rpps", "99900000003"))
    file = write(
        tmp_path,
        "Personne_activite",
        activity(),
        activity(family="MARTIN", skill="SM02"),
        activity("99900000011", code="26"),
        "0|012600631|0012600631|||M|Monsieur|PETIT|ALEX|26|x|C|Civil|||||S|Salarié|",
    )
    report = await extraction.import_files([file])
    assert (report.lines, report.people, report.other_registers, report.malformed_lines) == (4, 2, 1, 0)
    found = await extraction.look_up(extraction.check_number("899900000003"))
    assert found is not None
    assert (set(found.families), found.givens, found.active) == ({"DUPONT", "MARTIN"}, ("ANNE",), True)
    assert found.professions == {Profession.PHYSICIAN}
    assert set(found.skills) == {"SM54", "SM02"}
    assert found.as_of == datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
    other = await extraction.look_up(Number("rpps", "99900000011"))
    assert other is not None
    assert other.professions == frozenset()
    assert await extraction.look_up(Number("rpps", "99900000029")) is None


async def test_a_new_extraction_replaces_the_old_one_whole(house: VerificationHouse, tmp_path: Path) -> None:
    extraction = Extraction(house.mongo.db)
    numbers_now = [f"9991000{n:04d}" for n in range(2500)]
    await extraction.import_files([write(tmp_path, "Personne_activite", *(activity(number) for number in numbers_now))])
    assert await house.mongo.db["rpps_extraction"].count_documents({}) == 2500
    await extraction.import_files(
        [write(tmp_path, "Personne_activite", *(activity(number) for number in numbers_now[1:]))]
    )
    assert await house.mongo.db["rpps_extraction"].count_documents({}) == 2499
    assert await extraction.look_up(Number("rpps", numbers_now[0])) is None
    assert await extraction.look_up(Number("rpps", numbers_now[1])) is not None


async def test_an_import_that_lost_people_or_lines_leaves_the_old_one_in_use(
    house: VerificationHouse, tmp_path: Path
) -> None:
    extraction = Extraction(house.mongo.db)
    known = [activity(f"9992000{n:04d}") for n in range(20)]
    await extraction.import_files([write(tmp_path, "Personne_activite", *known)])
    with pytest.raises(ImportRefused, match="is a file cut off"):
        await extraction.import_files([write(tmp_path, "Personne_activite", *known[:10])])
    with pytest.raises(ImportRefused, match="1 of 20 lines cannot be read"):
        await extraction.import_files([write(tmp_path, "Personne_activite", *known[:19], "8|x")])
    with pytest.raises(ImportRefused, match="nobody who practises"):
        await extraction.import_files([write(tmp_path, "Personne_activite")])
    with pytest.raises(FileUnusable):
        await extraction.import_files([write(tmp_path, "Other", "a", header="b")])
    assert await extraction.look_up(Number("rpps", "99920000019")) is not None
    assert await house.mongo.db["rpps_extraction"].count_documents({}) == 20
    report = await extraction.import_files([write(tmp_path, "Personne_activite", *known[:10], "8|x")], force=True)
    assert (report.people, report.people_before, report.malformed_lines) == (10, 20, 1)
    assert report.malformed == [("PS_LibreAcces_Personne_activite_202603010800.txt", 12, "2 cells, not 19")]


async def test_two_imports_do_not_run_at_once(house: VerificationHouse, tmp_path: Path) -> None:
    file = write(tmp_path, "Personne_activite", *(activity(f"9993000{n:04d}") for n in range(1500)))
    results = await asyncio.gather(
        *(Extraction(house.mongo.db).import_files([file]) for _ in range(3)), return_exceptions=True
    )
    refused = [str(result) for result in results if isinstance(result, ImportRefused)]
    assert refused == ["Another import is running. Wait until it has ended."] * 2
    assert await house.mongo.db["rpps_extraction"].count_documents({}) == 1500
    assert await house.mongo.db["registry_state"].count_documents({"_id": "rpps_import"}) == 0
