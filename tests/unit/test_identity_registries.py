"""The clients of the registries, against stand-ins that speak HTTP."""

from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from starlette.responses import JSONResponse, Response

from services.identity.domain.verification import Number, Practitioner
from services.identity.registries import RegistryAway, RegistryRefused
from services.identity.registries.annuaire_sante import AnnuaireSante
from services.identity.registries.calls import Calls, OwnPace
from services.identity.registries.npi import Npi
from shared.events import Profession
from tests.registry_servers import G15, KEY, R09, Annuaire, Nppes, Professional
from tests.served import served

SINCE = datetime(2026, 9, 1, tzinfo=UTC)


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(round(seconds, 6))
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def annuaire_at() -> Iterator[tuple[Annuaire, str]]:
    made = Annuaire()
    with served(made.app) as address:
        yield made, f"{address}/fhir/v2"


@pytest.fixture
def annuaire(annuaire_at: tuple[Annuaire, str]) -> Annuaire:
    made = annuaire_at[0]
    made.people.clear()
    made.asked.clear()
    made.answers.clear()
    made.add(Professional("99900000003"))
    return made


@pytest.fixture
def client(annuaire_at: tuple[Annuaire, str], annuaire: Annuaire, clock: Clock) -> AnnuaireSante:
    return client_of(annuaire_at[1], clock)


def client_of(address: str, clock: Clock, key: str = KEY) -> AnnuaireSante:
    pace = OwnPace(1000, clock=clock, sleep=clock.sleep)
    calls = Calls("annuaire-sante", pace, headers={"ESANTE-API-KEY": key}, sleep=clock.sleep)
    return AnnuaireSante(key, pace, base_url=address, calls=calls)


async def look_up(client: AnnuaireSante | Npi, number: str) -> Practitioner | None:
    return await client.look_up(client.check_number(number))


async def test_a_professional_is_found_with_names_profession_and_skills(
    client: AnnuaireSante, annuaire: Annuaire
) -> None:
    annuaire.add(Professional("99900000011", "DURAND", ("JEAN", "PAUL"), "60", skill="", used_family="MOREAU"))
    found = await look_up(client, "899900000011")
    assert found is not None
    assert found.number == Number("rpps", "99900000011")
    assert found.families == ("DURAND", "MOREAU")
    assert set(found.givens) == {"JEAN", "PAUL", "JEAN PAUL"}
    assert found.professions == {Profession.NURSE}
    assert (found.active, found.skills, found.source) == (True, (), "annuaire-sante")
    assert found.as_of == datetime(2026, 10, 1, 8, 0, tzinfo=UTC)
    assert annuaire.asked == [{"identifier": "99900000011", "_revinclude": "PractitionerRole:practitioner"}]
    doctor = await look_up(client, "99900000003")
    assert doctor is not None
    assert doctor.skills == ("SM54",)


async def test_who_is_not_there_is_nobody(client: AnnuaireSante) -> None:
    assert await look_up(client, "99900000029") is None


async def test_an_inactive_professional_has_a_number_and_nothing_else(
    client: AnnuaireSante, annuaire: Annuaire
) -> None:
    annuaire.people["99900000003"].active = False
    found = await look_up(client, "99900000003")
    assert found is not None
    assert (found.active, found.families, found.professions) == (False, (), frozenset())


async def test_a_student_by_category_is_a_student(client: AnnuaireSante, annuaire: Annuaire) -> None:
    annuaire.people["99900000003"].category = "E"
    found = await look_up(client, "99900000003")
    assert found is not None
    assert found.professions == {Profession.STUDENT}


@pytest.mark.parametrize(
    ("concepts", "professions"),
    [
        ([[(G15, "60"), (R09, "C")], [(G15, "10"), (R09, "E")]], {Profession.NURSE, Profession.STUDENT}),
        ([[(G15, "60")], [(R09, "C")], [(G15, "10")], [(R09, "E")]], {Profession.STUDENT}),
        ([[(G15, "10")], [(R09, "C")], [(R09, "M")]], {Profession.PHYSICIAN}),
    ],
)
async def test_a_nurse_who_studies_medicine_is_no_physician(
    client: AnnuaireSante,
    annuaire: Annuaire,
    concepts: list[list[tuple[str, str]]],
    professions: set[Profession],
) -> None:
    person = {
        "resourceType": "Practitioner",
        "id": "1",
        "active": True,
        "identifier": [{"value": "99900000003"}],
        "qualification": [
            {"code": {"coding": [{"system": system, "code": code} for system, code in concept]}} for concept in concepts
        ],
    }
    annuaire.answers = [JSONResponse({"resourceType": "Bundle", "entry": [{"resource": person}]})]
    found = await look_up(client, "99900000003")
    assert found is not None
    assert found.professions == professions


async def test_a_registry_that_is_busy_is_asked_again_when_it_says(
    client: AnnuaireSante, annuaire: Annuaire, clock: Clock
) -> None:
    annuaire.fail(429, retry_after="3")
    annuaire.fail(503)
    assert await look_up(client, "99900000003") is not None
    assert [wait for wait in clock.slept if wait >= 0.1] == [3.0, 1.0]


async def test_patience_ends_and_tells_when_to_come_back(
    client: AnnuaireSante, annuaire: Annuaire, clock: Clock
) -> None:
    annuaire.fail(429, retry_after="120")
    with pytest.raises(RegistryAway) as away:
        await look_up(client, "99900000003")
    assert away.value.retry_after_s == 120
    assert [wait for wait in clock.slept if wait >= 0.1] == []
    annuaire.fail(500, times=3)
    with pytest.raises(RegistryAway) as away:
        await look_up(client, "99900000003")
    assert away.value.retry_after_s is None


async def test_a_date_to_come_back_at_is_read(client: AnnuaireSante, annuaire: Annuaire) -> None:
    annuaire.fail(503, retry_after=format_datetime(datetime(2100, 1, 1, tzinfo=UTC), usegmt=True))
    with pytest.raises(RegistryAway) as away:
        await look_up(client, "99900000003")
    assert (away.value.retry_after_s or 0) > 1_000_000


async def test_a_wrong_key_is_said_at_once(annuaire_at: tuple[Annuaire, str], annuaire: Annuaire, clock: Clock) -> None:
    with pytest.raises(RegistryRefused):
        await look_up(client_of(annuaire_at[1], clock, "wrong"), "99900000003")
    assert len(annuaire.asked) == 1


async def test_nobody_listening_is_away(clock: Clock) -> None:
    with pytest.raises(RegistryAway) as away:
        await look_up(client_of("http://127.0.0.1:9/fhir/v2", clock), "99900000003")
    assert "99900000003" not in str(away.value)


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"[]",
        b'{"resourceType": "OperationOutcome"}',
        b'{"resourceType": "Bundle", "entry": {"a": 1}}',
        b'{"resourceType": "Bundle", "entry": [{"resource": {"resourceType": "Practitioner",'
        b' "identifier": [{"value": "99900000003"}]}}]}',
    ],
)
async def test_nonsense_is_no_answer(client: AnnuaireSante, annuaire: Annuaire, body: bytes) -> None:
    annuaire.answers = [Response(body, media_type="application/fhir+json")]
    with pytest.raises(RegistryAway):
        await look_up(client, "99900000003")


async def test_somebody_elses_record_is_nobodys(client: AnnuaireSante, annuaire: Annuaire) -> None:
    other = {"resourceType": "Practitioner", "id": "1", "active": False, "identifier": [{"value": "99900000011"}]}
    annuaire.answers = [JSONResponse({"resourceType": "Bundle", "entry": [{"resource": other}]})]
    assert await look_up(client, "99900000003") is None


async def test_changes_are_followed_through_every_page(client: AnnuaireSante, annuaire: Annuaire) -> None:
    gone = [f"9990000010{n}" for n in range(5)]
    annuaire.add(*(Professional(number, active=False) for number in gone))
    annuaire.add(Professional("99900000200", active=False, updated=datetime(2026, 8, 1, tzinfo=UTC)))
    found = [number.value async for number in client.inactive_since(SINCE)]
    assert found == gone
    assert annuaire.asked[0]["_lastUpdated"] == "ge2026-09-01T00:00:00Z"


async def test_a_page_elsewhere_is_not_followed_with_our_key(
    client: AnnuaireSante, annuaire: Annuaire, annuaire_at: tuple[Annuaire, str]
) -> None:
    elsewhere = annuaire_at[1].replace("127.0.0.1", "localhost")  # another host to a client, and one that listens
    link = [{"relation": "next", "url": f"{elsewhere}/Practitioner"}]
    annuaire.answers = [JSONResponse({"resourceType": "Bundle", "link": link})]
    with pytest.raises(RegistryAway):
        _ = [number async for number in client.inactive_since(SINCE)]
    assert len(annuaire.asked) == 1


async def test_calls_are_spaced_and_never_more_than_allowed(clock: Clock) -> None:
    pace, at = OwnPace(17, clock=clock, sleep=clock.sleep), []
    for _ in range(40):
        await pace.take()
        at.append(clock.now)
    assert all(sum(start <= one < start + 1 for one in at) <= 17 for start in at)
    clock.now += 60
    before = len(clock.slept)
    await pace.take()
    assert len(clock.slept) == before  # after a pause nobody waits


@pytest.fixture(scope="module")
def nppes_at() -> Iterator[tuple[Nppes, str]]:
    made = Nppes()
    made.add(Professional("1234567893", "SMITH", ("JOHN",), "207Q00000X", used_family="DOE"))
    with served(made.app) as address:
        yield made, f"{address}/api/"


async def test_the_registry_of_the_united_states_answers(nppes_at: tuple[Nppes, str], clock: Clock) -> None:
    nppes, address = nppes_at
    pace = OwnPace(1000, clock=clock, sleep=clock.sleep)
    npi = Npi(pace, base_url=address, calls=Calls("nppes", pace, sleep=clock.sleep))
    found = await look_up(npi, "1234567893")
    assert found is not None
    assert (found.families, found.givens, found.active) == (("SMITH", "DOE"), ("JOHN",), True)
    assert found.professions == {Profession.PHYSICIAN}
    assert nppes.asked[-1] == {"version": "2.1", "number": "1234567893"}
    nppes.people["1234567893"].active = False
    found = await look_up(npi, "1234567893")
    assert found is not None
    assert not found.active
    assert await look_up(npi, "1999999992") is None
    for nonsense in (
        {"Errors": [{"description": "x"}]},
        {"results": [{"number": "1234567893", "enumeration_type": "NPI-1"}]},
    ):
        nppes.answers = [JSONResponse(nonsense)]
        with pytest.raises(RegistryAway):
            await look_up(npi, "1234567893")
