"""Who may call which route: each says so by its dependency, and the table of rights is read off the routes.

A dependency that lets callers through carries `needs(Access…)`; a route without one is open to everyone. What a caller
may do to a certain case, comment or profile is decided further inside, and is not in the table.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, TypeVar

from fastapi.routing import iter_route_contexts

from shared.events import MemberStatus, Profession, Role

if TYPE_CHECKING:
    from fastapi.dependencies.models import Dependant
    from starlette.routing import BaseRoute

F = TypeVar("F", bound=Callable[..., object])


class Access(StrEnum):
    """What a route asks of its caller. The last three are roles; their bearers are verified and have two factors."""

    OPEN = "open"
    SIGNED_IN = "signed_in"
    PROFESSIONAL = "professional"
    MODERATOR = Role.MODERATOR.value
    CREDENTIAL_REVIEWER = Role.CREDENTIAL_REVIEWER.value
    PRIVACY_OFFICER = Role.PRIVACY_OFFICER.value


@dataclass(frozen=True, slots=True)
class Caller:
    """A kind of account, as a column of the table. `status` None: nobody signed in."""

    name: str
    status: MemberStatus | None
    roles: frozenset[Role] = frozenset({Role.MEMBER})
    profession: Profession | None = None

    def may(self, access: Access) -> bool:
        """Whether a route with this access lets such a caller in."""
        if access is Access.OPEN:
            return True
        if access is Access.SIGNED_IN:
            return self.status is not None
        if self.status is not MemberStatus.VERIFIED:
            return False
        return (Role.MEMBER if access is Access.PROFESSIONAL else Role(access.value)) in self.roles


CALLERS: tuple[Caller, ...] = (
    Caller("stranger", None, frozenset()),
    Caller("unverified", MemberStatus.UNVERIFIED, profession=Profession.PHYSICIAN),
    Caller("suspended", MemberStatus.SUSPENDED, frozenset({Role.MEMBER, Role.MODERATOR}), Profession.PHYSICIAN),
    *(Caller(profession.value, MemberStatus.VERIFIED, profession=profession) for profession in Profession),
    *(
        Caller(role.value, MemberStatus.VERIFIED, frozenset({Role.MEMBER, role}), Profession.PHYSICIAN)
        for role in (Role.MODERATOR, Role.CREDENTIAL_REVIEWER)
    ),
    *(
        Caller(role.value, MemberStatus.VERIFIED, frozenset({role}))
        for role in (Role.PRIVACY_OFFICER, Role.PATIENT, Role.RELATIVE)
    ),
)
"""Every kind of account there is. A privacy officer may be no health professional."""


@dataclass(frozen=True, slots=True)
class Right:
    """One operation of a service and what it asks of its caller."""

    method: str
    path: str
    access: Access


def needs(access: Access) -> Callable[[F], F]:
    """Mark a dependency: it lets nobody through who has not this access."""

    def mark(dependency: F) -> F:
        dependency.__access__ = access  # type: ignore[attr-defined]
        return dependency

    return mark


def rights_of(routes: "Sequence[BaseRoute]") -> Iterator[Right]:
    """The operations of an application's routes, in their order. Of several marks the strictest counts."""
    for route in iter_route_contexts(routes):
        dependant: Dependant | None = getattr(route, "dependant", None)
        found = [Access.OPEN, *(_marks(dependant) if dependant else ())]
        for method in sorted((route.methods or set()) - {"HEAD"}):
            yield Right(method, route.path or "", max(found, key=list(Access).index))


def _marks(dependant: "Dependant") -> Iterator[Access]:
    access = getattr(dependant.call, "__access__", None)
    if access is not None:
        yield access
    for inner in dependant.dependencies:
        yield from _marks(inner)
