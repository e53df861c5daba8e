"""Somebody joins: registration, the link in the letter, and the registry that knows their number. Over the public API.

Used by the tests and by the benchmark that counts what a newcomer has to do before the first answer.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.local.client import Person, Refused, wait_until
from deploy.local.mail import letters

_TOKEN = re.compile(r"[?&#]token=([A-Za-z0-9_-]+)")


@dataclass(frozen=True)
class Newcomer:
    """What somebody types who wants to join. The civil name and the number go to identity, and nowhere else."""

    email: str
    password: str
    pseudonym: str
    profession: str
    number: str
    family_name: str
    given_name: str
    registry: str = "rpps"
    specialty: str | None = None


def join(person: Person, newcomer: Newcomer, mail: Path) -> dict[str, Any]:
    """Become a verified member by registry; `mail` is the folder of the catcher. Returns what identity answered.

    Four requests: registration, confirmation (which signs in), the registry, and the account as it is then. Raises
    Refused, and TookTooLong where no letter comes.
    """
    person.call(
        "POST",
        "identity",
        "/registrations",
        {
            "email": newcomer.email,
            "password": newcomer.password,
            "pseudonym": newcomer.pseudonym,
            "profession": newcomer.profession,
            "specialty": newcomer.specialty,
            "country": "FR",
        },
    )
    token = wait_until("the letter with the link", lambda: _token(mail, newcomer.email))
    confirmed = {"token": token, "password": newcomer.password}
    person.use(person.call("POST", "identity", "/registrations/confirmation", confirmed))
    matched: dict[str, Any] = person.call(
        "POST",
        "identity",
        "/verifications/registry",
        {
            "registry": newcomer.registry,
            "number": newcomer.number,
            "family_name": newcomer.family_name,
            "given_name": newcomer.given_name,
        },
    )
    person.member = person.call("GET", "identity", "/me")
    return matched


def admitted(person: Person, service: str, path: str) -> bool:
    """Whether a service lets this person's open session in by now; raises Refused for any other reason."""
    try:
        person.call("GET", service, path)
    except Refused as refused:
        if refused.slug == "account-unverified":
            return False
        raise
    return True


def _token(mail: Path, email: str) -> str | None:
    found = [_TOKEN.search(letter.get_content()) for letter in letters(mail, email)]
    return found[-1][1] if found and found[-1] else None
