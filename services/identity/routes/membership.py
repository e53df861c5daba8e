"""HTTP in: registration, sign-in, one's own account, and the public keys that every service verifies with."""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from prometheus_client import Counter
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    ValidationInfo,
    field_validator,
)

from services.identity.domain.account import (
    PASSWORD_MAX_CHARACTERS,
    PASSWORD_MIN_CHARACTERS,
    Account,
    AlreadyTaken,
    EmailMalformed,
    KeepsAccounts,
    PasswordTooWeak,
    PseudonymMalformed,
    check_password,
    normalise_email,
    normalise_pseudonym,
)
from services.identity.domain.brakes import CountsTries, registration_brakes, sign_in_brakes
from services.identity.settings import Settings
from services.identity.store.keys import SigningKey
from services.identity.store.passwords import Passwords
from shared.auth import TOKEN_REFUSED, Guard, Principal
from shared.events import MemberStatus, Profession, Role, Specialty
from shared.web import Problem, ProblemKind, Text, field_error

log = logging.getLogger("identity")

# How sign-ins end: a rise of `refused` is guessing, of `slowed` guessing that goes on.
SIGN_INS = Counter("consilium_sign_ins_total", "Tries to sign in, by how they ended", ["outcome"])
# How many people come to the door.
REGISTRATIONS = Counter("consilium_registrations_total", "Accounts made over the API")

SIGN_IN_FAILED = ProblemKind(
    "sign-in-failed",
    401,
    Text(en="Sign-in failed", fr="Connexion impossible"),
    Text(
        en="The e-mail address or the password is wrong. Check both and try again.",
        fr="L'adresse électronique ou le mot de passe est incorrect. Vérifiez les deux et réessayez.",
    ),
)
TOO_MANY_TRIES = ProblemKind(
    "too-many-tries",
    429,
    Text(en="Too many tries", fr="Trop d'essais"),
    Text(
        en="There were too many tries. Wait {retry_after_s} seconds, then try again.",
        fr="Il y a eu trop d'essais. Attendez {retry_after_s} secondes, puis réessayez.",
    ),
)
ALREADY_TAKEN = ProblemKind(
    "already-taken",
    409,
    Text(en="Already in use", fr="Déjà utilisé"),
    Text(
        en="The e-mail address or the pseudonym belongs to an account already. Sign in, or choose another one.",
        fr="L'adresse électronique ou le pseudonyme appartient déjà à un compte. Connectez-vous, ou choisissez-en "
        "un autre.",
    ),
)

_WEAK_PASSWORD_FR = {
    "short": f"Un mot de passe doit avoir au moins {PASSWORD_MIN_CHARACTERS} caractères.",
    "long": f"Un mot de passe a au plus {PASSWORD_MAX_CHARACTERS} caractères.",
    "repetitive": "Ce mot de passe répète les mêmes caractères.",
    "personal": "Ce mot de passe contient votre pseudonyme, votre adresse ou notre nom.",
}


def _email(text: str) -> str:
    try:
        return normalise_email(text)
    except EmailMalformed as error:
        wrong = Text(en="This is not an e-mail address.", fr="Ceci n'est pas une adresse électronique.")
        raise field_error("email_malformed", wrong) from error


def _pseudonym(text: str) -> str:
    try:
        return normalise_pseudonym(text)
    except PseudonymMalformed as error:
        wrong = Text(
            en="A pseudonym has 3 to 40 letters, digits, spaces, dots, apostrophes or hyphens.",
            fr="Un pseudonyme a de 3 à 40 lettres, chiffres, espaces, points, apostrophes ou traits d'union.",
        )
        raise field_error("pseudonym_malformed", wrong) from error


class Registration(BaseModel):
    """Somebody wants to become a member."""

    model_config = ConfigDict(extra="forbid")

    # The password is judged by what comes before it.
    email: Annotated[str, Field(max_length=254, examples=["a.martin@hopital.example"]), AfterValidator(_email)]
    pseudonym: Annotated[str, Field(max_length=80, examples=["Dr Ambroise"]), AfterValidator(_pseudonym)]
    password: Annotated[SecretStr, Field(max_length=1024)]
    profession: Profession
    specialty: Specialty | None = None
    country: Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{2}$")] | None = Field(
        default=None, description="ISO 3166-1 alpha-2"
    )

    @field_validator("password")
    @classmethod
    def _password_is_strong(cls, password: SecretStr, info: ValidationInfo) -> SecretStr:
        known = {name: info.data.get(name, "") for name in ("email", "pseudonym")}
        try:
            check_password(password.get_secret_value(), **known)
        except PasswordTooWeak as error:
            weak = Text(en=str(error), fr=_WEAK_PASSWORD_FR[error.code])
            raise field_error("password_too_weak", weak) from error
        return password


class SignIn(BaseModel):
    """Any text is taken for address and password: a form that judges them tells what accounts look like."""

    model_config = ConfigDict(extra="forbid")

    email: Annotated[str, Field(max_length=254)]
    password: Annotated[SecretStr, Field(max_length=1024)]


class Member(BaseModel):
    """A member, as shown to themselves."""

    member_id: str
    version: int
    email: str
    pseudonym: str
    profession: Profession | None
    specialty: Specialty | None
    country: str | None
    roles: list[Role]
    status: MemberStatus
    verified_at: datetime | None
    created_at: datetime

    @classmethod
    def of(cls, account: Account) -> "Member":
        return cls(
            member_id=account.member_id,
            version=account.version,
            email=account.email,
            pseudonym=account.pseudonym,
            profession=account.profession,
            specialty=account.specialty,
            country=account.country,
            roles=sorted(account.roles),
            status=account.status,
            verified_at=account.verified_at,
            created_at=account.created_at,
        )


class Session(BaseModel):
    """An access token for `Authorization: Bearer …`, good for `expires_in` seconds at every service."""

    access_token: str
    token_type: str = "Bearer"  # noqa: S105 - the scheme's name
    expires_in: int
    member: Member


@dataclass(frozen=True, slots=True)
class Desk:
    """What the routes work with."""

    settings: Settings
    accounts: KeepsAccounts
    attempts: CountsTries
    passwords: Passwords
    key: SigningKey


def make_router(desk: Desk, guard: Guard) -> APIRouter:
    """Identity's routes."""
    router = APIRouter()

    @router.post("/registrations", status_code=201, tags=["membership"])
    async def register(registration: Registration, request: Request) -> Member:
        """Ask to become a member. The account takes part in nothing until the profession is verified."""
        wait_s = await desk.attempts.begin(registration_brakes(_address(request)))
        if wait_s:
            raise _too_many(wait_s)
        account = Account.register(
            email=registration.email,
            password_hash=await desk.passwords.hash(registration.password.get_secret_value()),
            pseudonym=registration.pseudonym,
            profession=registration.profession,
            specialty=registration.specialty,
            country=registration.country,
            now=datetime.now(UTC),
        )
        try:
            await desk.accounts.add(account)
        except AlreadyTaken as error:
            raise ALREADY_TAKEN() from error
        REGISTRATIONS.inc()
        log.info("registered", extra={"member_id": account.member_id})
        return Member.of(account)

    @router.post("/sessions", tags=["membership"])
    async def sign_in(asked: SignIn, request: Request) -> Session:
        """Sign in. A wrong password and an unknown address get the same answer after the same time."""
        try:
            email = normalise_email(asked.email)
        except EmailMalformed:
            email = ""
        brakes = sign_in_brakes(email or asked.email, _address(request))
        wait_s = await desk.attempts.begin(brakes)
        if wait_s:
            SIGN_INS.labels("slowed").inc()
            raise _too_many(wait_s)
        account = await desk.accounts.by_email(email)
        password = asked.password.get_secret_value()
        right = await desk.passwords.check(password, account.password_hash if account else None)
        if account is None or not right:
            SIGN_INS.labels("refused").inc()
            log.info("sign-in refused", extra={"member_id": account.member_id if account else None})
            raise SIGN_IN_FAILED(headers={"WWW-Authenticate": 'Bearer realm="consilium"'})
        await desk.attempts.forgive(brakes)
        if desk.passwords.outdated(account.password_hash):
            stronger = await desk.passwords.hash(password)
            await desk.accounts.replace_hash(account.member_id, account.password_hash, stronger)
        SIGN_INS.labels("accepted").inc()
        log.info("signed in", extra={"member_id": account.member_id})
        settings = desk.settings
        claims = account.claims(
            issuer=settings.token_issuer,
            audience=settings.token_audience,
            now=datetime.now(UTC),
            ttl_s=settings.access_token_ttl_s,
        )
        return Session(
            access_token=desk.key.sign(claims),
            expires_in=settings.access_token_ttl_s,
            member=Member.of(account),
        )

    @router.get("/me", tags=["membership"])
    async def me(caller: Annotated[Principal, Depends(guard.signed_in)]) -> Member:
        """My account as it is now, whatever its status and whatever my token says."""
        account = await desk.accounts.by_id(caller.member_id)
        if account is None:
            raise TOKEN_REFUSED(headers={"WWW-Authenticate": 'Bearer realm="consilium", error="invalid_token"'})
        return Member.of(account)

    @router.get("/.well-known/jwks.json", tags=["keys"])
    async def jwks(response: Response) -> dict[str, Any]:
        """The public keys of access tokens (RFC 7517)."""
        response.headers["cache-control"] = "public, max-age=60"
        return desk.key.published()

    return router


def _too_many(wait_s: int) -> Problem:
    return TOO_MANY_TRIES(retry_after_s=wait_s, headers={"Retry-After": str(wait_s)})


def _address(request: Request) -> str:
    return request.client.host if request.client else ""
