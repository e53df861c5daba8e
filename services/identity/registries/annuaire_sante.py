"""Annuaire Santé, the French directory of health professionals, by its FHIR R4 interface (version 2).

The shapes come from the agency's documentation (github.com/ansforge/annuaire-sante-fhir-documentation, v2) and its
guide (IG-fhir-annuaire); nothing here was run against the real service. An inactive professional comes with ids and
`active: false` only. Changes can be asked for the last 30 days.
"""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit

from services.identity.domain.verification import Number, NumberMalformed, Practitioner
from services.identity.registries import RegistryAway, numbers
from services.identity.registries.calls import Calls, Pace
from services.identity.registries.professions import STUDENT_CATEGORY, of_tre_g15

BASE_URL: Final = "https://gateway.api.esante.gouv.fr/fhir/v2"
CALLS_A_SECOND: Final = 17
SOURCE: Final = "annuaire-sante"
CHANGES_KEPT_DAYS: Final = 30

_SKILL_LISTS = ("TRE_R38", "TRE_R39", "TRE_R40", "TRE_R42", "TRE_R43", "TRE_R44", "TRE_R45", "TRE_R97")
_MAX_PAGES = 10_000


class AnnuaireSante:
    """The registry `rpps`, asked over HTTP. `key` is the API key of a (free) account at the agency's portal."""

    name = "rpps"
    country = "FR"
    lists_active_only = False

    def __init__(self, key: str, pace: Pace, *, base_url: str = BASE_URL, calls: Calls | None = None) -> None:
        self._base = base_url.rstrip("/")
        headers = {"ESANTE-API-KEY": key, "Accept": "application/fhir+json"}
        self._calls = calls or Calls(SOURCE, pace, headers=headers)

    def check_number(self, text: str) -> Number:
        return numbers.rpps(text)

    async def look_up(self, number: Number) -> Practitioner | None:
        params = {"identifier": number.value, "_revinclude": "PractitionerRole:practitioner"}
        bundle = await self._calls.get(f"{self._base}/Practitioner", params)
        resources = list(_resources(bundle))
        roles = [resource for resource in resources if resource.get("resourceType") == "PractitionerRole"]
        for resource in resources:
            if resource.get("resourceType") == "Practitioner" and number.value in _rpps_numbers(resource):
                mine = [role for role in roles if _points_at(role, resource)]
                return _practitioner(number, resource, mine)
        return None

    async def inactive_since(self, since: datetime) -> AsyncIterator[Number]:
        """The numbers of everybody who changed since then and is inactive now. Raises RegistryAway.

        The interface keeps changes for 30 days: of an older `since` it would tell less than asked.
        """
        url = f"{self._base}/Practitioner"
        params: dict[str, str] | None = {
            "_lastUpdated": f"ge{since.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "active": "false",
            "_count": "100",
        }
        for _ in range(_MAX_PAGES):
            bundle = await self._calls.get(url, params)
            for resource in _resources(bundle):
                if resource.get("resourceType") == "Practitioner" and resource.get("active") is False:
                    for value in _rpps_numbers(resource):
                        yield Number("rpps", value)
            onward = self._next_page(bundle)
            if onward is None:
                return
            url, params = onward, None
        raise RegistryAway("the pages of changes do not end")

    async def close(self) -> None:
        await self._calls.close()

    def _next_page(self, bundle: dict[str, Any]) -> str | None:
        """The address of the next page. Only one under our own base is followed, since our key goes with it."""
        links = bundle.get("link")
        for link in links if isinstance(links, list) else ():
            if isinstance(link, dict) and link.get("relation") == "next":
                url = str(link.get("url", ""))
                here, there = urlsplit(self._base), urlsplit(url)
                if (here.scheme, here.netloc) != (there.scheme, there.netloc):
                    raise RegistryAway("the next page of changes lies elsewhere")
                return url
        return None


def _resources(bundle: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if bundle.get("resourceType") != "Bundle":
        raise RegistryAway(f"an answer that is no Bundle but {str(bundle.get('resourceType'))[:40]}")
    entries = bundle.get("entry") or []
    if not isinstance(entries, list):
        raise RegistryAway("a Bundle whose entries are no list")
    for entry in entries:
        resource = entry.get("resource") if isinstance(entry, dict) else None
        if isinstance(resource, dict):
            yield resource


def _rpps_numbers(resource: dict[str, Any]) -> set[str]:
    """The RPPS numbers among a resource's identifiers; national identifiers (8 and the number) are read too."""
    found = set()
    for identifier in _list(resource, "identifier"):
        try:
            found.add(numbers.rpps(str(identifier.get("value", ""))).value)
        except NumberMalformed:
            continue
    return found


def _practitioner(number: Number, resource: dict[str, Any], roles: list[dict[str, Any]]) -> Practitioner:
    active = resource.get("active")
    if not isinstance(active, bool):
        raise RegistryAway("a Practitioner that does not say whether it is active")
    names = [*_list(resource, "name"), *(name for role in roles for name in _role_names(role))]
    concepts = [
        [(str(coding.get("system", "")), str(coding.get("code", ""))) for coding in _list(concept, "coding")]
        for qualification in _list(resource, "qualification")
        for concept in [qualification.get("code")]
        if isinstance(concept, dict)
    ]
    codings = [coding for concept in concepts for coding in concept]
    everywhere = _categories(codings)
    professions = (
        of_tre_g15(code, _category(_categories(concept) or everywhere))
        for concept in concepts
        for system, code in concept
        if "TRE_G15" in system
    )
    return Practitioner(
        number=number,
        families=tuple(dict.fromkeys(str(name["family"]) for name in names if name.get("family"))),
        givens=tuple(
            dict.fromkeys(
                part
                for name in names
                for given in [name.get("given")]
                if isinstance(given, list) and given
                for part in (*map(str, given), " ".join(map(str, given)))
            )
        ),
        professions=frozenset(mine for mine in professions if mine is not None),
        skills=tuple(dict.fromkeys(code for system, code in codings if any(known in system for known in _SKILL_LISTS))),
        active=active,
        source=SOURCE,
        as_of=_updated(resource),
    )


def _categories(codings: list[tuple[str, str]]) -> set[str]:
    return {code for system, code in codings if "TRE_R09" in system}


def _category(among: set[str]) -> str:
    """The category of a profession. Where nobody can tell which of several is its own, that of students is: a nurse
    who studies medicine is no physician.
    """
    return STUDENT_CATEGORY if STUDENT_CATEGORY in among else next(iter(among), "")


def _role_names(role: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The name under which the role is exercised, an extension of the agency's profile."""
    for extension in _list(role, "extension"):
        if str(extension.get("url", "")).endswith("practitionerrole-name") and isinstance(
            extension.get("valueHumanName"), dict
        ):
            yield extension["valueHumanName"]


def _points_at(role: dict[str, Any], practitioner: dict[str, Any]) -> bool:
    reference = role.get("practitioner")
    return isinstance(reference, dict) and str(reference.get("reference", "")).endswith(
        f"Practitioner/{practitioner.get('id')}"
    )


def _updated(resource: dict[str, Any]) -> datetime:
    meta = resource.get("meta")
    try:
        at = datetime.fromisoformat(str(meta["lastUpdated"])) if isinstance(meta, dict) else datetime.now(UTC)
    except (KeyError, ValueError):
        return datetime.now(UTC)
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _list(holder: dict[str, Any], name: str) -> list[dict[str, Any]]:
    found = holder.get(name)
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []
