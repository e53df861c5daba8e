"""Every partition that may hold something erased gets a record now and then, which says nothing."""

import asyncio

import pytest

from shared.envelope import Message
from shared.errors import NotNow
from shared.events import CONSUMES, EVENTS, PARTITIONS, dead_topic, partition_for
from shared.turnover import Turnover, keys, messages_of


class Heard:
    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.away = False
        self.told = asyncio.Event()

    async def publish(self, message: Message) -> None:
        if self.away:
            self.away = False
            raise NotNow("Kafka plays dead")
        self.messages.append(message)
        self.told.set()


@pytest.mark.parametrize("service", sorted(CONSUMES))
def test_every_partition_of_a_services_topics_gets_one_record_that_says_nothing(service: str) -> None:
    found = messages_of(service)
    assert {message.value for message in found} <= {None}
    places = [(message.topic, message.partition) for message in found]
    emitted = [event.topic for event in EVENTS if event.emitter == service]
    dead = [dead_topic(event.topic, service) for event in CONSUMES[service]]
    assert sorted(places) == sorted(
        [(topic, number) for topic in emitted for number in range(PARTITIONS)] + [(topic, 0) for topic in dead]
    )


def test_the_keys_are_nobodys_and_always_the_same() -> None:
    assert [partition_for(key) for key in keys()] == list(range(PARTITIONS))
    assert keys() is keys()


async def test_it_goes_on_after_a_failure() -> None:
    heard = Heard()
    heard.away = True
    running = asyncio.create_task(Turnover(heard, "moderation", every_s=0.01).run())
    async with asyncio.timeout(10):
        await heard.told.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert await Turnover(heard, "moderation", every_s=1).append() == len(messages_of("moderation"))
