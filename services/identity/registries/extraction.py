"""The open extraction of the Annuaire Santé as a registry of its own, for deployments without a key.

An import writes a new generation beside the one in use and switches to it in one write, so that a look-up never meets
half a file; what fails before leaves everything as it was. The extraction lists who practises: absence means that a
person does not, which is why an import that lost many people is refused.
"""

import logging
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from pymongo import UpdateOne

from services.identity.domain.verification import Number, Practitioner
from services.identity.registries import RegistryAway, numbers
from services.identity.registries.extraction_files import FileUnusable, Malformed, Person, as_of, read
from services.identity.registries.professions import of_tre_g15
from shared.mongo import Database, DuplicateKeyError

log = logging.getLogger("identity")

SOURCE: Final = "annuaire-sante-extraction"
BATCH_PEOPLE: Final = 1000
LEAST_SHARE: Final = 0.9
MOST_MALFORMED: Final = 0.001
SHOWN_MALFORMED: Final = 20
_LOCK_MINUTES = 10


class ImportRefused(Exception):
    """The new generation was not taken into use; the message is a sentence for the operator."""


@dataclass
class Report:
    """What an import found. `people` practise; `malformed` shows the first lines that could not be read, by file."""

    lines: int = 0
    people: int = 0
    other_registers: int = 0
    malformed_lines: int = 0
    malformed: list[tuple[str, int, str]] = field(default_factory=list)
    people_before: int | None = None
    as_of: datetime | None = None


class Extraction:
    """The registry `rpps`, answered from what was imported."""

    name = "rpps"
    country = "FR"
    lists_active_only = True

    def __init__(self, db: Database) -> None:
        self._people = db["rpps_extraction"]
        self._state = db["registry_state"]

    async def prepare(self) -> None:
        """Make the index by which old generations are removed; may be repeated."""
        await self._people.create_index("generation", name="generation")

    def check_number(self, text: str) -> Number:
        return numbers.rpps(text)

    async def look_up(self, number: Number) -> Practitioner | None:
        state = await self._in_use()
        person = await self._people.find_one({"_id": f"{state['generation']}:{number.value}"})
        while person is None:
            # A switch may have removed the generation between the two reads: absence counts in one that is in use.
            again = await self._in_use()
            if again["generation"] == state["generation"]:
                return None
            state = again
            person = await self._people.find_one({"_id": f"{state['generation']}:{number.value}"})
        if not person["active"]:
            return None
        professions = (of_tre_g15(*pair.split("/", 1)) for pair in person["professions"])
        return Practitioner(
            number=number,
            families=tuple(person["families"]),
            givens=tuple(person["givens"]),
            professions=frozenset(mine for mine in professions if mine is not None),
            skills=tuple(person["skills"]),
            active=True,
            source=SOURCE,
            as_of=state["as_of"],
        )

    async def close(self) -> None:
        """Nothing to let go."""

    async def import_files(self, paths: Iterable[Path], *, force: bool = False) -> Report:
        """Import these files as one generation and take it into use.

        Raises FileUnusable, OSError, and ImportRefused: another import runs, too many lines cannot be read, or (unless
        `force`) fewer than 90 % of the people before are left.
        """
        mine = uuid.uuid4().hex
        await self._lock(mine)
        report, switched = Report(), False
        try:
            for path in paths:
                await self._import_file(path, mine, report)
                report.as_of = max(filter(None, (report.as_of, as_of(path))))
            report.people = await self._people.count_documents({"generation": mine, "active": True})
            before = await self._state.find_one({"_id": "rpps_extraction"})
            report.people_before = before["people"] if before else None
            self._judge(report, force)
            await self._state.replace_one(
                {"_id": "rpps_extraction"},
                {
                    "_id": "rpps_extraction",
                    "generation": mine,
                    "people": report.people,
                    "as_of": report.as_of,
                    "imported_at": datetime.now(UTC),
                },
                upsert=True,
            )
            switched = True
            log.info("an extraction of the registry is in use", extra={"people": report.people, "lines": report.lines})
        finally:
            # Everything but what is in use: what this import replaced, or what it wrote in vain.
            unused: dict[str, Any] = {"generation": {"$ne": mine} if switched else mine}
            await self._people.delete_many(unused)
            await self._state.delete_one({"_id": "rpps_import", "holder": mine})
        return report

    async def _in_use(self) -> dict[str, Any]:
        state = await self._state.find_one({"_id": "rpps_extraction"})
        if state is None:
            raise RegistryAway("no extraction was imported yet")
        return state

    async def _import_file(self, path: Path, generation: str, report: Report) -> None:
        batch: dict[str, Person] = {}
        with path.open("rb") as file:
            for said in read(file, path.name):
                report.lines += 1
                if said is None:
                    report.other_registers += 1
                elif isinstance(said, Malformed):
                    report.malformed_lines += 1
                    if len(report.malformed) < SHOWN_MALFORMED:
                        report.malformed.append((path.name, said.line, said.reason))
                elif said.number in batch:
                    batch[said.number].merge(said)
                else:
                    batch[said.number] = said
                    if len(batch) >= BATCH_PEOPLE:
                        await self._write(batch, generation)
                        batch = {}
        await self._write(batch, generation)

    async def _write(self, batch: dict[str, Person], generation: str) -> None:
        if not batch:
            return
        await self._people.bulk_write([_upsert(person, generation) for person in batch.values()], ordered=False)
        until = datetime.now(UTC) + timedelta(minutes=_LOCK_MINUTES)
        held = await self._state.update_one({"_id": "rpps_import", "holder": generation}, {"$set": {"until": until}})
        if not held.matched_count:
            raise ImportRefused("Another import has taken over, since this one stood still for too long.")

    async def _lock(self, mine: str) -> None:
        now = datetime.now(UTC)
        try:
            await self._state.update_one(
                {"_id": "rpps_import", "until": {"$lt": now}},
                {"$set": {"holder": mine, "until": now + timedelta(minutes=_LOCK_MINUTES)}},
                upsert=True,
            )
        except DuplicateKeyError as error:
            raise ImportRefused("Another import is running. Wait until it has ended.") from error

    @staticmethod
    def _judge(report: Report, force: bool) -> None:
        if not report.people:
            raise ImportRefused("The files name nobody who practises: is PS_LibreAcces_Personne_activite among them?")
        if report.malformed_lines > MOST_MALFORMED * report.lines and not force:
            raise ImportRefused(
                f"{report.malformed_lines} of {report.lines} lines cannot be read, more than one in a thousand. Look "
                "at the first ones, and say --force if they may be left out."
            )
        before = report.people_before
        if before is not None and report.people < LEAST_SHARE * before and not force:
            raise ImportRefused(
                f"{report.people} people practise by these files and {before} did by the ones before: is a file cut "
                "off? Say --force if the number is right."
            )


def _upsert(person: Person, generation: str) -> UpdateOne:
    lists = {
        "families": person.families,
        "givens": person.givens,
        "professions": {f"{code}/{category}" for code, category in person.professions},
        "skills": person.skills,
    }
    update: dict[str, Any] = {
        "$addToSet": {name: {"$each": sorted(values)} for name, values in lists.items()},
        "$setOnInsert": {"generation": generation},
        "$max": {"active": person.active},
    }
    return UpdateOne({"_id": f"{generation}:{person.number}"}, update, upsert=True)


__all__ = ["Extraction", "FileUnusable", "ImportRefused", "Report"]
