"""Drafts, submission, withdrawal: the author's own cases. Somebody else's case is as absent as one that never was."""

import base64
import binascii
import uuid
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response

from services.ingest import consent_texts
from services.ingest.domain.case import Case
from services.ingest.routes.caller import Member, Open, Repeatable, now, respond
from services.ingest.routes.text_checks import look_in_case, warnings_of
from services.ingest.routes.views import (
    CaseChanges,
    CaseList,
    CaseView,
    CaseWritten,
    ConsentTextList,
    ConsentTextView,
    NewCase,
    NewSubmission,
    WithdrawalView,
)
from services.ingest.store import Answer
from shared.events import CaseUploaded
from shared.questions import Questions, questions
from shared.web import ProblemKind, Text

router = APIRouter(tags=["cases"])

CURSOR_INVALID = ProblemKind(
    "cursor-invalid",
    400,
    Text(en="The cursor is not valid", fr="Curseur non valable"),
    Text(
        en="Use next_cursor of the page before, or leave the cursor out.",
        fr="Utilisez next_cursor de la page précédente, ou omettez le curseur.",
    ),
)


@router.post("/cases", status_code=201, response_model=CaseWritten)
async def create_case(new: NewCase, member: Member, repeatable: Repeatable, open_: Open) -> Response:
    """Begin a draft. Only you can see it. `warnings` points out what may tell who the patient is."""
    at = now()
    case = Case(
        case_id=str(uuid.uuid4()),
        author_id=member.member_id,
        created_at=at,
        updated_at=at,
        **new.model_dump(),
    )
    return await _warned(await open_.store.create(case, repeatable, lambda case: _shown(case, at, 201)))


@router.get("/cases")
async def list_cases(
    member: Member,
    open_: Open,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
) -> CaseList:
    """Your cases, newest first, without those withdrawn."""
    at = now()
    found = await open_.store.cases_of(member.member_id, limit + 1, _position(cursor) if cursor else None)
    page = found[:limit]
    return CaseList(
        items=[CaseView.of(case, at) for case in page],
        next_cursor=_cursor(page[-1]) if len(found) > limit else None,
    )


@router.get("/cases/{case_id}")
async def read_case(case_id: str, member: Member, open_: Open) -> CaseView:
    """Your case, with its state and what is missing for submission."""
    return CaseView.of(await open_.store.case_of(member.member_id, case_id), now())


@router.patch("/cases/{case_id}", response_model=CaseWritten)
async def edit_case(case_id: str, changes: CaseChanges, member: Member, open_: Open) -> Response:
    """Change the question, its text or what is told of the patient, until it is submitted and again when it came back
    for changes. `warnings` points out what may tell who the patient is.
    """
    at = now()

    def act(case: Case) -> None:
        case.edit(at, changes.given())

    answer = await open_.store.change(member.member_id, case_id, None, act, lambda case: _shown(case, at, 200))
    return await _warned(answer)


@router.post("/cases/{case_id}/redaction", status_code=202, response_model=CaseView)
async def start_redaction(case_id: str, member: Member, repeatable: Repeatable, open_: Open) -> Response:
    """Have the pictures painted. Follow the preview; a case without pictures is answered at once."""
    at = now()

    def act(case: Case) -> CaseUploaded:
        return case.start_redaction(at)

    return respond(
        await open_.store.change(member.member_id, case_id, repeatable, act, lambda case: _shown(case, at, 202))
    )


@router.get("/questions")
async def list_questions(member: Member) -> Questions:
    """What you are asked when you submit, and what you may answer, in both languages."""
    return questions()


@router.get("/consent-texts", tags=["consent"])
async def list_consent_texts() -> ConsentTextList:
    """The texts that a patient may sign, oldest version first. Open to everyone: patients read them."""
    return ConsentTextList(
        items=[
            ConsentTextView(
                version=one.version,
                language=one.language,
                sha256=one.sha256,
                text=one.text,
                current=one.version == consent_texts.current(),
            )
            for one in consent_texts.published()
        ]
    )


@router.post("/cases/{case_id}/submission", status_code=202, response_model=CaseWritten)
async def submit(
    case_id: str, member: Member, repeatable: Repeatable, open_: Open, asked: NewSubmission | None = None
) -> Response:
    """Ask for publication. Refused without a valid consent that covers exactly these pictures: to the current text
    where a clinical box opens a face (409 `consent-text-outdated` after version 2026-11).

    Where title or body have words that may identify somebody, name each in `acknowledged_findings`; where text and
    patient together single somebody out, name the code of each combination in `acknowledged_combinations`; or say it
    more generally (409 `text-may-identify` lists both; they are pointed out before in `warnings` of the case as you
    write it, and by POST /text-checks). Moderators see what you keep.

    Of every photo and every picture of a wound say what marks it shows (`marks`; the question is at GET /questions).
    """
    at = now()
    return await _warned(
        await open_.store.submit(
            member.member_id,
            case_id,
            repeatable,
            consent_texts.hashes(),
            at,
            asked.by_picture() if asked else {},
            look_in_case(asked.acknowledged_findings, asked.acknowledged_combinations) if asked else look_in_case(),
            lambda case: _shown(case, at, 202),
        )
    )


@router.post("/cases/{case_id}/withdrawal", response_model=WithdrawalView)
async def withdraw(case_id: str, member: Member, repeatable: Repeatable, open_: Open) -> Response:
    """End the case for good, in any state: it disappears for everyone, and everything of it is erased."""

    def show(version: int) -> Answer:
        return Answer(200, WithdrawalView(case_id=case_id, version=version).model_dump(mode="json"))

    answer = await open_.store.withdraw(member.member_id, case_id, repeatable, now(), show)
    await open_.eraser.erase_objects_now(case_id)
    return respond(answer)


def _shown(case: Case, at: datetime, status: int) -> Answer:
    return Answer(status, CaseView.of(case, at).model_dump(mode="json"))


async def _warned(answer: Answer) -> Response:
    """The answer with what may tell who the patient is. Looked for after the change, and out of the answer itself, so
    that no transaction waits for it and a repeated request is warned as the first was."""
    return respond(Answer(answer.status, answer.body | {"warnings": await warnings_of(answer.body)}))


def _cursor(case: Case) -> str:
    return base64.urlsafe_b64encode(f"{case.created_at.isoformat()} {case.case_id}".encode()).decode()


def _position(cursor: str) -> tuple[datetime, str]:
    try:
        at, _, case_id = base64.b64decode(cursor, altchars=b"-_", validate=True).decode().partition(" ")
        moment = datetime.fromisoformat(at)
    except (binascii.Error, ValueError) as error:
        raise CURSOR_INVALID() from error
    if moment.tzinfo is None or not case_id:
        raise CURSOR_INVALID()
    return moment, case_id
