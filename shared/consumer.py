"""One subscription: decodes, calls the handler, retries, and puts aside what cannot be used.

Every handler of every service goes through this wrapper, because the defaults of the client libraries lose messages
in ways that no handler can see: an auto-commit before the work is done, a header that is not UTF-8, a handler that
raises. Its promises:

- an offset is committed only after the handler has returned or the message lies in the dead letters;
- `PoisonMessage`, and any message that cannot be decoded, goes to `<topic>.<service>.dead` at once; any other
  error is tried again a bounded number of times with growing delay, then goes there too;
- `NotNow`, and errors that say a dependency is away, are tried again for ever: that is nobody's poison;
- a message about a case that the service knows as withdrawn is not kept among the dead letters (`Bus.withdrawn`);
- a handler may see a message more than once (a crash, a rebalance) and must be idempotent by `Received.id`.
"""

import copy
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from aiokafka import ConsumerRebalanceListener, TopicPartition
from faststream import AckPolicy
from faststream.kafka import KafkaBroker
from prometheus_client import Counter, Histogram

from shared import dead_letters, log
from shared.dead_letters import Record
from shared.envelope import Message, Undecodable, decode
from shared.errors import PoisonMessage, dependency_is_away
from shared.events import Event, dead_topic
from shared.settings import ServiceSettings

if TYPE_CHECKING:
    from shared.bus import Bus

logger = logging.getLogger(__name__)

E = TypeVar("E", bound=Event)

# What an operator learns: how fast and how well each topic is worked off.
CONSUMED = Counter("consilium_events_consumed_total", "Messages done, by outcome", ["topic", "group", "outcome"])
RETRIES = Counter("consilium_event_retries_total", "Tries after a failure, by cause", ["topic", "group", "cause"])
HANDLING = Histogram(
    "consilium_event_handling_seconds",
    "Seconds in a handler, retries included",
    ["topic", "group"],
    buckets=(0.005, 0.02, 0.1, 0.5, 2, 10, 60, 300),
)

# A consumer that waits this long for a dependency hands the message back, so that the group sees it polling.
HAND_BACK_AFTER_S = 60.0


@dataclass(frozen=True)
class Received(Generic[E]):
    """A message as a handler sees it. `event` None is a tombstone: the entity `key` is gone from the topic."""

    event: E | None
    key: str
    id: str
    topic: str
    partition: int
    offset: int


@dataclass
class ConsumerProgress:
    """How one subscription is doing; times in seconds on the monotonic clock."""

    topic: str
    group: str
    joined: bool = False
    in_work: dict[int, float] = field(default_factory=dict)
    last_done: float = field(default_factory=time.monotonic)
    waiting_for: str = ""
    lag: int = 0
    silent_s: float = 0.0

    def trouble(self, *, stalled_after_s: float = 60.0, busy_limit_s: float = 600.0) -> str:
        """Why this consumer cannot do its work now, as a sentence; empty when it can."""
        now = time.monotonic()
        if not self.joined:
            return f"{self.topic}: has not joined group {self.group} yet"
        if self.waiting_for:
            return f"{self.topic}: waits for {self.waiting_for}"
        if self.in_work and now - min(self.in_work.values()) > busy_limit_s:
            return f"{self.topic}: one message has been in work for {now - min(self.in_work.values()):.0f} s"
        if not self.in_work and self.silent_s > stalled_after_s:
            return f"{self.topic}: Kafka has answered no fetch for {self.silent_s:.0f} s"
        if not self.in_work and self.lag > 0 and now - self.last_done > stalled_after_s:
            return f"{self.topic}: {self.lag} messages wait and none was taken for {now - self.last_done:.0f} s"
        return ""


class Consumer:
    """A handler's subscription to one topic on the bus."""

    def __init__(
        self,
        bus: "Bus",
        event_type: type[Event],
        handler: Callable[[Sequence[Received[Any]]], Awaitable[None]],
        progress: ConsumerProgress,
        workers: int,
        max_records: int,
    ) -> None:
        self.bus = bus
        self.event_type = event_type
        self.handler = handler
        self.progress = progress
        self.workers = workers
        self.max_records = max_records
        self._subscriber: Any = None

    def subscribe(self, broker: KafkaBroker, settings: ServiceSettings) -> None:
        arguments: dict[str, Any] = {
            "group_id": self.progress.group,
            "auto_offset_reset": "earliest",  # the default `latest` makes a new group skip history
            "ack_policy": AckPolicy.NACK_ON_ERROR,
            "session_timeout_ms": settings.kafka_session_timeout_ms,
            # A member learns of a rebalance by its heartbeat: at a start, several consumers join one after another.
            "heartbeat_interval_ms": min(settings.kafka_session_timeout_ms // 4, 1000),
            "max_poll_interval_ms": settings.kafka_max_poll_interval_ms,
            "listener": _Joined(self.progress),
            "parser": _parse_anything,
            "decoder": _raw_records,
            "no_reply": True,
        }
        if self.max_records:
            arguments |= {"batch": True, "max_records": self.max_records, "batch_timeout_ms": 100}
        elif self.workers > 1:
            arguments["max_workers"] = self.workers
        self._subscriber = broker.subscriber(self.event_type.topic, **arguments)
        self._subscriber(self._consume)

    def measure_lag(self) -> None:
        consumers = getattr(self._subscriber, "consumer_subgroup", None) or [
            getattr(self._subscriber, "consumer", None)
        ]
        lag, heard_ms = 0, 0
        for consumer in filter(None, consumers):
            for partition in consumer.assignment():
                heard_ms = max(heard_ms, consumer.last_poll_timestamp(partition) or 0)
                end, position = consumer.highwater(partition), _position(consumer, partition)
                if end is not None and position is not None:
                    lag += max(end - position, 0)
        self.progress.lag = lag
        self.progress.silent_s = time.time() - heard_ms / 1000 if heard_ms else 0.0

    # Any, because FastStream builds a validator from the annotation and pydantic cannot check a Protocol.
    async def _consume(self, records: Any) -> None:
        batch: tuple[Record, ...] = records if isinstance(records, tuple) else (records,)
        started = self.progress.in_work[id(records)] = time.monotonic()
        try:
            received = [r for record in batch if (r := await self._decode(record)) is not None]
            if received:
                await self._handle(received, {(r.partition, r.offset): r for r in batch})
        finally:
            self.progress.in_work.pop(id(records), None)
            self.progress.waiting_for = ""
            self.progress.last_done = time.monotonic()
            HANDLING.labels(self.event_type.topic, self.progress.group).observe(time.monotonic() - started)

    async def _decode(self, record: Record) -> Received[Any] | None:
        try:
            event, key, ce_id, traceparent = decode(self.event_type, record.key, record.value, record.headers)
        except Undecodable as error:
            await self._put_aside(record, f"undecodable: {error}", tries=1)
            return None
        if not self.max_records:
            log.continue_trace(traceparent)
        unique = ce_id or f"{record.topic}:{record.partition}:{record.offset}"
        return Received(event, key, unique, record.topic, record.partition, record.offset)

    async def _handle(self, received: list[Received[Any]], records: dict[tuple[int, int], Record]) -> None:
        cause = await self._try(received, tries=1 if len(received) > 1 else self.bus.settings.kafka_max_tries)
        if cause is None:
            self._count("done", len(received))
        elif len(received) == 1:
            await self._put_aside(records[received[0].partition, received[0].offset], *cause)
        else:  # find the poison: one by one, in order
            logger.warning(
                "%s: a batch of %d failed (%s), trying one by one", self.progress.topic, len(received), cause
            )
            for message in received:
                await self._handle([message], records)

    async def _try(self, received: list[Received[Any]], tries: int) -> tuple[str, int] | None:
        """Call the handler until it returns. Gives None on success, else the cause and the number of tries."""
        settings = self.bus.settings
        done, delay_s, away_since = 0, settings.kafka_retry_first_delay_s, 0.0
        while True:
            try:
                await self.handler(received)
            except PoisonMessage as error:
                return f"poison: {error}", done + 1
            except Exception as error:
                if dependency_is_away(error):
                    self.progress.waiting_for = f"{type(error).__name__}: {error}"
                    away_since = away_since or time.monotonic()
                    if self.bus.stopping or time.monotonic() - away_since > HAND_BACK_AFTER_S:
                        raise
                    self._retry("away", error)
                else:
                    done += 1
                    logger.warning("%s: try %d failed", self.progress.topic, done, exc_info=error)
                    if done >= tries:
                        return f"{type(error).__name__}: {error}", done
                    self._retry("failed", error)
                await self.bus.wait_or_stop(delay_s)
                if self.bus.stopping:
                    raise
                delay_s = min(delay_s * 2, settings.kafka_retry_max_delay_s)
            else:
                self.progress.waiting_for = ""
                return None

    async def _put_aside(self, record: Record, cause: str, tries: int) -> None:
        topic = dead_topic(record.topic, self.bus.service)
        logger.error(
            "message put aside in %s: %s", topic, cause, extra={"partition": record.partition, "offset": record.offset}
        )
        letter = dead_letters.letter(record, topic, cause, tries)
        await self.bus.publish(letter)
        self._count("dead", 1)
        # After it lies there, not before: a withdrawal that is not seen here yet will find the letter and purge it.
        ids = dead_letters.ids_in(record)
        if ids and self.bus.withdrawn is not None and await self.bus.withdrawn(ids):
            logger.info("the message is about a withdrawn case, and is not kept")
            await self.bus.publish(Message(letter.topic, letter.key, letter.partition, None, {}))

    def _retry(self, cause: str, error: BaseException) -> None:
        logger.info("%s: %s, trying again (%s)", self.progress.topic, cause, error)
        RETRIES.labels(self.event_type.topic, self.progress.group, cause).inc()

    def _count(self, outcome: str, amount: int) -> None:
        CONSUMED.labels(self.event_type.topic, self.progress.group, outcome).inc(amount)


class _Joined(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka ships no types for it
    """Notes that the group has given this consumer its share (which may be empty)."""

    def __init__(self, progress: ConsumerProgress) -> None:
        self.progress = progress

    def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        self.progress.joined = False

    def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        self.progress.joined = True
        self.progress.last_done = time.monotonic()


async def _parse_anything(raw: Any, original: Callable[[Any], Awaitable[Any]]) -> Any:
    """FastStream's parser drops a message whose header is null or not UTF-8, and the next commit passes it.

    Give it copies with headers it can read; the untouched records stay in `raw_message`.
    """
    clean = tuple(_readable(record) for record in raw) if isinstance(raw, tuple) else _readable(raw)
    message = await original(clean)
    message.raw_message = raw
    return message


def _readable(record: Any) -> Any:
    clean = copy.copy(record)
    clean.headers = ()
    return clean


async def _raw_records(message: Any) -> Any:
    """Decoding is the wrapper's work: hand it the records as Kafka had them."""
    return message.raw_message


def _position(consumer: Any, partition: TopicPartition) -> int | None:
    """Where the consumer stands, without waiting for a position that is not known yet."""
    assignment = consumer._subscription.subscription.assignment
    state = assignment.state_value(partition) if assignment else None
    return state.position if state is not None and state.has_valid_position else None
