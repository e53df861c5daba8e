"""HTTP in: registration in two steps, one's own account, and the public keys that every service verifies with."""

import hashlib
import json
import logging
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Request, Response
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
    PasswordTooWeak,
    PseudonymMalformed,
    check_password,
    normalise_email,
    normalise_pseudonym,
)
from services.identity.domain.brakes import letter_brakes, registration_brakes, ticket_brakes
from services.identity.domain.letters import Letter
from services.identity.domain.tickets import Purpose
from services.identity.routes.desk import Desk, Member, SignedIn, Wanted, address_of, brake, open_session
from services.identity.routes.proofs import PROOF_REFUSED, Ticket
from services.identity.store.keys import JWKS_MAX_AGE_S
from shared.auth import Guard, Principal
from shared.auth_problems import TOKEN_REFUSED
from shared.events import Language, Profession, Specialty
from shared.web import ProblemKind, Text, field_error, language_of

__all__ = ["Desk", "Member", "make_router"]

log = logging.getLogger("identity")

# How many people come to the door, and how many of them confirm their address.
REGISTRATIONS = Counter("consilium_registrations_total", "Registrations over the API, by step", ["step"])

ALREADY_TAKEN = ProblemKind(
    "already-taken",
    409,
    Text(en="Already in use", fr="Déjà utilisé"),
    Text(
        en="Another member has this pseudonym. Choose another one.",
        fr="Un autre membre porte ce pseudonyme. Choisissez-en un autre.",
    ),
)
LINK_REFUSED = ProblemKind(
    "link-refused",
    410,
    Text(en="This link is of no use any more", fr="Ce lien ne sert plus"),
    Text(
        en="It has expired, or was used already. Ask for a new one.",
        fr="Il a expiré, ou a déjà servi. Demandez-en un nouveau.",
    ),
)

_WEAK_PASSWORD_FR = {
    "short": f"Un mot de passe doit avoir au moins {PASSWORD_MIN_CHARACTERS} caractères.",
    "long": f"Un mot de passe a au plus {PASSWORD_MAX_CHARACTERS} caractères.",
    "repetitive": "Ce mot de passe répète les mêmes caractères.",
    "guessable": "Ce mot de passe est de ceux que l'on essaie en premier pour deviner.",
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


def weak_password(error: PasswordTooWeak) -> Text:
    """Why a password is refused, in both languages."""
    return Text(en=str(error), fr=_WEAK_PASSWORD_FR[error.code])


Email = Annotated[str, Field(max_length=254, examples=["a.martin@hopital.example"]), AfterValidator(_email)]
Pseudonym = Annotated[str, Field(max_length=80, examples=["Dr Ambroise"]), AfterValidator(_pseudonym)]
Password = Annotated[SecretStr, Field(max_length=1024)]


class Registration(BaseModel):
    """Somebody wants to become a member."""

    model_config = ConfigDict(extra="forbid")

    # The password is judged by what comes before it.
    email: Email
    pseudonym: Pseudonym
    password: Password
    profession: Profession
    specialty: Specialty | None = None
    country: Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{2}$")] | None = Field(
        default=None, description="ISO 3166-1 alpha-2"
    )
    language: Language | None = Field(
        default=None, description="What to be written to in. Without it: as Accept-Language says, else French."
    )

    @field_validator("password")
    @classmethod
    def _password_is_strong(cls, password: SecretStr, info: ValidationInfo) -> SecretStr:
        known = {name: info.data.get(name, "") for name in ("email", "pseudonym")}
        try:
            check_password(password.get_secret_value(), **known)
        except PasswordTooWeak as error:
            raise field_error("password_too_weak", weak_password(error)) from error
        return password


class LetterSent(BaseModel):
    """Look into your mail. The answer is the same whether the address has an account or not."""

    status: str = "look-into-your-mail"


class Confirmation(BaseModel):
    """The token of the link that came by mail, and the password that was chosen: who clicks on a link that somebody
    else caused does not open an account for them.
    """

    model_config = ConfigDict(extra="forbid")

    token: Ticket
    password: Password
    delivery: Wanted = "body"


def make_router(desk: Desk, guard: Guard) -> APIRouter:
    """The routes of membership."""
    router = APIRouter()

    @router.post("/registrations", status_code=202, tags=["membership"])
    async def register(registration: Registration, request: Request) -> LetterSent:
        """Ask to become a member. A letter goes to the address; the account begins when that is confirmed.

        Nothing tells whether the address has an account already: its owner learns it by mail. Pseudonyms are public.
        """
        await brake(desk, registration_brakes(address_of(request)))
        if await desk.accounts.pseudonym_taken(registration.pseudonym):
            raise ALREADY_TAKEN()
        spoken = request.headers.get("accept-language")
        asked = {
            "email": registration.email,
            "password_hash": await desk.passwords.hash(registration.password.get_secret_value()),
            "pseudonym": registration.pseudonym,
            "profession": registration.profession.value,
            "specialty": registration.specialty.value if registration.specialty else None,
            "country": registration.country,
            "language": registration.language or (language_of(spoken) if spoken else "fr"),
        }
        if not await desk.attempts.begin(letter_brakes(registration.email, Letter.CONFIRM_ADDRESS)):
            facts = {"registration": json.dumps(asked)}
            await desk.mailer.enqueue_to(registration.email, Letter.CONFIRM_ADDRESS, facts)
        REGISTRATIONS.labels("asked").inc()
        return LetterSent()

    @router.post("/registrations/confirmation", status_code=201, tags=["membership"])
    async def confirm(given: Confirmation, request: Request, response: Response) -> SignedIn:
        """Confirm the address, and be signed in. The account takes part in nothing until the profession is verified."""
        account = await confirm_address(desk, given.token, given.password.get_secret_value(), address_of(request))
        return await open_session(desk, request, response, account, ("pwd",), given.delivery)

    @router.get("/me", tags=["membership"])
    async def me(caller: Annotated[Principal, Depends(guard.signed_in)]) -> Member:
        """My account as it is now, whatever its status and whatever my token says."""
        account = await desk.accounts.by_id(caller.member_id)
        if account is None:
            raise TOKEN_REFUSED(headers={"WWW-Authenticate": 'Bearer realm="consilium", error="invalid_token"'})
        return Member.of(account)

    @router.get(
        "/.well-known/jwks.json",
        tags=["keys"],
        response_model=dict[str, Any],
        responses={304: {"description": "They have not changed."}},
    )
    async def jwks(response: Response, if_none_match: Annotated[str, Header()] = "") -> dict[str, Any] | Response:
        """The public keys of access tokens (RFC 7517). 304 for who has them already: services ask every few seconds."""
        published = desk.keys.published()
        etag = f'"{hashlib.sha256(json.dumps(published, sort_keys=True).encode()).hexdigest()[:32]}"'
        headers = {"cache-control": f"public, max-age={JWKS_MAX_AGE_S}", "etag": etag}
        if etag in if_none_match:
            return Response(status_code=304, headers=headers)
        response.headers.update(headers)
        return published

    return router


async def confirm_address(desk: Desk, token: str, password: str, address: str) -> Account:
    """Make the account that a registration asked for. Raises problems.

    A wrong password leaves the link good. Whose pseudonym was taken meanwhile registers again with another.
    """
    await brake(desk, ticket_brakes(address))
    asked = await desk.tickets.look(Purpose.REGISTRATION, token)
    if asked is None:
        raise LINK_REFUSED()
    if not await desk.passwords.check(password, asked["password_hash"]):
        raise PROOF_REFUSED(headers={"WWW-Authenticate": 'Bearer realm="consilium"'})
    account = Account.register(
        email=asked["email"],
        password_hash=asked["password_hash"],
        pseudonym=asked["pseudonym"],
        profession=Profession(asked["profession"]),
        specialty=Specialty(asked["specialty"]) if asked["specialty"] else None,
        country=asked["country"],
        language=asked["language"],
        now=desk.now(),
    )
    try:
        await desk.accounts.add(account)
    except AlreadyTaken as error:
        # The address: a second link of the same person. Who holds the link owns the address and may be told.
        raise (ALREADY_TAKEN() if error.field == "pseudonym" else LINK_REFUSED()) from error
    await desk.tickets.redeem(Purpose.REGISTRATION, token)
    REGISTRATIONS.labels("confirmed").inc()
    log.info("registered", extra={"member_id": account.member_id})
    return account
