"""Stand-ins for the registries that cannot be called from a test, in the shapes their documentation gives.

`Annuaire`: FHIR R4 as in github.com/ansforge/annuaire-sante-fhir-documentation (version 2): the key in a header,
`identifier`, `_lastUpdated`, `active` and `_revinclude`, pages behind an opaque `_page?id=…`, and of an inactive
professional ids and `active: false` only. `Nppes`: version 2.1 as it is generally known; errors come with status 200.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

KEY = "a-key-of-the-portal"
G15 = "https://mos.esante.gouv.fr/NOS/TRE_G15-ProfessionSante/FHIR/TRE-G15-ProfessionSante"
R09 = "https://mos.esante.gouv.fr/NOS/TRE_R09-CategorieProfessionnelle/FHIR/TRE-R09-CategorieProfessionnelle"
R38 = "https://mos.esante.gouv.fr/NOS/TRE_R38-SpecialiteOrdinale/FHIR/TRE-R38-SpecialiteOrdinale"
ROLE_NAME = "https://interop.esante.gouv.fr/ig/fhir/annuaire/StructureDefinition/as-ext-practitionerrole-name"


@dataclass
class Professional:
    """Somebody whom a stand-in knows."""

    number: str
    family: str = "MARTIN"
    given: tuple[str, ...] = ("ANNE",)
    profession: str = "10"
    category: str = "C"
    skill: str = "SM54"
    active: bool = True
    updated: datetime = datetime(2026, 10, 1, 8, 0, tzinfo=UTC)
    used_family: str = ""


@dataclass
class StandIn:
    """What was asked of a stand-in, and the answers it gives before it goes back to work."""

    people: dict[str, Professional] = field(default_factory=dict)
    asked: list[Mapping[str, str]] = field(default_factory=list)
    answers: list[Response] = field(default_factory=list)

    def add(self, *people: Professional) -> None:
        for person in people:
            self.people[person.number] = person

    def fail(self, status: int, times: int = 1, **headers: str) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answers += [JSONResponse({"message": "no"}, status, named) for _ in range(times)]


class Annuaire(StandIn):
    """The French directory."""

    page_size = 2

    @property
    def app(self) -> Starlette:
        return Starlette(routes=[Route("/fhir/v2/Practitioner", self._search), Route("/fhir/v2/_page", self._page)])

    async def _search(self, request: Request) -> Response:
        self.asked.append(dict(request.query_params))
        if (refused := self._refused(request)) is not None:
            return refused
        asked = request.query_params
        found = list(self.people.values())
        if "identifier" in asked:
            found = [one for one in found if asked["identifier"] in (one.number, f"8{one.number}")]
        if "_lastUpdated" in asked:
            since = datetime.fromisoformat(asked["_lastUpdated"].removeprefix("ge"))
            found = [one for one in found if one.updated >= since]
        if "active" in asked:
            found = [one for one in found if one.active is (asked["active"] == "true")]
        return JSONResponse(self._bundle(request, found, 0, with_roles="_revinclude" in asked))

    async def _page(self, request: Request) -> Response:
        if (refused := self._refused(request)) is not None:
            return refused
        numbers, _, start = request.query_params["id"].partition("@")
        return JSONResponse(
            self._bundle(request, [self.people[each] for each in numbers.split(".")], int(start), False)
        )

    def _refused(self, request: Request) -> Response | None:
        if self.answers:
            return self.answers.pop(0)
        if request.headers.get("esante-api-key") != KEY:
            return JSONResponse({"message": "Unauthorized"}, 401)
        return None

    def _bundle(self, request: Request, found: list[Professional], start: int, with_roles: bool) -> dict[str, Any]:
        base = f"{request.base_url}fhir/v2"
        shown = found[start : start + self.page_size]
        resources = [_practitioner(one) for one in shown]
        if with_roles:
            resources += [_role(one) for one in shown if one.active]
        bundle: dict[str, Any] = {"resourceType": "Bundle", "type": "searchset", "total": len(found)}
        if resources:
            bundle["entry"] = [
                {"fullUrl": f"{base}/{one['resourceType']}/{one['id']}", "resource": one} for one in resources
            ]
        bundle["link"] = [{"relation": "self", "url": str(request.url)}]
        if start + self.page_size < len(found):
            onward = ".".join(one.number for one in found) + f"@{start + self.page_size}"
            bundle["link"].insert(0, {"relation": "next", "url": f"{base}/_page?id={onward}"})
        return bundle


def _practitioner(one: Professional) -> dict[str, Any]:
    resource: dict[str, Any] = {
        "resourceType": "Practitioner",
        "id": f"003-{one.number}",
        "meta": {"versionId": "2", "lastUpdated": one.updated.isoformat(), "source": "https://annuaire.sante.fr"},
        "identifier": [
            {"system": "https://rpps.esante.gouv.fr", "value": one.number},
            {"system": "urn:oid:1.2.250.1.71.4.2.1", "value": f"8{one.number}"},
        ],
        "active": one.active,
    }
    if one.active:
        resource["name"] = [{"family": one.family, "given": list(one.given), "prefix": ["MME"], "suffix": ["DR"]}]
        codings = [(G15, one.profession), (R09, one.category), (R38, one.skill)]
        resource["qualification"] = [{"code": {"coding": [{"system": s, "code": c}]}} for s, c in codings if c]
    return resource


def _role(one: Professional) -> dict[str, Any]:
    role: dict[str, Any] = {
        "resourceType": "PractitionerRole",
        "id": f"005-{one.number}",
        "active": True,
        "practitioner": {"reference": f"Practitioner/003-{one.number}"},
    }
    if one.used_family:
        name = {"family": one.used_family, "given": list(one.given)}
        role["extension"] = [{"url": ROLE_NAME, "valueHumanName": name}]
    return role


class Nppes(StandIn):
    """The registry of the United States. `profession` is a taxonomy code."""

    @property
    def app(self) -> Starlette:
        return Starlette(routes=[Route("/api/", self._search)])

    async def _search(self, request: Request) -> Response:
        self.asked.append(dict(request.query_params))
        if self.answers:
            return self.answers.pop(0)
        if request.query_params.get("version") != "2.1":
            errors = [{"description": "Unsupported Version", "field": "version", "number": "17"}]
            return JSONResponse({"Errors": errors})
        found = [one for one in self.people.values() if one.number == request.query_params.get("number")]
        return JSONResponse({"result_count": len(found), "results": [_result(one) for one in found]})


def _result(one: Professional) -> dict[str, Any]:
    result: dict[str, Any] = {
        "number": one.number,
        "enumeration_type": "NPI-1",
        "basic": {
            "first_name": one.given[0],
            "last_name": one.family,
            "status": "A" if one.active else "D",
            "last_updated": f"{one.updated:%Y-%m-%d}",
        },
        "taxonomies": [{"code": one.profession, "primary": True, "state": "NY", "license": "000000"}],
        "other_names": [],
    }
    if one.used_family:
        result["other_names"] = [{"type": "Former Name", "first_name": one.given[0], "last_name": one.used_family}]
    return result
