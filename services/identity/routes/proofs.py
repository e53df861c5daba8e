"""How a member proves who they are, beside or again: password, code, recovery code or passkey; and how that is checked.

A browser signs a passkey's challenge for our domain and origin only, which is why a passkey cannot be phished.
"""

import json
import logging
from typing import Annotated, Any

from prometheus_client import Counter
from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator
from webauthn import generate_authentication_options, options_to_json, verify_authentication_response
from webauthn.helpers import base64url_to_bytes
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorTransport,
    CredentialDeviceType,
    PublicKeyCredentialDescriptor,
    UserVerificationRequirement,
)

from services.identity.domain.account import Account
from services.identity.domain.brakes import Brake
from services.identity.domain.factors import RECOVERY, TOTP_FIELD, FactorRefused, Factors, Passkey, totp_step
from services.identity.domain.letters import Letter
from services.identity.domain.tickets import Purpose
from services.identity.routes.desk import BEARER, MAX_TOKEN, Desk, too_many
from shared.auth_problems import TOKEN_REFUSED
from shared.events import MemberStatus
from shared.web import ProblemKind, Text, field_error

log = logging.getLogger("identity")

# How sign-ins end: a rise of `refused` is guessing, of `slowed` guessing that goes on; `second` waits for a factor.
SIGN_INS = Counter("consilium_sign_ins_total", "Tries to sign in, by how they ended", ["outcome"])

CHALLENGE_S = 300

PROOF_REFUSED = ProblemKind(
    "proof-refused",
    401,
    Text(en="That did not prove who you are", fr="Cela ne prouve pas qui vous êtes"),
    Text(
        en="The code, passkey or password was not accepted; a code serves once. Try again with a new one.",
        fr="Le code, la clé d'accès ou le mot de passe n'a pas été accepté ; un code ne sert qu'une fois. Réessayez "
        "avec un nouveau.",
    ),
)
SESSION_ENDED = ProblemKind(
    "session-ended",
    401,
    Text(en="Your session has ended", fr="Votre session est terminée"),
    Text(en="Please sign in again.", fr="Veuillez vous connecter de nouveau."),
)

Ticket = Annotated[str, Field(max_length=MAX_TOKEN)]


class PasskeyAnswer(BaseModel):
    """What the browser made of a challenge (`navigator.credentials.get`), as PublicKeyCredential.toJSON() gives it."""

    model_config = ConfigDict(extra="forbid")

    ticket: Ticket
    credential: dict[str, Any]


class SecondProof(BaseModel):
    """One of them."""

    model_config = ConfigDict(extra="forbid")

    code: Annotated[str, Field(max_length=16, description="Of the authenticator app.")] | None = None
    recovery_code: Annotated[str, Field(max_length=64)] | None = None
    passkey: PasskeyAnswer | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> "SecondProof":
        if sum(getattr(self, name) is not None for name in self._kinds()) != 1:
            wrong = Text(en="Give exactly one proof.", fr="Donnez exactement une preuve.")
            raise field_error("one_proof", wrong)
        return self

    def _kinds(self) -> tuple[str, ...]:
        return ("code", "recovery_code", "passkey")


class Proof(SecondProof):
    """One of them; a password too."""

    password: Annotated[SecretStr, Field(max_length=1024)] | None = None

    def _kinds(self) -> tuple[str, ...]:
        return (*super()._kinds(), "password")


class PasskeyOptions(BaseModel):
    """A challenge for the browser: `options` go to `navigator.credentials`, `ticket` comes back with the answer."""

    ticket: str
    options: dict[str, Any]


async def prove_second(desk: Desk, account: Account, given: SecondProof, brakes: tuple[Brake, ...]) -> tuple[str, ...]:
    """Check one proof behind these brakes; what it proves, as a session remembers it. Raises problems."""
    wait_s = await desk.attempts.begin(brakes)
    if wait_s:
        SIGN_INS.labels("slowed").inc()
        await warn_of_failures(desk, account.member_id)
        raise too_many(wait_s)
    try:
        proved = await check_second(desk, account, given)
    except FactorRefused as refusal:
        SIGN_INS.labels("refused").inc()
        log.info("a second factor was refused: %s", refusal, extra={"member_id": account.member_id})
        raise PROOF_REFUSED(headers=BEARER) from refusal
    await desk.attempts.forgive(brakes)
    return proved


async def account_of(desk: Desk, member_id: str) -> Account:
    """The account of whom a ticket, a passkey or a token names. Raises TOKEN_REFUSED where it is none any more."""
    account = await desk.accounts.by_id(member_id)
    if account is None or account.status is MemberStatus.LEFT:
        raise TOKEN_REFUSED(headers={"WWW-Authenticate": 'Bearer realm="consilium", error="invalid_token"'})
    return account


async def check_second(desk: Desk, account: Account, given: SecondProof) -> tuple[str, ...]:
    """What the proof proves, as a session remembers it. Raises FactorRefused."""
    member_id = account.member_id
    if given.code is not None:
        await use_code(desk, member_id, given.code)
        return ("otp",)
    if given.recovery_code is not None:
        code = given.recovery_code
        left = await desk.factors.change(member_id, lambda factors: factors.use_recovery(code))
        log.info("a recovery code was used", extra={"member_id": member_id, "left": len(left.recovery)})
        return (RECOVERY,)
    assert given.passkey is not None
    _, amr = await check_passkey(desk, Purpose.PASSKEY_SECOND_FACTOR, given.passkey, account)
    return amr


async def use_code(desk: Desk, member_id: str, code: str) -> None:
    """Check a code of the authenticator app and use its time step up. Raises FactorRefused."""
    factors = await desk.factors.of_member(member_id)
    if factors.totp is None:
        raise FactorRefused("no authenticator app")
    secret = (await desk.sealed.open(member_id, TOTP_FIELD, factors.totp.sealed)).decode()
    step = totp_step(secret, code, desk.now())
    await desk.factors.change(member_id, lambda now: now.use_totp(step))


async def passkey_options(desk: Desk, purpose: Purpose, factors: Factors | None) -> PasskeyOptions:
    """A challenge: for one member's passkeys, or for whichever the device offers (`factors` None)."""
    allowed = [
        PublicKeyCredentialDescriptor(
            id=base64url_to_bytes(one.credential_id), transports=[AuthenticatorTransport(t) for t in one.transports]
        )
        for one in (factors.passkeys if factors else ())
    ]
    options = generate_authentication_options(
        rp_id=desk.settings.passkey_domain,
        timeout=CHALLENGE_S * 1000,
        allow_credentials=allowed or None,
        user_verification=UserVerificationRequirement.REQUIRED,
    )
    shown: dict[str, Any] = json.loads(options_to_json(options))
    ticket = await desk.tickets.issue(
        purpose,
        {"challenge": shown["challenge"], "member_id": factors.member_id if factors else None},
        CHALLENGE_S,
    )
    return PasskeyOptions(ticket=ticket, options=shown)


async def check_passkey(
    desk: Desk, purpose: Purpose, given: PasskeyAnswer, account: Account | None = None
) -> tuple[str, tuple[str, ...]]:
    """Whose passkey has signed our challenge, and what that proves. `account`: it has to be this member's.

    The challenge serves once, whatever comes of it. Raises FactorRefused.
    """
    asked = await desk.tickets.redeem(purpose, given.ticket)
    if asked is None or asked["member_id"] != (account.member_id if account else None):
        raise FactorRefused("no such challenge")
    credential_id = given.credential.get("id")
    factors = await desk.factors.by_passkey(credential_id) if isinstance(credential_id, str) else None
    known = factors.passkey(str(credential_id)) if factors else None
    if factors is None or known is None or (account is not None and factors.member_id != account.member_id):
        raise FactorRefused("an unknown passkey")
    try:
        verified = verify_authentication_response(
            credential=given.credential,
            expected_challenge=base64url_to_bytes(asked["challenge"]),
            expected_rp_id=desk.settings.passkey_domain,
            expected_origin=list(desk.settings.passkey_origins),
            credential_public_key=known.public_key,
            credential_current_sign_count=known.sign_count,
            require_user_verification=True,
        )
    except (WebAuthnException, ValueError, KeyError, TypeError) as error:
        raise FactorRefused(f"the passkey's answer does not verify: {type(error).__name__}") from error
    now = desk.now()
    await desk.factors.change(
        factors.member_id, lambda found: found.use_passkey(known.credential_id, verified.new_sign_count, now)
    )
    return factors.member_id, passkey_amr(known)


def passkey_amr(passkey: Passkey) -> tuple[str, ...]:
    """Possession of a key, and the finger, face or PIN that opened it: two factors in one (RFC 8176).

    `hwk` where the key cannot leave its hardware, `swk` where it may be synchronised.
    """
    return ("hwk" if passkey.device_bound else "swk", "user", "mfa")


def device_bound(kind: CredentialDeviceType) -> bool:
    """Whether the authenticator says that the key stays in one device."""
    return kind is CredentialDeviceType.SINGLE_DEVICE


async def warn_of_failures(desk: Desk, member_id: str) -> None:
    """Write to the owner when somebody who has the password keeps failing at the second factor; once a day."""
    today = desk.now().date().isoformat()
    await desk.mailer.enqueue(member_id, Letter.SECOND_FACTOR_FAILING, once=f"factor-failing:{member_id}:{today}")
