"""HTTP in: another pseudonym."""

from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict

from services.identity.domain.account import AccountUnknown, AlreadyTaken, MoveRefused
from services.identity.domain.brakes import CountsTries, pseudonym_brakes
from services.identity.domain.pseudonyms import PseudonymTellsName
from services.identity.routes.desk import Member, too_many
from services.identity.routes.membership import ALREADY_TAKEN, Pseudonym
from services.identity.routes.verifications import PSEUDONYM_TELLS_NAME
from services.identity.store.verifications import Verifications
from shared.auth import Guard, Principal
from shared.auth_problems import ACCOUNT_SUSPENDED, TOKEN_REFUSED


class NewPseudonym(BaseModel):
    """What other members see from now on, under everything that you have written too."""

    model_config = ConfigDict(extra="forbid")

    pseudonym: Pseudonym


def pseudonym_routes(verifications: Verifications, attempts: CountsTries, guard: Guard) -> APIRouter:
    """Choosing another pseudonym, before the verification or after it."""
    router = APIRouter(tags=["membership"])

    @router.put("/me/pseudonym")
    async def choose(new: NewPseudonym, me: Annotated[Principal, Depends(guard.signed_in)]) -> Member:
        """Choose another pseudonym: none that another member bears, none that tells your name once that is verified.

        Five tries are free; then there are waits that double up to a day.
        """
        wait_s = await attempts.begin(pseudonym_brakes(me.member_id))
        if wait_s:
            raise too_many(wait_s)
        try:
            return Member.of(await verifications.rename(me.member_id, new.pseudonym))
        except PseudonymTellsName as error:
            raise PSEUDONYM_TELLS_NAME() from error
        except AlreadyTaken as error:
            raise ALREADY_TAKEN() from error
        except MoveRefused as error:
            raise ACCOUNT_SUSPENDED() from error
        except AccountUnknown as error:
            raise TOKEN_REFUSED() from error

    return router
