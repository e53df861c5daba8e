"""Kafka in: pictures to paint, boxes to paint again, cases to forget. Every handler may see a message again.

There is no database and hence no outbox: an answer's id is derived from the message that asked for it, it is published
before that message is acknowledged, and consumers drop doubles.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from prometheus_client import Counter, Histogram

from services.redactor.domain import Reason, Unreadable
from services.redactor.pixels.redact import Redacted
from services.redactor.store import Gone, Rooms
from shared.bus import Bus, NotNow, Received
from shared.envelope import Message, message_of, tombstone_of
from shared.events import (
    Box,
    CaseRedacted,
    CaseUploaded,
    CaseWithdrawn,
    FrameBoxes,
    PictureKind,
    RedactionOutcome,
    RedactionRequested,
    RedactorErased,
    Region,
)

log = logging.getLogger(__name__)

# What an operator learns: where a picture's time goes, and how often the answer is "cannot be read", and why.
STAGE_SECONDS = Histogram(
    "consilium_redaction_stage_seconds",
    "Wall seconds of one picture in one stage",
    ["stage"],
    buckets=(0.02, 0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 16, 60, 300),
)
PICTURES = Counter("consilium_redaction_pictures_total", "Pictures answered", ["outcome", "reason"])
REPEATS = Counter("consilium_redaction_repeats_total", "Pictures whose finished work was found and sent again")
RESIDUAL = Counter("consilium_redaction_residual_total", "Regions that the second look still found")
PROPOSALS = Counter("consilium_redaction_proposals_total", "Regions that were suspected and left to people")


class Pool(Protocol):
    """Where pixels are worked on; see `pixels.pool.PixelPool`."""

    async def redact(
        self,
        data: bytes,
        boxes: Mapping[int, Sequence[Region]] | None,
        kind: PictureKind | None,
        *,
        clinical: Mapping[int, Sequence[Box]] | None,
    ) -> Redacted: ...


class Outlet(Protocol):
    """The part of the bus that handlers use."""

    async def publish(self, message: Message) -> None: ...

    async def purge_dead_letters(self, *mentions: str) -> int: ...


@dataclass(frozen=True)
class Order:
    """One picture to paint, whoever asked for it. `boxes` None: the machine decides."""

    cause_id: str
    case_id: str
    picture_id: str
    revision: int
    kind: PictureKind
    boxes: tuple[FrameBoxes, ...] | None
    position: int
    pictures_total: int

    @property
    def answer_id(self) -> str:
        """The CloudEvents id of the answer: the same whenever the same message is worked on."""
        return str(uuid.uuid5(_namespace(self.cause_id), f"{self.picture_id}:{self.revision}"))


class Handlers:
    """Answers each picture with one `CaseRedacted`. `at_a_time` bounds the originals in memory."""

    def __init__(self, rooms: Rooms, pool: Pool, outlet: Outlet, *, at_a_time: int) -> None:
        self._rooms = rooms
        self._pool = pool
        self._outlet = outlet
        self._slots = asyncio.Semaphore(at_a_time)

    def listen(self, bus: Bus, *, batch: bool, interactive: bool, workers: int) -> None:
        """Subscribe. Withdrawals belong to the batch group: one process's answer is enough."""
        if batch:
            bus.on(CaseUploaded, self.on_case_uploaded, group="redactor", workers=workers)
            bus.on(CaseWithdrawn, self.on_case_withdrawn, group="redactor")
        if interactive:
            bus.on(RedactionRequested, self.on_redaction_requested, group="redactor-interactive")

    async def on_case_uploaded(self, received: Received[CaseUploaded]) -> None:
        """Paint the pictures of a case, several at once; each is answered as soon as it is done."""
        event = received.event
        if event is None:
            return
        if not event.pictures:
            await self._answer_without_pictures(received.id, event)
            return
        orders = [
            Order(received.id, event.case_id, p.picture_id, p.revision, p.kind, p.boxes, position, len(event.pictures))
            for position, p in enumerate(event.pictures)
        ]
        results = await asyncio.gather(*(self._carry_out(order) for order in orders), return_exceptions=True)
        for result in results:  # all have ended: nothing goes on behind the acknowledgement
            if isinstance(result, BaseException):
                raise result

    async def on_redaction_requested(self, received: Received[RedactionRequested]) -> None:
        """Paint exactly the given boxes, of faces all but the clinical ones; the second look only reports."""
        e = received.event
        if e is not None:
            order = Order(
                received.id, e.case_id, e.picture_id, e.revision, e.kind, e.boxes, e.position, e.pictures_total
            )
            await self._carry_out(order)

    async def on_case_withdrawn(self, received: Received[CaseWithdrawn]) -> None:
        """Remove everything painted and our records of it, once ingest has emptied the raw room.

        Waiting for that closes a gap: work that is under way elsewhere still saw an original, and would write after
        us. Once no original is left, every such work finds it gone and removes its own output.

        That it is done is told each time the message is seen. After a crash in between the counts are those of the
        second time, which finds less: what was erased, and that nothing is left, are two things.
        """
        event = received.event
        if event is None:
            return
        if left := await self._rooms.originals_left(event.case_id):
            raise NotNow(f"{left} originals of a withdrawn case are still to be removed by ingest")
        objects = await self._rooms.erase(event.case_id)
        for key in (*event.picture_ids, event.case_id):
            await self._outlet.publish(tombstone_of(CaseRedacted, key, event.case_id))
        letters = await self._outlet.purge_dead_letters(event.case_id, *event.picture_ids)
        done = RedactorErased(case_id=event.case_id, erased_at=datetime.now(UTC), objects=objects, letters=letters)
        await self._outlet.publish(message_of(done, ce_id=str(uuid.uuid5(_namespace(received.id), "erased"))))

    async def _answer_without_pictures(self, cause_id: str, event: CaseUploaded) -> None:
        answer = CaseRedacted(
            case_id=event.case_id,
            picture_id=None,
            revision=event.version,
            pictures_total=0,
            outcome=RedactionOutcome.REDACTED,
        )
        answer_id = str(uuid.uuid5(_namespace(cause_id), f"None:{event.version}"))
        await self._outlet.publish(message_of(answer, ce_id=answer_id))

    async def _carry_out(self, order: Order) -> None:
        try:
            async with self._slots:
                answer = await self._answer(order)
            lost = answer.reason == Reason.ORIGINAL_MISSING  # a person must hear of it; there is nothing to check
            if not lost:
                await self._rooms.check_original(order.case_id, order.picture_id)
            await self._outlet.publish(message_of(answer, ce_id=order.answer_id))
            if not lost:
                await self._rooms.check_original(order.case_id, order.picture_id)
        except Gone:
            log.info("the original was erased meanwhile: so is our output", extra={"picture_id": order.picture_id})
            await self._rooms.erase(order.case_id, order.picture_id)
            await self._outlet.publish(tombstone_of(CaseRedacted, order.picture_id, order.case_id))

    async def _answer(self, order: Order) -> CaseRedacted:
        finished = await self._rooms.finished(order.case_id, order.picture_id, order.revision)
        if finished is not None:
            REPEATS.inc()
            place = {"position": order.position, "pictures_total": order.pictures_total}
            return finished.model_copy(update=place)
        began = time.monotonic()
        answer = CaseRedacted(
            case_id=order.case_id,
            picture_id=order.picture_id,
            revision=order.revision,
            position=order.position,
            pictures_total=order.pictures_total,
            outcome=RedactionOutcome.REDACTED,
        )
        try:
            data = await self._rooms.original(order.case_id, order.picture_id)
            clinical = _clinical_by_frame(order.boxes)
            done = await self._pool.redact(data, _by_frame(order.boxes), order.kind, clinical=clinical)
        except Unreadable as error:
            log.warning("a picture cannot be read: %s", error, extra={"picture_id": order.picture_id})
            PICTURES.labels(RedactionOutcome.UNREADABLE, error.reason).inc()
            seconds = time.monotonic() - began
            outcome = {"outcome": RedactionOutcome.UNREADABLE, "reason": str(error.reason), "seconds": seconds}
            answer = answer.model_copy(update=outcome)
        else:
            _measure(done)
            frames = await self._rooms.keep_frames(order.case_id, order.picture_id, order.revision, done)
            answer = answer.model_copy(update={"frames": frames, "notes": done.notes, "seconds": done.seconds})
        await self._rooms.keep_answer(answer)
        return answer


def _by_frame(boxes: tuple[FrameBoxes, ...] | None) -> dict[int, tuple[Region, ...]] | None:
    return None if boxes is None else {each.frame: each.boxes for each in boxes}


def _clinical_by_frame(boxes: tuple[FrameBoxes, ...] | None) -> dict[int, tuple[Box, ...]] | None:
    marked = {each.frame: each.clinical for each in boxes or () if each.clinical}
    return marked or None


def _namespace(cause_id: str) -> uuid.UUID:
    """The input's id as a namespace; one that is no UUID (a foreign producer's) is made into one."""
    try:
        return uuid.UUID(cause_id)
    except ValueError:
        return uuid.uuid5(uuid.NAMESPACE_URL, cause_id)


def _measure(done: Redacted) -> None:
    PICTURES.labels(RedactionOutcome.REDACTED, "").inc()
    RESIDUAL.inc(sum(len(frame.residual) for frame in done.frames))
    PROPOSALS.inc(sum(len(frame.proposals) for frame in done.frames))
    for stage, seconds in done.stages.items():
        STAGE_SECONDS.labels(stage).observe(seconds)
