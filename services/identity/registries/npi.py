"""NPPES, the United States registry of National Provider Identifiers, by its public interface (version 2.1).

The shape of its answers is general knowledge, written down in `tests/registry_servers.py`; nothing here was run
against the real service. Deactivated numbers are not listed there any more, or have a status other than A.
"""

from datetime import UTC, datetime
from typing import Any, Final

from services.identity.domain.verification import Number, Practitioner
from services.identity.registries import RegistryAway, numbers
from services.identity.registries.calls import Calls, Pace
from services.identity.registries.professions import of_nucc

BASE_URL: Final = "https://npiregistry.cms.hhs.gov/api/"
SOURCE: Final = "nppes"


class Npi:
    """The registry `npi`, asked over HTTP; it needs no key."""

    name = "npi"
    country = "US"
    # What the documentation does not say outright: one that vanishes is looked into by a person, not suspended.
    lists_active_only = False

    def __init__(self, pace: Pace, *, base_url: str = BASE_URL, calls: Calls | None = None) -> None:
        self._url = base_url
        self._calls = calls or Calls(SOURCE, pace)

    def check_number(self, text: str) -> Number:
        return numbers.npi(text)

    async def look_up(self, number: Number) -> Practitioner | None:
        answer = await self._calls.get(self._url, {"version": "2.1", "number": number.value})
        results = answer.get("results")
        if not isinstance(results, list):  # errors of the interface come as 200 with a list "Errors"
            raise RegistryAway("an answer without results")
        for result in results:
            # NPI-2 is an organisation: nobody is one.
            if (
                isinstance(result, dict)
                and str(result.get("number")) == number.value
                and result.get("enumeration_type") == "NPI-1"
            ):
                return _practitioner(number, result)
        return None

    async def close(self) -> None:
        await self._calls.close()


def _practitioner(number: Number, result: dict[str, Any]) -> Practitioner:
    basic = result.get("basic")
    if not isinstance(basic, dict):
        raise RegistryAway("a result without its basic part")
    status = basic.get("status")
    if not isinstance(status, str):
        raise RegistryAway("a result that does not say whether it is active")
    names = [basic, *_list(result, "other_names")]
    taxonomies = [str(taxonomy.get("code", "")) for taxonomy in _list(result, "taxonomies")]
    return Practitioner(
        number=number,
        families=tuple(dict.fromkeys(str(name["last_name"]) for name in names if name.get("last_name"))),
        givens=tuple(dict.fromkeys(str(name["first_name"]) for name in names if name.get("first_name"))),
        professions=of_nucc(taxonomies),
        skills=tuple(dict.fromkeys(taxonomies)),
        active=status == "A",
        source=SOURCE,
        as_of=_updated(basic.get("last_updated")),
    )


def _updated(text: Any) -> datetime:
    try:
        return datetime.fromisoformat(str(text)).replace(tzinfo=UTC)
    except ValueError:
        return datetime.now(UTC)


def _list(holder: dict[str, Any], name: str) -> list[dict[str, Any]]:
    found = holder.get(name)
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []
