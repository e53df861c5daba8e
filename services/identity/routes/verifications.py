"""Verification by registry, and what a member sees of their own verification."""

import logging
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from services.identity.domain.account import Account, KeepsAccounts, MoveRefused
from services.identity.domain.brakes import CountsTries
from services.identity.domain.pseudonyms import PseudonymTellsName, tells_name
from services.identity.domain.verification import (
    AnotherPerson,
    CivilName,
    Method,
    NotMatched,
    NumberMalformed,
    NumberTaken,
    ReviewFirst,
    registry_brakes,
)
from services.identity.registries import RegistryAway
from services.identity.registries.matching import Matching
from services.identity.routes.desk import address_of, too_many
from services.identity.store.kept_requests import KeptRequests, KeptState
from services.identity.store.verifications import Verifications
from shared.auth import Guard, Principal
from shared.auth_problems import ACCOUNT_SUSPENDED, PROFESSIONALS_ONLY, TOKEN_REFUSED
from shared.events import MemberStatus, Profession, Role
from shared.web import Problem, ProblemKind, Text

log = logging.getLogger("identity")

REGISTRY_UNKNOWN = ProblemKind(
    "registry-unknown",
    404,
    Text(en="This registry is not asked here", fr="Ce répertoire n'est pas interrogé ici"),
    Text(
        en="Choose one of the registries of GET /verifications/registries, or hand in a proof instead.",
        fr="Choisissez un des répertoires de GET /verifications/registries, ou déposez un justificatif.",
    ),
)
NUMBER_MALFORMED = ProblemKind(
    "number-malformed",
    422,
    Text(en="This cannot be a number of that registry", fr="Ce numéro n'a pas la forme attendue"),
    Text(en="Check the number on your card or certificate.", fr="Vérifiez le numéro sur votre carte ou attestation."),
)
_NUMBER_SAID = {
    "rpps_malformed": Text(
        en="An RPPS number has 11 digits (12 with the 8 of the national identifier). Check it on your card.",
        fr="Un numéro RPPS comporte 11 chiffres (12 avec le 8 de l'identifiant national). Vérifiez-le sur votre carte.",
    ),
    "adeli_retired": Text(
        en="This looks like an ADELI number. That register has ended: give your RPPS number, which has 11 digits.",
        fr="Ceci ressemble à un numéro ADELI. Ce répertoire n'existe plus : indiquez votre numéro RPPS, à 11 chiffres.",
    ),
    "npi_malformed": Text(
        en="An NPI has 10 digits and begins with 1 or 2.",
        fr="Un numéro NPI comporte 10 chiffres et commence par 1 ou 2.",
    ),
    "npi_check_digit": Text(
        en="The check digit of this NPI is wrong: one digit is probably mistyped.",
        fr="La clé de ce numéro NPI est fausse : un chiffre est sans doute mal saisi.",
    ),
}
NO_MATCH = ProblemKind(
    "registry-no-match",
    422,
    Text(en="The registry does not confirm this", fr="Le répertoire ne confirme pas ces informations"),
    Text(
        en="Number, name and the profession of your account do not belong together in the registry. Check all three; "
        "your name may stand there as at birth. If they are right, hand in a proof instead.",
        fr="Le numéro, le nom et la profession de votre compte ne concordent pas avec le répertoire. Vérifiez les "
        "trois ; il se peut que votre nom de naissance y figure. S'ils sont exacts, déposez un justificatif.",
    ),
)
NUMBER_IN_USE = ProblemKind(
    "number-in-use",
    409,
    # Also the answer to a number that a reviewer has to look at first (`ReviewFirst`), in the same words: whoever typed
    # a colleague's public number would else learn that the colleague was suspended.
    Text(en="This number does not verify you by itself", fr="Ce numéro ne suffit pas à vous vérifier"),
    Text(
        en="Another account may have been verified with it, or a person has to look at it first. Hand in a proof "
        "(POST /verifications/documents): a reviewer decides. If you believe that somebody else uses your number or "
        "your name, write to the administrators.",
        fr="Un autre compte a peut-être été vérifié avec ce numéro, ou une personne doit d'abord l'examiner. Déposez "
        "un justificatif (POST /verifications/documents)\u00a0: un examinateur décidera. Si vous pensez que quelqu'un "
        "d'autre utilise votre numéro ou votre nom, écrivez aux administrateurs.",
    ),
)
VERIFIED_AS_ANOTHER = ProblemKind(
    "verified-as-another",
    409,
    Text(en="Your account was verified as another person", fr="Votre compte a été vérifié pour une autre personne"),
    Text(
        en="An account stays that of the person for whom it was verified. If you are both, write to the "
        "administrators.",
        fr="Un compte reste celui de la personne pour qui il a été vérifié. Si vous êtes l'une et l'autre, écrivez aux "
        "administrateurs.",
    ),
)
PSEUDONYM_TELLS_NAME = ProblemKind(
    "pseudonym-tells-name",
    409,
    Text(en="This pseudonym tells your name", fr="Ce pseudonyme révèle votre nom"),
    Text(
        en="A pseudonym must not contain the name of who bears it: it stands under everything that you write, and your "
        "name stays in your account. Choose another one (PUT /me/pseudonym), then ask for the verification again. You "
        "can show your name in your profile, to whom you like.",
        fr="Un pseudonyme ne doit pas contenir le nom de qui le porte\u00a0: il accompagne tout ce que vous écrivez, "
        "et votre nom reste dans votre compte. Choisissez-en un autre (PUT /me/pseudonym), puis redemandez la "
        "vérification. Vous pouvez montrer votre nom dans votre profil, à qui vous voulez.",
    ),
)
REGISTRY_AWAY = ProblemKind(
    "registry-unavailable",
    503,
    Text(en="The registry does not answer", fr="Le répertoire ne répond pas"),
    Text(
        en="Nothing could be checked. Try again later, or ask for it to be tried for you with keep_if_away.",
        fr="Rien n'a pu être vérifié. Réessayez plus tard, ou demandez par keep_if_away que nous réessayions.",
    ),
)

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]


class RegistryMatch(BaseModel):
    """What a person says of themselves. Number and name are kept sealed once they match, and not at all before."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    registry: Annotated[str, Field(max_length=20, examples=["rpps"])]
    number: Annotated[str, Field(min_length=1, max_length=40, examples=["99900000003"])]
    family_name: Name
    given_name: Name
    profession: Profession | None = Field(
        default=None, description="Where it is no longer the account's: a student who has graduated, for example."
    )
    keep_if_away: bool = Field(
        default=False, description="Where the registry does not answer: keep the request (sealed) and try again."
    )


class WaitingRequest(BaseModel):
    """A request that was kept because the registry was away."""

    registry: str
    state: KeptState
    asked_at: datetime


class VerificationView(BaseModel):
    """A member's verification, as shown to themselves."""

    status: MemberStatus
    method: Method | None
    registry: str | None
    verified_at: datetime | None
    checked_at: datetime | None
    valid_until: date | None = Field(description="The last day of a proof that ends, such as one of studies.")
    request: WaitingRequest | None


class RegistryShown(BaseModel):
    """A registry that is asked here."""

    name: str
    country: str


@dataclass(frozen=True, slots=True)
class VerificationDesk:
    """What the routes of verification work with."""

    accounts: KeepsAccounts
    attempts: CountsTries
    verifications: Verifications
    kept: KeptRequests
    matching: Matching

    async def applicant(self, caller: Principal) -> Account:
        """The caller's account as it is now: a professional's, neither suspended nor gone. Raises problems."""
        account = await self.accounts.by_id(caller.member_id)
        if account is None:
            raise TOKEN_REFUSED(headers={"WWW-Authenticate": 'Bearer realm="consilium", error="invalid_token"'})
        if account.status in (MemberStatus.SUSPENDED, MemberStatus.LEFT):
            raise ACCOUNT_SUSPENDED()
        if Role.MEMBER not in account.roles:
            raise PROFESSIONALS_ONLY()
        return account

    async def shown(self, account: Account) -> VerificationView:
        """The account's verification as its owner sees it."""
        known = await self.verifications.of(account.member_id)
        kept = await self.kept.of(account.member_id)
        return VerificationView(
            status=account.status,
            method=known.method if known else None,
            registry=account.registry,
            verified_at=account.verified_at,
            checked_at=account.checked_at,
            valid_until=known.valid_until if known else None,
            request=WaitingRequest(registry=kept.registry, state=kept.state, asked_at=kept.asked_at) if kept else None,
        )


def verification_routes(desk: VerificationDesk, guard: Guard) -> APIRouter:
    """Registry match, and one's own verification."""
    router = APIRouter(prefix="/verifications", tags=["verification"])
    Caller = Annotated[Principal, Depends(guard.signed_in)]

    @router.get("")
    async def my_verification(caller: Caller) -> VerificationView:
        """How, when and until when I am verified, and what still waits."""
        account = await desk.accounts.by_id(caller.member_id)
        if account is None:
            raise TOKEN_REFUSED(headers={"WWW-Authenticate": 'Bearer realm="consilium", error="invalid_token"'})
        return await desk.shown(account)

    @router.get("/registries")
    async def registries(caller: Caller) -> list[RegistryShown]:
        """The registries that are asked here."""
        return [RegistryShown(name=one.name, country=one.country) for one in desk.matching.registries.values()]

    @router.post("/registry", responses={202: {"description": "The registry is away; the request is kept."}})
    async def match_registry(
        asked: RegistryMatch, request: Request, response: Response, caller: Caller
    ) -> VerificationView:
        """Verify me by a registry: number, name and profession have to belong to one person who practises.

        What does not match is answered in one way, whatever it was. Tries are counted.
        """
        account = await desk.applicant(caller)
        registry = desk.matching.registries.get(asked.registry)
        if registry is None:
            raise REGISTRY_UNKNOWN()
        try:
            number = registry.check_number(asked.number)
        except NumberMalformed as error:
            raise _malformed(error.code) from error
        name = CivilName(asked.family_name, asked.given_name)
        if tells_name(account.pseudonym, name):  # whether or not it is theirs, the registry need not be asked
            raise PSEUDONYM_TELLS_NAME()
        brakes = registry_brakes(account.member_id, address_of(request), await desk.verifications.place_of(number))
        wait_s = await desk.attempts.begin(brakes)
        if wait_s:
            raise too_many(wait_s)
        first_match = account.verified_at is None
        try:
            account = await desk.matching.verify(account, number, name, asked.profession)
        except RegistryAway as away:
            await desk.attempts.forgive(brakes)  # no answer was had, so nothing was tried
            if not asked.keep_if_away:
                raise REGISTRY_AWAY(headers={"Retry-After": str(away.retry_after_s or 60)}) from away
            await desk.matching.keep(account, number, name, asked.profession)
            response.status_code = 202
        except NotMatched as error:
            # The remark on the check digit comes from the number alone, not from the registry.
            raise NO_MATCH(warnings=list(number.warnings)) from error
        except (NumberTaken, ReviewFirst) as error:
            raise NUMBER_IN_USE() from error
        except AnotherPerson as error:
            raise VERIFIED_AS_ANOTHER() from error
        except PseudonymTellsName as error:
            raise PSEUDONYM_TELLS_NAME() from error
        except MoveRefused as error:
            raise ACCOUNT_SUSPENDED() from error
        else:
            if first_match:  # who is verified already could else take turns between a guess and their own number
                await desk.attempts.forgive(brakes)
        return await desk.shown(account)

    return router


def _malformed(code: str) -> Problem:
    said = _NUMBER_SAID.get(code, NUMBER_MALFORMED.detail)
    return Problem(NUMBER_MALFORMED.slug, NUMBER_MALFORMED.status, NUMBER_MALFORMED.title, said, code=code)
