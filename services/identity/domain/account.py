"""The rules of accounts: how one begins, how its status moves, what a token says of it."""

import re
import unicodedata
import uuid
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from zxcvbn import zxcvbn

from services.identity.domain.leaving import Departure, NotLeaving
from shared.events import Contributions, Language, MemberChanged, MemberStatus, Profession, Role, Specialty

REGISTRY_INACTIVE = "registry_inactive"
"""Why an account is suspended whose registry says that the person does not practise (any more)."""

PASSWORD_MIN_CHARACTERS = 12
PASSWORD_MAX_CHARACTERS = 128
PASSWORD_MIN_DIFFERENT = 5
PASSWORD_MIN_GUESSES = 10**8
"""What a guesser who knows leaked passwords needs at least; below, a leaked hash would fall within days."""
EMAIL_MAX_CHARACTERS = 254

_EMAIL = re.compile(r"^[^\s@\"(),:;<>\[\\\]]{1,64}@(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{1,62}$")
_PSEUDONYM = re.compile(r"^\w(?:[\w .'-]{1,38})\w$")


class EmailMalformed(ValueError):
    """This is not an e-mail address."""


class PseudonymMalformed(ValueError):
    """A pseudonym has 3 to 40 letters, digits, spaces, dots, apostrophes, hyphens or underscores."""


class PasswordTooWeak(ValueError):
    """The password is too easy to guess. `code` is stable; the message is a sentence that says why."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


class MoveRefused(Exception):
    """The account's status does not allow this move; the message is a sentence for the operator."""


class RolesRefused(ValueError):
    """These roles do not go with this profession, or with each other; the message is a sentence for the operator."""


class AlreadyTaken(Exception):
    """Another account has this e-mail address or this pseudonym; `field` says which."""

    def __init__(self, field: str) -> None:
        super().__init__(f"Another account has this {field}.")
        self.field = field


class AccountUnknown(LookupError):
    """There is no such account."""


def normalise_email(text: str) -> str:
    """The one spelling under which an address is kept and looked up. Raises EmailMalformed.

    Lower case throughout: no provider of note tells upper from lower case in the local part, people do not either.
    The domain of an international address is kept in its ASCII form (IDNA).
    """
    local, at, domain = unicodedata.normalize("NFKC", text).strip().lower().rpartition("@")
    try:
        email = f"{local}{at}{domain.encode('idna').decode()}"
    except UnicodeError as error:
        raise EmailMalformed(text) from error
    if len(email) > EMAIL_MAX_CHARACTERS or not _EMAIL.match(email):
        raise EmailMalformed(text)
    return email


def normalise_pseudonym(text: str) -> str:
    """The pseudonym as shown: composed characters, single spaces. Raises PseudonymMalformed."""
    shown = " ".join(unicodedata.normalize("NFKC", text).split())
    if not _PSEUDONYM.match(shown):
        raise PseudonymMalformed(text)
    return shown


def pseudonym_key(pseudonym: str) -> str:
    """What two pseudonyms have in common that a reader would confuse: case, accents, spaces and punctuation."""
    plain = unicodedata.normalize("NFKD", pseudonym.casefold())
    return "".join(character for character in plain if character.isalnum())


def check_roles(profession: Profession | None, roles: frozenset[Role]) -> None:
    """Raise RolesRefused unless one account may have these roles.

    Who moderates or reviews credentials is a professional, and no student; patients and relatives have no other role.
    """
    decides = roles & {Role.MODERATOR, Role.CREDENTIAL_REVIEWER}
    if profession is None and (decides or not roles or Role.MEMBER in roles):
        raise RolesRefused("Members, moderators and credential reviewers have a profession: give one.")
    if profession is Profession.STUDENT and decides:
        raise RolesRefused("A student can be neither moderator nor credential reviewer.")
    if roles & {Role.PATIENT, Role.RELATIVE} and (profession is not None or len(roles) > 1):
        raise RolesRefused("A patient's or relative's account has no profession and no other role.")


def check_password(password: str, *, email: str, pseudonym: str) -> None:
    """Raise PasswordTooWeak where a guesser would be quick. Length counts, composition rules do not (ASVS 5.0, 6.2)."""
    folded = pseudonym_key(password)
    if len(password) < PASSWORD_MIN_CHARACTERS:
        raise PasswordTooWeak("short", f"A password needs at least {PASSWORD_MIN_CHARACTERS} characters.")
    if len(password) > PASSWORD_MAX_CHARACTERS:
        raise PasswordTooWeak("long", f"A password has at most {PASSWORD_MAX_CHARACTERS} characters.")
    if len(set(password)) < PASSWORD_MIN_DIFFERENT:
        raise PasswordTooWeak("repetitive", "This password repeats the same few characters.")
    for known in (email.partition("@")[0], pseudonym, "consilium"):
        if len(pseudonym_key(known)) >= 4 and pseudonym_key(known) in folded:
            raise PasswordTooWeak("personal", "This password contains your pseudonym, your address or our name.")
    # Lists of leaked passwords and what people make of them; what comes after 72 characters only makes it stronger.
    if zxcvbn(password[:72], user_inputs=[email, pseudonym])["guesses"] < PASSWORD_MIN_GUESSES:
        raise PasswordTooWeak("guessable", "This password is among those that guessers try first.")


@dataclass(frozen=True, slots=True)
class Account:
    """One person's account. Every move gives a new Account whose version is one higher.

    unverified → verified by `verify`; anything → suspended by `suspend`; back to where it was by `reinstate`.
    """

    member_id: str
    email: str
    password_hash: str
    pseudonym: str
    profession: Profession | None
    created_at: datetime
    specialty: Specialty | None = None
    country: str | None = None
    roles: frozenset[Role] = frozenset({Role.MEMBER})
    status: MemberStatus = MemberStatus.UNVERIFIED
    version: int = 1
    registry: str | None = None
    verified_at: datetime | None = None
    checked_at: datetime | None = None
    suspended_for: str | None = None
    contributions: Contributions | None = None
    language: Language = "fr"
    """What the member is written to in."""
    departure: Departure | None = None
    """Set while the member is about to leave; nobody else meets them then."""

    @classmethod
    def register(
        cls,
        *,
        email: str,
        password_hash: str,
        pseudonym: str,
        profession: Profession | None,
        now: datetime,
        specialty: Specialty | None = None,
        country: str | None = None,
        roles: frozenset[Role] = frozenset(),
        language: Language = "fr",
    ) -> "Account":
        """A new account, unverified, under an id that tells nothing. With a profession it is a member's.

        Raises EmailMalformed, PseudonymMalformed, and RolesRefused where the roles do not go with the profession.
        """
        check_roles(profession, roles)
        return cls(
            member_id=str(uuid.uuid4()),
            email=normalise_email(email),
            password_hash=password_hash,
            pseudonym=normalise_pseudonym(pseudonym),
            profession=profession,
            specialty=specialty,
            country=country.upper() if country else None,
            roles=roles | ({Role.MEMBER} if profession else frozenset()),
            created_at=now,
            language=language,
        )

    def verify(self, now: datetime, registry: str | None = None) -> "Account":
        """The person is the professional they say. `registry`: where that was found, None for a manual check."""
        if self.status is MemberStatus.VERIFIED:
            raise MoveRefused(f"{self.pseudonym} is verified already.")
        if self.status is MemberStatus.SUSPENDED:
            raise MoveRefused(f"{self.pseudonym} is suspended: reinstate the account first.")
        return self._moved(status=MemberStatus.VERIFIED, verified_at=now, checked_at=now, registry=registry)

    def confirm(
        self,
        now: datetime,
        registry: str | None,
        *,
        profession: Profession | None = None,
        specialty: Specialty | None = None,
        country: str | None = None,
    ) -> "Account":
        """As `verify`, also of a person verified before, and with what the proof says in place of what they said."""
        if self.status not in (MemberStatus.UNVERIFIED, MemberStatus.VERIFIED):
            raise MoveRefused(f"{self.pseudonym} is {self.status}: no proof changes that.")
        return self._moved(
            status=MemberStatus.VERIFIED,
            verified_at=now,
            checked_at=now,
            registry=registry,
            profession=profession or self.profession,
            specialty=specialty or self.specialty,
            country=country or self.country,
        )

    def checked(self, now: datetime) -> "Account":
        """The registry was asked again, and says what it said."""
        if self.status is not MemberStatus.VERIFIED:
            raise MoveRefused(f"{self.pseudonym} is {self.status}, not verified.")
        return self._moved(checked_at=now)

    def lapse(self) -> "Account":
        """The proof is too old: unverified again, until there is a new one."""
        if self.status is not MemberStatus.VERIFIED:
            raise MoveRefused(f"{self.pseudonym} is {self.status}, not verified.")
        return self._moved(status=MemberStatus.UNVERIFIED, verified_at=None, checked_at=None, registry=None)

    def suspend(self, reason: str) -> "Account":
        """Shut the person out. The reason stays in identity; events tell the status only.

        A person's reason takes the place of a registry's, so that the registry alone does not let them in again.
        """
        by_registry = self.suspended_for == REGISTRY_INACTIVE and reason != REGISTRY_INACTIVE
        if self.status is MemberStatus.SUSPENDED and not by_registry:
            raise MoveRefused(f"{self.pseudonym} is suspended already.")
        if not reason.strip():
            raise MoveRefused("A suspension needs a reason.")
        return self._moved(status=MemberStatus.SUSPENDED, suspended_for=reason.strip())

    def reinstate(self) -> "Account":
        """End a suspension: verified again if the person was verified before."""
        if self.status is not MemberStatus.SUSPENDED:
            raise MoveRefused(f"{self.pseudonym} is not suspended.")
        status = MemberStatus.VERIFIED if self.verified_at else MemberStatus.UNVERIFIED
        return self._moved(status=status, suspended_for=None)

    def rename(self, pseudonym: str) -> "Account":
        """Another pseudonym, in its normalised form; the same one changes nothing."""
        if self.status in (MemberStatus.SUSPENDED, MemberStatus.LEFT):
            raise MoveRefused(f"{self.pseudonym} is {self.status}: the pseudonym stays.")
        return self if pseudonym == self.pseudonym else self._moved(pseudonym=pseudonym)

    def leave(self, departure: Departure) -> "Account":
        """The member wants to leave; who asks again waits anew."""
        return self._moved(departure=departure)

    def stay(self) -> "Account":
        """The wish to leave is taken back. Raises NotLeaving."""
        if self.departure is None:
            raise NotLeaving
        return self._moved(departure=None)

    def changed(self) -> MemberChanged:
        """The event that tells every service the account's public state: neither address nor reason."""
        return MemberChanged(
            member_id=self.member_id,
            version=self.version,
            pseudonym=self.pseudonym,
            profession=self.profession,
            specialty=self.specialty,
            country=self.country,
            roles=tuple(sorted(self.roles)),
            status=self.status,
            registry=self.registry,
            verified_at=self.verified_at,
            checked_at=self.checked_at,
            contributions=self.contributions,
        )

    def claims(self, *, issuer: str, audience: str, now: datetime, ttl_s: int) -> dict[str, Any]:
        """The claims of an access token (RFC 9068) that this person may have now."""
        return {
            "iss": issuer,
            "aud": audience,
            "sub": self.member_id,
            "iat": int(now.timestamp()),
            "exp": int((now + timedelta(seconds=ttl_s)).timestamp()),
            "jti": str(uuid.uuid4()),
            "status": self.status.value,
            "roles": sorted(role.value for role in self.roles),
            "profession": self.profession.value if self.profession else None,
            "specialty": self.specialty.value if self.specialty else None,
            "pseudonym": self.pseudonym,
            "member_version": self.version,
        }

    def _moved(self, **changes: Any) -> "Account":
        return replace(self, version=self.version + 1, **changes)


class KeepsAccounts(Protocol):
    """What the routes need of the accounts."""

    async def add(self, account: Account) -> None:
        """Keep a new account and tell of it. Raises AlreadyTaken."""

    async def replace_hash(self, member_id: str, old: str, new: str) -> None:
        """Put a stronger hash of the same password in place, unless the password was changed meanwhile."""

    async def set_password(self, member_id: str, password_hash: str, *, but_session: str | None) -> None:
        """Put another password in place and end the member's sessions, but for that one, in one act."""

    async def pseudonym_taken(self, pseudonym: str) -> bool:
        """Whether a reader would confuse the pseudonym with that of an account."""

    async def by_email(self, email: str) -> Account | None:
        """The account with that normalised address."""

    async def by_id(self, member_id: str) -> Account | None:
        """The account with that id."""
