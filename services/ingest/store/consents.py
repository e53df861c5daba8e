"""Consents in MongoDB, and their proofs in the sealed room.

The request and the consent that came of it are part of their case (collection `cases`), so that two signatures at one
moment, or a signature and a new picture, cannot pass each other. Beside it, since both outlive the case:

`consents`: one document a consent, by its id: the case, and where its proofs lie; nothing of the patient. Once the
case has ended `erase_after` says when the proofs go.
`withdrawal_codes`: one document a code, by its hash: the case that it ends. Forgotten when the proofs go.

In the room of proofs the owner is the case; each signature has two items, `<proof>.record` (canonical JSON: what was
signed) and `<proof>.sheet` (the drawing, or the photographed form).
"""

import hashlib
import json
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from services.ingest.domain.case import Case
from services.ingest.domain.consent import Consent, Signature, TextHashes
from services.ingest.domain.consent_request import ConsentRequest, RequestState, Slot
from services.ingest.domain.refusals import ConsentUnknown, LinkUnknown, LinkUsed, Refused
from services.ingest.store.cases import case_from, document_of, owned
from services.ingest.store.ended import end_old_codes
from shared.errors import NotNow
from shared.mongo import Document, Mongo, Session
from shared.sealed import SealedRoom

logger = logging.getLogger(__name__)

RECORD = "record"
SHEET = "sheet"


@dataclass(frozen=True)
class Proof:
    """What proves one signature: `record` says what was signed, `sheet` shows that it was."""

    proof_id: str
    record: bytes
    sheet: bytes
    sheet_type: str

    @property
    def record_sha256(self) -> str:
        return hashlib.sha256(self.record).hexdigest()


@dataclass(frozen=True)
class Linked:
    """What a link leads to."""

    case: Case
    request: ConsentRequest
    slot: Slot


@dataclass(frozen=True)
class Given:
    """What a signature led to: the case as it is now, and its consent where this was the last signature."""

    case: Case
    consent: Consent | None
    repeated: bool = False


@dataclass(frozen=True)
class CodeOwner:
    """What a withdrawal code belongs to; `signer_id` is None for one that was printed. The case may be gone already."""

    case_id: str
    request_id: str
    signer_id: str | None
    issued_at: datetime


@dataclass(frozen=True)
class Signed:
    """One signature and what it was asked for."""

    request: ConsentRequest
    signature: Signature


@dataclass(frozen=True)
class KeptConsent:
    """A consent as it is known beside its case. `erase_after`: when its proofs go, once the case has ended."""

    consent_id: str
    case_id: str
    proof_ids: tuple[str, ...]
    given_at: datetime
    ended_at: datetime | None
    erase_after: datetime | None


def link_hash(token: str) -> str:
    """What is stored of a link's token: it has 256 random bits, so nothing slower than SHA-256 is needed."""
    return hashlib.sha256(f"consilium consent link {token}".encode()).hexdigest()


def canonical(record: Mapping[str, object]) -> bytes:
    """UTF-8 JSON, keys sorted, no spaces: the same record has the same bytes and the same hash."""
    return json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


class Consents:
    """Signatures, withdrawal codes and proofs."""

    def __init__(self, mongo: Mongo, proofs: SealedRoom) -> None:
        self._mongo = mongo
        self._proofs = proofs
        self._cases = mongo.db["cases"]
        self._consents = mongo.db["consents"]
        self._codes = mongo.db["withdrawal_codes"]

    async def prepare(self) -> None:
        """Create the indexes. May be repeated."""
        await self._cases.create_index("consent_request.signers.link_hash", sparse=True)
        await self._consents.create_index("case_id")
        await self._consents.create_index("erase_after", sparse=True)
        await self._codes.create_index("case_id")
        await self._codes.create_index("erase_after", expireAfterSeconds=0)  # MongoDB forgets them by itself
        await end_old_codes(self._mongo.db)

    # -- links ---------------------------------------------------------------------------------------------------

    async def linked(self, hashed: str, session: Session | None = None) -> Linked:
        """What the link of this hash leads to, whatever its state. Raises LinkUnknown."""
        document = await self._cases.find_one({"consent_request.signers.link_hash": hashed}, session=session)
        if document is None:
            raise LinkUnknown()
        case = case_from(document)
        request = case.consent_request
        for slot in request.signers if request else ():
            if request is not None and slot.link_hash == hashed:
                return Linked(case, request, slot)
        raise LinkUnknown()

    async def decline(self, hashed: str, now: datetime) -> None:
        """The signer says no. Raises LinkUnknown, LinkUsed, RequestClosed, LinkExpired."""

        async def attempt(session: Session) -> None:
            found = await self.linked(hashed, session)
            found.request.check_link(found.slot.signer_id, now)
            found.case.close_request(found.request.request_id, RequestState.DECLINED, now)
            await self._keep(found.case, session)

        await self._mongo.transaction(attempt)

    # -- signing -------------------------------------------------------------------------------------------------

    async def sign_by_link(
        self,
        hashed: str,
        signature: Callable[[Linked], tuple[Signature, Proof]],
        code_hash: str,
        consent_id: str,
        texts: TextHashes,
        now: datetime,
    ) -> Given:
        """Keep a signature that came over a link, and its withdrawal code.

        The very same signing once more (it leads to the same code) gets the same answer, so that an answer lost on
        the way costs nobody the code; any other use of a used link is refused.
        """
        found = await self.linked(hashed)
        if found.slot.signature is not None:
            return await self._repeated(found, code_hash)
        found.request.check_link(found.slot.signer_id, now)
        found.case.check_can_be_signed(found.request)
        signed, proof = signature(found)
        # On this copy: refuses before anything is written.
        found.case.sign(found.request.request_id, {found.slot.signer_id: signed}, consent_id, texts, now)

        async def attempt(session: Session) -> Given:
            again = await self.linked(hashed, session)
            again.request.check_link(again.slot.signer_id, now)
            signer_id = again.slot.signer_id
            given = again.case.sign(again.request.request_id, {signer_id: signed}, consent_id, texts, now)
            await self._add_code(code_hash, again.case, again.request.request_id, signer_id, now, session)
            await self._keep(again.case, session, given)
            return Given(again.case, given)

        try:
            return await self._with_proof(found.case.case_id, proof, lambda: self._mongo.transaction(attempt))
        except LinkUsed:  # perhaps by the same signing, sent twice at one moment
            return await self._repeated(await self.linked(hashed), code_hash)

    async def sign_on_paper(
        self,
        author_id: str,
        case_id: str,
        request_id: str,
        signatures: Callable[[Case], tuple[Mapping[str, Signature], Proof]],
        consent_id: str,
        texts: TextHashes,
        now: datetime,
    ) -> Given:
        """Keep a photographed sheet as the signature of one or more signers. The codes were printed on it."""
        case = owned(await self._cases.find_one({"_id": case_id}), author_id)
        signed, proof = signatures(case)
        case.sign(request_id, signed, consent_id, texts, now)

        async def attempt(session: Session) -> Given:
            again = owned(await self._cases.find_one({"_id": case_id}, session=session), author_id)
            given = again.sign(request_id, signed, consent_id, texts, now)
            await self._keep(again, session, given)
            return Given(again, given)

        return await self._with_proof(case_id, proof, lambda: self._mongo.transaction(attempt))

    async def print_form(
        self, author_id: str, case_id: str, request_id: str, code_hashes: Sequence[str], now: datetime
    ) -> Case:
        """Note that a form for paper was made, with these codes on it: from now on each ends the case."""

        async def attempt(session: Session) -> Case:
            case = owned(await self._cases.find_one({"_id": case_id}, session=session), author_id)
            case.print_form(request_id, now)
            for code_hash in code_hashes:
                await self._add_code(code_hash, case, request_id, None, now, session)
            await self._keep(case, session)
            return case

        return await self._mongo.transaction(attempt)

    # -- what outlives the case ----------------------------------------------------------------------------------

    async def code_owner(self, code_hash: str) -> CodeOwner | None:
        """What a withdrawal code, by its hash, belongs to."""
        found = await self._codes.find_one({"_id": code_hash})
        if found is None:
            return None
        return CodeOwner(found["case_id"], found["request_id"], found["signer_id"], found["issued_at"])

    async def signed_with(self, owner: CodeOwner) -> Signed | None:
        """What was signed when the code was given; None where it was printed, or another request is current."""
        if owner.signer_id is None:
            return None
        document = await self._cases.find_one({"_id": owner.case_id, "consent_request.request_id": owner.request_id})
        request = case_from(document).consent_request if document else None
        if request is None:
            return None
        signature = request.slot(owner.signer_id).signature
        return Signed(request, signature) if signature else None

    async def kept(self, consent_id: str) -> KeptConsent:
        """Raises ConsentUnknown."""
        found = await self._consents.find_one({"_id": consent_id})
        if found is None:
            raise ConsentUnknown()
        return _kept(found)

    async def kept_of(self, case_id: str) -> list[KeptConsent]:
        """Every consent that was ever given to a case, oldest first."""
        found = await self._consents.find({"case_id": case_id}, sort=[("given_at", 1)]).to_list(None)
        return [_kept(document) for document in found]

    async def proof(self, consent: KeptConsent, proof_id: str) -> Proof:
        """A proof out of the sealed room. Raises ConsentUnknown, and BlobMissing where it was erased."""
        if proof_id not in consent.proof_ids:
            raise ConsentUnknown()
        record, _ = await self._proofs.load(consent.case_id, f"{proof_id}.{RECORD}")
        sheet, sheet_type = await self._proofs.load(consent.case_id, f"{proof_id}.{SHEET}")
        return Proof(proof_id, record, sheet, sheet_type)

    # -- inside --------------------------------------------------------------------------------------------------

    async def _keep(self, case: Case, session: Session, given: Consent | None = None) -> None:
        await self._cases.replace_one({"_id": case.case_id}, document_of(case), session=session)
        if given is not None:
            document: Document = {
                "_id": given.consent_id,
                "case_id": case.case_id,
                # A sheet of paper may hold two signatures.
                "proofs": list(dict.fromkeys(one.proof_id for one in given.signatures)),
                "given_at": given.recorded_at,
            }
            await self._consents.insert_one(document, session=session)

    async def _repeated(self, found: Linked, code_hash: str) -> Given:
        if await self._codes.find_one({"_id": code_hash, "signer_id": found.slot.signer_id}) is None:
            raise LinkUsed()
        complete = found.request.state is RequestState.COMPLETE
        return Given(found.case, found.case.consent if complete else None, repeated=True)

    async def _add_code(
        self, code_hash: str, case: Case, request_id: str, signer_id: str | None, now: datetime, session: Session
    ) -> None:
        document: Document = {
            "_id": code_hash,
            "case_id": case.case_id,
            "request_id": request_id,
            "signer_id": signer_id,
            "issued_at": now,
        }
        await self._codes.insert_one(document, session=session)

    async def _with_proof(self, case_id: str, proof: Proof, act: Callable[[], Awaitable[Given]]) -> Given:
        """Objects first and the record of them second: a crash leaves an object that the sweeper removes."""
        await self._proofs.store(case_id, f"{proof.proof_id}.{RECORD}", proof.record, "application/json")
        await self._proofs.store(case_id, f"{proof.proof_id}.{SHEET}", proof.sheet, proof.sheet_type)
        try:
            return await act()
        except Refused:
            try:
                for item in (RECORD, SHEET):
                    await self._proofs.remove(case_id, f"{proof.proof_id}.{item}")
            except NotNow as error:
                logger.warning("a proof without a record stays until the next sweep: %s", error)
            raise


def _kept(document: Document) -> KeptConsent:
    proofs: Sequence[str] = document["proofs"]
    ended, erase = document.get("ended_at"), document.get("erase_after")
    return KeptConsent(document["_id"], document["case_id"], tuple(proofs), document["given_at"], ended, erase)
