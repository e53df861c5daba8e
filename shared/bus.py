"""A service's way to and from Kafka: it connects in the background, subscribes handlers, and publishes.

What happens to a message on its way to a handler, and when a handler fails, is `consumer.py`.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar, cast

from faststream.kafka import KafkaBroker
from prometheus_client import Counter

from shared import dead_letters
from shared.consumer import Consumer, ConsumerProgress, Received
from shared.envelope import Message
from shared.errors import NotNow, PoisonMessage, dependency_is_away
from shared.events import Event
from shared.kafka import kafka_client_options, kafka_security
from shared.settings import ServiceSettings

logger = logging.getLogger(__name__)

E = TypeVar("E", bound=Event)

__all__ = ["Bus", "ConsumerProgress", "NotNow", "PoisonMessage", "Received", "kafka_client_options", "kafka_security"]

PUBLISHED = Counter("consilium_events_published_total", "Messages acknowledged by Kafka", ["topic"])

MAX_MESSAGE_BYTES = 4 * 1024 * 1024  # as the topics' max.message.bytes; a larger event could never leave the outbox

Withdrawn = Callable[[Collection[str]], Awaitable[bool]]
"""Whether one of these ids is that of a case which the service knows as withdrawn."""


class Bus:
    """One service's connection to Kafka. `start` returns at once and connects in the background, again and again
    until it succeeds; `stop` lets handlers in flight finish within the grace time and leaves the rest unacknowledged.
    `withdrawn`, where it is set, keeps messages about withdrawn cases out of the dead letters.
    """

    def __init__(self, settings: ServiceSettings, service: str) -> None:
        self._settings = settings
        self.service = service
        self._consumers: list[Consumer] = []
        self._broker: KafkaBroker | None = None
        self._connected = asyncio.Event()
        self._stopping = asyncio.Event()
        self._connecting: asyncio.Task[None] | None = None
        self.connect_error = ""
        self.withdrawn: Withdrawn | None = None

    def on(
        self,
        event_type: type[E],
        handler: Callable[[Received[E]], Awaitable[None]],
        *,
        group: str | None = None,
        workers: int = 1,
    ) -> None:
        """Call `handler` for each message of the event's topic. `workers` > 1: partitions are worked in parallel."""

        async def one_by_one(received: Sequence[Received[Any]]) -> None:
            for message in received:
                await handler(message)

        self._add(event_type, one_by_one, group, workers=workers, max_records=0)

    def on_batch(
        self,
        event_type: type[E],
        handler: Callable[[Sequence[Received[E]]], Awaitable[None]],
        *,
        group: str | None = None,
        max_records: int = 500,
    ) -> None:
        """Call `handler` with up to `max_records` messages at once. A batch that fails is tried one by one."""
        self._add(event_type, cast(Any, handler), group, workers=1, max_records=max_records)

    def _add(self, event_type: type[Event], handler: Any, group: str | None, *, workers: int, max_records: int) -> None:
        if self._connecting:
            raise RuntimeError("subscribe before the bus is started")
        progress = ConsumerProgress(event_type.topic, group or self.service)
        self._consumers.append(Consumer(self, event_type, handler, progress, workers, max_records))

    async def start(self) -> None:
        """Begin to connect and to consume. Returns at once."""
        self._connecting = asyncio.create_task(self._connect(), name="bus-connect")

    async def stop(self) -> None:
        """Stop consuming; messages not finished within the grace time will be delivered again elsewhere."""
        self._stopping.set()
        if self._connecting:
            self._connecting.cancel()
            await asyncio.gather(self._connecting, return_exceptions=True)
        if self._broker:
            await self._broker.stop()

    def progress(self) -> list[ConsumerProgress]:
        """The state of each subscription, with the lag as of now."""
        for consumer in self._consumers:
            consumer.measure_lag()
        return [consumer.progress for consumer in self._consumers]

    async def check(self) -> None:
        """For readiness: raises NotNow with a sentence where Kafka is away or a consumer makes no progress."""
        if not self._connected.is_set():
            raise NotNow(f"not connected to Kafka yet ({self.connect_error or 'connecting'})")
        troubles = [trouble for progress in self.progress() if (trouble := progress.trouble())]
        if troubles:
            raise NotNow("; ".join(troubles))

    async def publish(self, message: Message) -> None:
        """Hand one message to Kafka and wait until all in-sync replicas have it. Waits while Kafka is away.

        Raises KafkaError where the broker refuses the message (too large, not authorised).
        """
        await self._connected.wait()
        assert self._broker is not None
        await self._broker.publish(
            message.value,
            topic=message.topic,
            key=message.key.encode(),
            partition=message.partition,
            headers=message.headers,
        )
        PUBLISHED.labels(message.topic).inc()

    async def purge_dead_letters(self, *mentions: str) -> int:
        """Erase this service's dead letters that mention one of the ids (a withdrawn case, its pictures)."""
        return await dead_letters.purge(self.service, kafka_client_options(self._settings), mentions)

    async def purge_dead_letters_of(self, cases: Mapping[str, Collection[str]]) -> dict[str, int]:
        """The same for several cases at once: case -> ids that letters mention it by. Returns how many of each."""
        return await dead_letters.purge_each(self.service, kafka_client_options(self._settings), cases)

    @property
    def settings(self) -> ServiceSettings:
        return self._settings

    @property
    def stopping(self) -> bool:
        return self._stopping.is_set()

    async def wait_or_stop(self, seconds: float) -> None:
        """Wait, but not beyond the moment in which the bus is asked to stop."""
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return

    async def _connect(self) -> None:
        delay_s = 0.2
        while not self._stopping.is_set():
            broker = self._make_broker()
            try:
                for consumer in self._consumers:
                    consumer.subscribe(broker, self._settings)
                await broker.start()
            except Exception as error:  # nobody awaits this task: say what it was, in the log and in /readyz
                self.connect_error = f"{type(error).__name__}: {error}"
                away = dependency_is_away(error)
                logger.warning("no connection to Kafka, trying again in %.1f s", delay_s, exc_info=not away)
                await broker.stop()
                await self.wait_or_stop(delay_s)
                delay_s = min(delay_s * 2, 5.0)
                continue
            self._broker = broker
            self._connected.set()
            return

    def _make_broker(self) -> KafkaBroker:
        return KafkaBroker(
            self._settings.kafka_bootstrap_servers.split(","),
            security=kafka_security(self._settings),
            client_id=f"consilium-{self.service}",
            enable_idempotence=True,  # sets acks=all; the library's default acks=1 loses what one broker had
            allow_auto_create_topics=False,
            max_request_size=MAX_MESSAGE_BYTES,
            graceful_timeout=self._settings.shutdown_grace_s,
            apply_types=False,
            logger=logging.getLogger("faststream"),
        )
