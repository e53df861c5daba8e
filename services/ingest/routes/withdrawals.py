"""Withdrawal with the code alone, without an account: over the API in one step, and the receipt as JSON.

The code comes in the body and never in an address, so that no log, no history and no other site learns of it. Nothing
here says whose case it is or what it was about.
"""

from datetime import date, datetime
from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import BaseModel, StringConstraints

from services.ingest.domain.withdrawal import Receipt, Step
from services.ingest.domain.withdrawal_code import hash_of
from services.ingest.routes.asking import Asking
from services.ingest.routes.caller import Open, Resources, now
from services.ingest.routes.withdrawal_problems import CODE_MISTYPED, CODE_UNKNOWN, RECEIPT_UNKNOWN, TOO_MANY_TRIES
from services.ingest.store import Ended, Standing
from shared.events import WithdrawalCause

router = APIRouter(tags=["withdrawal"])

ERASE_WITHIN_S = 8.0
"""How long an answer waits for the objects to go; the worker completes it in any case."""


class WithdrawalCodeGiven(Asking):
    code: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]


class PatientWithdrawalView(BaseModel):
    """`again`: the case had been withdrawn before. `receipt_url`: where the receipt is, as a page."""

    receipt_id: str
    receipt_url: str
    again: bool


class ReportView(BaseModel):
    """Counts of what a service erased: copies of the case and of its comments in a database, files, and messages that
    had been put aside. All zero: there was nothing. After an interruption they may be lower than what there was.
    """

    erased_at: datetime
    cases: int
    comments: int
    objects: int
    letters: int


class ReceiptView(BaseModel):
    """What was erased and when. `confirmed`: when each step was seen to be done, or reported; `awaited`: the others.

    `withdrawn_at`: from then on ingest shows it to nobody, and its records are erased. `announced` among the steps:
    the order to the other services has been handed over. `feed`, `moderation`, `redactor`: that service has reported
    that nothing of the case is left with it; `reports` says what it erased, and when by its own clock. All other steps
    were looked at. `proofs_until`: the sealed form is kept that long; null where nobody had signed.
    """

    receipt_id: str
    cause: WithdrawalCause
    withdrawn_at: datetime
    confirmed: dict[Step, datetime]
    awaited: list[Step]
    complete: bool
    proofs_until: date | None
    reports: dict[Step, ReportView]

    @classmethod
    def of(cls, receipt: Receipt) -> "ReceiptView":
        return cls(
            receipt_id=receipt.receipt_id,
            cause=receipt.cause,
            withdrawn_at=receipt.withdrawn_at,
            confirmed=receipt.confirmed,
            awaited=[step for step in Step if step not in receipt.confirmed],
            complete=receipt.complete,
            proofs_until=receipt.proofs_until,
            reports={step: ReportView(**report.model_dump()) for step, report in receipt.reports.items()},
        )


@router.post("/withdrawals")
async def withdraw_by_code(given: WithdrawalCodeGiven, request: Request, open_: Open) -> PatientWithdrawalView:
    """End a case with its withdrawal code, in one step and for good. May be repeated.

    It disappears for everyone within seconds, and everything of it is erased but the sealed form that was signed.
    """
    ended = await end_by_code(open_, given.code, caller_of(request))
    return PatientWithdrawalView(
        receipt_id=ended.receipt_id, receipt_url=receipt_url(open_, ended.receipt_id), again=ended.again
    )


@router.get("/receipts/{receipt_id}")
async def read_receipt(receipt_id: str, open_: Open) -> ReceiptView:
    """What was erased of a withdrawn case, and when. Who knows the number may read it; it tells nothing of the case."""
    return ReceiptView.of(await receipt_of(open_, receipt_id))


async def receipt_of(open_: Resources, receipt_id: str) -> Receipt:
    """Raises the problem `receipt-unknown`."""
    found = await open_.receipts.by_id(receipt_id) if len(receipt_id) <= 64 else None
    if found is None:
        raise RECEIPT_UNKNOWN()
    return found


async def standing_of_code(open_: Resources, typed: str, caller: str) -> Standing:
    """What a code would end. Raises `withdrawal-code-mistyped`, `withdrawal-code-unknown`, `too-many-tries`."""
    code_hash = _hash(typed)
    found = await open_.withdrawals.standing(code_hash)
    if found is None:
        await _unknown(open_, caller)
    assert found is not None
    return found


async def end_by_code(open_: Resources, typed: str, caller: str) -> Ended:
    """End the code's case. Raises what `standing_of_code` does."""
    code_hash = _hash(typed)
    ended = await open_.withdrawals.by_code(code_hash, now())
    if ended is None:
        await _unknown(open_, caller)
    assert ended is not None
    await open_.eraser.erase_objects_now(ended.case_id, within_s=ERASE_WITHIN_S)
    return ended


def caller_of(request: Request) -> str:
    """The address that tries are counted by."""
    return request.client.host if request.client else "unknown"


def receipt_url(open_: Resources, receipt_id: str) -> str:
    """The receipt as a page."""
    return f"{open_.settings.public_url.rstrip('/')}/withdrawal/receipts/{receipt_id}"


def _hash(typed: str) -> str:
    code_hash = hash_of(typed)
    if code_hash is None:  # by its check sign; nothing was looked up, and nothing is counted
        raise CODE_MISTYPED()
    return code_hash


async def _unknown(open_: Resources, caller: str) -> None:
    """Only who does not know a code is slowed: a patient behind the same address as a guesser is not in the way."""
    wait = await open_.tries.wait_s(caller, now())
    if wait:
        raise TOO_MANY_TRIES(headers={"Retry-After": str(wait)}, minutes=-(-wait // 60))
    await open_.tries.wrong(caller, now())
    raise CODE_UNKNOWN()
