"""HTTP in: my authenticator app, my passkeys, my recovery codes. Whatever changes them asks for a fresh sign-in."""

import json
import logging
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Response
from pydantic import BaseModel, ConfigDict, Field
from webauthn import generate_registration_options, options_to_json, verify_registration_response
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url
from webauthn.helpers.cose import COSEAlgorithmIdentifier
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    AuthenticatorTransport,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from services.identity.domain.account import Account
from services.identity.domain.brakes import challenge_brakes, proof_brakes
from services.identity.domain.factors import (
    MAX_PASSKEYS,
    TOTP_FIELD,
    FactorLimit,
    FactorRefused,
    Factors,
    Passkey,
    Totp,
    new_totp_secret,
    totp_step,
    totp_uri,
)
from services.identity.domain.letters import Letter
from services.identity.domain.tickets import Purpose
from services.identity.routes.desk import Desk, brake
from services.identity.routes.factor_changes import Added, Removed, added, new_codes, removed, tell, token_refused
from services.identity.routes.proofs import (
    CHALLENGE_S,
    PROOF_REFUSED,
    PasskeyAnswer,
    PasskeyOptions,
    device_bound,
    passkey_amr,
)
from shared.auth import Guard, Principal
from shared.events import STAFF_ROLES
from shared.web import ProblemKind, Text

log = logging.getLogger("identity")

ALGORITHMS = [
    COSEAlgorithmIdentifier.EDDSA,
    COSEAlgorithmIdentifier.ECDSA_SHA_256,
    COSEAlgorithmIdentifier.RSASSA_PKCS1_v1_5_SHA_256,
]
PASSKEY_LIMIT = ProblemKind(
    "passkey-limit",
    409,
    Text(en="Enough passkeys", fr="Assez de clés d'accès"),
    Text(
        en="An account has at most {limit} passkeys. Remove one that you do not use.",
        fr="Un compte a au plus {limit} clés d'accès. Retirez-en une qui ne vous sert plus.",
    ),
)
PASSKEY_UNKNOWN = ProblemKind(
    "passkey-unknown",
    404,
    Text(en="No such passkey", fr="Clé d'accès inconnue"),
    Text(
        en="Your account has no passkey of that id. Look at the list again.",
        fr="Votre compte n'a pas de clé d'accès de cet identifiant. Relisez la liste.",
    ),
)
TOTP_UNKNOWN = ProblemKind(
    "totp-unknown",
    404,
    Text(en="No authenticator app", fr="Pas d'application d'authentification"),
    Text(
        en="Your account has no authenticator app. Look at the list again.",
        fr="Votre compte n'a pas d'application d'authentification. Relisez la liste.",
    ),
)
NO_SECOND_FACTOR = ProblemKind(
    "no-second-factor",
    409,
    Text(en="No second factor yet", fr="Pas encore de second facteur"),
    Text(
        en="Recovery codes stand in for a second factor: add an authenticator app or a passkey first.",
        fr="Les codes de secours remplacent un second facteur : ajoutez d'abord une application d'authentification ou "
        "une clé d'accès.",
    ),
)


class PasskeyShown(BaseModel):
    """One of my passkeys."""

    passkey_id: str
    name: str
    device_bound: bool = Field(description="Whether it stays in one device, or may be synchronised to others.")
    added_at: datetime
    last_used_at: datetime | None


class FactorsShown(BaseModel):
    """What I can prove beside my password."""

    totp_since: datetime | None
    passkeys: list[PasskeyShown]
    recovery_codes_left: int

    @classmethod
    def of(cls, factors: Factors) -> "FactorsShown":
        passkeys = [
            PasskeyShown(
                passkey_id=one.credential_id,
                name=one.name,
                device_bound=one.device_bound,
                added_at=one.added_at,
                last_used_at=one.last_used_at,
            )
            for one in factors.passkeys
        ]
        return cls(
            totp_since=factors.totp.added_at if factors.totp else None,
            passkeys=passkeys,
            recovery_codes_left=len(factors.recovery),
        )


class NewTotp(BaseModel):
    """For the authenticator app: `uri` as a QR code, or `secret` typed in. Shown this once."""

    secret: str
    uri: str


class Code(BaseModel):
    model_config = ConfigDict(extra="forbid")

    code: Annotated[str, Field(max_length=16)]


class NewPasskey(PasskeyAnswer):
    """What the browser made of the challenge (`navigator.credentials.create`), under a name that I know it by."""

    name: Annotated[str, Field(min_length=1, max_length=60)]


class RecoveryCodes(BaseModel):
    """Ten codes that serve once each, shown this once; older ones are worth nothing any more."""

    recovery_codes: list[str]


def make_router(desk: Desk, guard: Guard) -> APIRouter:
    """The routes of second factors."""
    router = APIRouter(prefix="/me/factors", tags=["second factors"])

    # Just signed in, and with the second factor where there is one: a password alone must not replace it.
    Strong = Annotated[Principal, Depends(guard.just_signed_in)]

    @router.get("")
    async def show(caller: Annotated[Principal, Depends(guard.signed_in)]) -> FactorsShown:
        """What I can prove beside my password."""
        return FactorsShown.of(await desk.factors.of_member(caller.member_id))

    @router.post("/totp")
    async def begin_totp(caller: Strong) -> NewTotp:
        """A secret for an authenticator app. It counts once its first code has been confirmed."""
        account = await _account(desk, caller)
        secret = new_totp_secret()
        sealed = await desk.sealed.seal(account.member_id, TOTP_FIELD, secret.encode())
        pending = Totp(sealed, desk.now())
        await desk.factors.change(account.member_id, lambda factors: factors.with_pending(pending))
        return NewTotp(secret=secret, uri=totp_uri(secret, account.pseudonym))

    @router.post("/totp/confirmation")
    async def confirm_totp(given: Code, response: Response, caller: Strong) -> Added:
        """The app's first code: from now on it is asked for at sign-in."""
        account = await _account(desk, caller)
        brakes = proof_brakes(account.member_id, "", f"session {caller.session_id}")
        await brake(desk, brakes)
        pending = (await desk.factors.of_member(account.member_id)).pending
        try:
            if pending is None:
                raise FactorRefused("no authenticator app waits for its first code")
            secret = (await desk.sealed.open(account.member_id, TOTP_FIELD, pending.sealed)).decode()
            step = totp_step(secret, given.code, desk.now())
            await desk.factors.change(account.member_id, lambda factors: factors.confirm_totp(step))
        except FactorRefused as refusal:
            raise PROOF_REFUSED(headers={"WWW-Authenticate": 'Bearer realm="consilium"'}) from refusal
        await desk.attempts.forgive(brakes)
        return await added(desk, response, account, caller, "totp", ("otp",))

    @router.delete("/totp")
    async def remove_totp(response: Response, caller: Strong) -> Removed:
        """Forget the authenticator app, and end all other sessions. Who decides about others keeps a last factor."""
        account = await _account(desk, caller)
        if (await desk.factors.of_member(account.member_id)).totp is None:
            raise TOTP_UNKNOWN()
        needed = bool(account.roles & STAFF_ROLES)
        return await removed(
            desk, response, account, caller, lambda factors: factors.without_totp(needed=needed), "totp"
        )

    @router.post("/passkeys/options")
    async def passkey_challenge(caller: Strong) -> PasskeyOptions:
        """A challenge with which a browser makes a new passkey."""
        await brake(desk, challenge_brakes(f"session {caller.session_id}"))
        account = await _account(desk, caller)
        factors = await desk.factors.of_member(account.member_id)
        if len(factors.passkeys) >= MAX_PASSKEYS:
            raise PASSKEY_LIMIT(limit=MAX_PASSKEYS)
        options = generate_registration_options(
            rp_id=desk.settings.passkey_domain,
            rp_name="Consilium",
            user_id=account.member_id.encode(),
            user_name=account.pseudonym,
            timeout=CHALLENGE_S * 1000,
            authenticator_selection=AuthenticatorSelectionCriteria(
                # Discoverable, and opened by finger, face or PIN: a passkey is to be enough alone.
                resident_key=ResidentKeyRequirement.REQUIRED,
                user_verification=UserVerificationRequirement.REQUIRED,
            ),
            exclude_credentials=[
                PublicKeyCredentialDescriptor(id=base64url_to_bytes(one.credential_id)) for one in factors.passkeys
            ],
            supported_pub_key_algs=ALGORITHMS,
        )
        shown: dict[str, Any] = json.loads(options_to_json(options))
        data = {"challenge": shown["challenge"], "member_id": account.member_id}
        ticket = await desk.tickets.issue(Purpose.PASSKEY_REGISTRATION, data, CHALLENGE_S)
        return PasskeyOptions(ticket=ticket, options=shown)

    @router.post("/passkeys", status_code=201)
    async def add_passkey(given: NewPasskey, response: Response, caller: Strong) -> Added:
        """The new passkey, as the browser gave it. It signs in alone, and serves as a second factor."""
        account = await _account(desk, caller)
        passkey = await _new_passkey(desk, account, given)
        if await desk.factors.by_passkey(passkey.credential_id) is not None:
            raise PROOF_REFUSED(headers={"WWW-Authenticate": 'Bearer realm="consilium"'})
        try:
            await desk.factors.change(account.member_id, lambda factors: factors.with_passkey(passkey))
        except FactorLimit as error:
            raise PASSKEY_LIMIT(limit=MAX_PASSKEYS) from error
        return await added(desk, response, account, caller, "passkey", passkey_amr(passkey))

    @router.delete("/passkeys/{passkey_id}")
    async def remove_passkey(
        passkey_id: Annotated[str, Path(max_length=1400)],
        response: Response,
        caller: Strong,
    ) -> Removed:
        """Forget a passkey, and end all other sessions. Who decides about others keeps a last factor."""
        account = await _account(desk, caller)
        if (await desk.factors.of_member(account.member_id)).passkey(passkey_id) is None:
            raise PASSKEY_UNKNOWN()
        needed = bool(account.roles & STAFF_ROLES)
        return await removed(
            desk,
            response,
            account,
            caller,
            lambda factors: factors.without_passkey(passkey_id, needed=needed),
            "passkey",
        )

    @router.post("/recovery-codes")
    async def renew_codes(caller: Strong) -> RecoveryCodes:
        """Ten new recovery codes; the older ones are worth nothing any more."""
        if not (await desk.factors.of_member(caller.member_id)).second:
            raise NO_SECOND_FACTOR()
        codes = await new_codes(desk, caller.member_id)
        await tell(desk, caller.member_id, Letter.SECOND_FACTOR_ADDED, "recovery_codes")
        return RecoveryCodes(recovery_codes=codes)

    return router


async def _new_passkey(desk: Desk, account: Account, given: NewPasskey) -> Passkey:
    asked = await desk.tickets.redeem(Purpose.PASSKEY_REGISTRATION, given.ticket)
    try:
        if asked is None or asked["member_id"] != account.member_id:
            raise FactorRefused("no such challenge")
        verified = verify_registration_response(
            credential=given.credential,
            expected_challenge=base64url_to_bytes(asked["challenge"]),
            expected_rp_id=desk.settings.passkey_domain,
            expected_origin=list(desk.settings.passkey_origins),
            require_user_verification=True,
            supported_pub_key_algs=ALGORITHMS,
        )
    except (FactorRefused, WebAuthnException, ValueError, KeyError, TypeError) as error:
        log.info("a new passkey was refused: %s", type(error).__name__, extra={"member_id": account.member_id})
        raise PROOF_REFUSED(headers={"WWW-Authenticate": 'Bearer realm="consilium"'}) from error
    told = given.credential.get("response", {}).get("transports")
    known = [one.value for one in AuthenticatorTransport]
    return Passkey(
        credential_id=bytes_to_base64url(verified.credential_id),
        public_key=verified.credential_public_key,
        sign_count=verified.sign_count,
        name=" ".join(given.name.split()),
        device_bound=device_bound(verified.credential_device_type),
        added_at=desk.now(),
        transports=tuple(one for one in known if isinstance(told, list) and one in told),
    )


async def _account(desk: Desk, caller: Principal) -> Account:
    account = await desk.accounts.by_id(caller.member_id)
    if account is None:
        raise token_refused()
    return account
