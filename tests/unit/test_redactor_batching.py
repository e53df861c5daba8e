"""Batches: what runs together and when, by a clock that the test moves; the same answers as alone."""

import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from services.redactor.inference import EngineKind, Tensor, make_engine
from services.redactor.inference.batching import Batcher
from services.redactor.inference.gathering import Gathering
from services.redactor.weights import CENTERFACE, DEFAULT_DIRECTORY, missing
from tests.waiting import until

SAMPLES = Path(__file__).parents[1] / "samples" / "pictures"
needs_weights = pytest.mark.skipif(
    bool(missing(DEFAULT_DIRECTORY)), reason="the model weights are not there: make weights"
)
LONG_S = 3600.0
"""A wait that no test lives to see the end of: what comes back before came back for another reason."""


# ---- who runs together


def test_a_request_waits_as_long_as_said_and_not_longer() -> None:
    gathering: Gathering[str] = Gathering(most=4, wait_s=2.0)
    gathering.add("a", "first", 1, now=10.0)
    gathering.add("a", "second", 1, now=11.5)
    assert gathering.next_due() == 12.0
    assert gathering.due(11.9, callers=9) == []
    assert gathering.due(12.0, callers=9) == ["first", "second"]
    assert gathering.next_due() is None


def test_a_full_batch_waits_for_nothing_and_holds_no_more_than_it_may() -> None:
    gathering: Gathering[str] = Gathering(most=4, wait_s=LONG_S)
    for index, pictures_ in enumerate([2, 1, 2]):
        gathering.add("a", f"request {index}", pictures_, now=0.0)
    assert gathering.due(0.0, callers=9) == ["request 0", "request 1"]
    assert gathering.due(0.0, callers=9) == []
    gathering.add("a", "larger than a batch", 9, now=0.0)
    assert gathering.due(0.0, callers=9) == ["request 2"]
    assert gathering.due(0.0, callers=9) == ["larger than a batch"]


def test_what_differs_in_network_or_shape_never_runs_together() -> None:
    gathering: Gathering[str] = Gathering(most=4, wait_s=1.0)
    gathering.add(("faces", (3, 64, 64)), "one", 1, now=0.0)
    gathering.add(("text", (3, 64, 64)), "two", 1, now=0.1)
    gathering.add(("faces", (3, 64, 96)), "three", 1, now=0.2)
    assert [gathering.due(9.0, callers=9) for _ in range(3)] == [["one"], ["two"], ["three"]]


def test_who_waits_longest_comes_first_even_before_a_full_batch() -> None:
    gathering: Gathering[str] = Gathering(most=2, wait_s=1.0)
    gathering.add("rare", "rare", 1, now=0.0)
    gathering.add("common", "one", 1, now=0.5)
    gathering.add("common", "two", 1, now=0.6)
    assert gathering.due(1.0, callers=9) == ["rare"]
    assert gathering.due(1.0, callers=9) == ["one", "two"]


def test_nobody_waits_for_callers_who_are_not_there() -> None:
    gathering: Gathering[str] = Gathering(most=8, wait_s=LONG_S)
    gathering.add("a", "mine", 1, now=0.0)
    assert gathering.due(0.0, callers=2) == []
    gathering.add("b", "the other's", 1, now=0.0)
    assert gathering.due(0.0, callers=2) == ["mine"]
    assert gathering.due(0.0, callers=1) == ["the other's"]


# ---- one engine, many callers


class Recording:
    """An engine whose network says for each picture its mean, and that notes each batch it was given."""

    name = "recording"

    def __init__(self) -> None:
        self.batches: list[Tensor] = []
        self.rests: list[int] = []
        """How many batches had run at each rest."""
        self.metadata: dict[str, str] = {}

    def path(self, name: str) -> Path:
        return Path(name)

    def network(self, name: str) -> "Recording":
        return self

    def rest(self) -> Counter[int]:
        self.rests.append(len(self.batches))
        return Counter()

    def run(self, batch: Tensor) -> Sequence[Tensor]:
        self.batches.append(batch)
        if len(batch) > 1 and np.isnan(batch).any():
            raise RuntimeError("one of them is bad")
        if np.isnan(batch).any():
            raise RuntimeError("this one is bad")
        return [batch.mean(axis=(1, 2, 3), keepdims=True)]


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def recording() -> Recording:
    return Recording()


def picture(value: float, side: int = 4) -> Tensor:
    return np.full((1, 3, side, side), value, np.float32)


def served(batcher: Batcher) -> threading.Thread:
    thread = threading.Thread(target=batcher.serve, daemon=True)
    thread.start()
    return thread


def asked(batcher: Batcher, batches: Sequence[Tensor], network: str = "any") -> list[object]:
    """Each batch by a caller of its own, all at once; an exception in place of an answer."""
    results: list[object] = [None] * len(batches)

    def ask(index: int) -> None:
        try:
            results[index] = batcher.run(network, batches[index])
        except Exception as error:
            results[index] = error
        finally:
            batcher.leave()

    for _ in batches:
        batcher.enter()
    threads = [threading.Thread(target=ask, args=(index,)) for index in range(len(batches))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_callers_who_ask_at_once_get_their_own_answer_out_of_one_batch(recording: Recording) -> None:
    batcher = Batcher(recording, most=8, wait_s=LONG_S)
    thread = served(batcher)
    answers = asked(batcher, [picture(value) for value in (1.0, 2.0, 3.0)])
    batcher.close()
    thread.join()
    assert [float(answer.outputs[0].item()) for answer in answers] == [1.0, 2.0, 3.0]  # type: ignore[attr-defined]
    assert [len(batch) for batch in recording.batches] == [3]
    assert [answer.batch_size for answer in answers] == [3, 3, 3]  # type: ignore[attr-defined]


async def test_the_wait_for_a_caller_who_asks_nothing_ends_when_the_clock_says(recording: Recording) -> None:
    clock = Clock()
    batcher = Batcher(recording, most=8, wait_s=5.0, clock=clock)
    batcher.enter()  # somebody who is at work and might ask
    thread = served(batcher)
    results: list[object] = []
    caller = threading.Thread(target=lambda: results.extend(asked(batcher, [picture(1.0)])))
    caller.start()
    await until(lambda: len(batcher._gathering) == 1)
    clock.now = 4.9
    batcher.look()
    assert not recording.batches
    clock.now = 5.0
    batcher.look()
    caller.join()
    assert len(recording.batches) == len(results) == 1
    batcher.close()
    thread.join()


def test_trouble_with_one_picture_is_not_the_others(recording: Recording) -> None:
    batcher = Batcher(recording, most=8, wait_s=LONG_S)
    thread = served(batcher)
    good, bad, other = asked(batcher, [picture(1.0), picture(float("nan")), picture(3.0)])
    batcher.close()
    thread.join()
    assert isinstance(bad, RuntimeError)
    assert str(bad) == "this one is bad"
    assert [good.outputs[0].item(), other.outputs[0].item()] == [1.0, 3.0]  # type: ignore[attr-defined]


async def test_the_engine_rests_once_when_the_last_caller_has_left_and_not_before(recording: Recording) -> None:
    batcher = Batcher(recording, most=1, wait_s=0.0)
    thread = served(batcher)
    batcher.enter()  # a worker that stays at its picture
    asked(batcher, [picture(1.0)])
    batcher.run("any", picture(2.0))
    assert recording.rests == []
    batcher.leave()
    await until(lambda: recording.rests == [2])
    batcher.look()
    asked(batcher, [picture(3.0)])
    await until(lambda: recording.rests == [2, 3])
    batcher.close()
    thread.join()
    assert recording.rests == [2, 3]


def test_who_asks_after_the_end_is_told(recording: Recording) -> None:
    batcher = Batcher(recording, most=8, wait_s=0.0)
    batcher.close()
    with pytest.raises(ConnectionError):
        batcher.run("any", picture(1.0))


@needs_weights
def test_batches_of_the_processors_engine_say_what_single_pictures_do() -> None:
    engine = make_engine(EngineKind.AUTO, DEFAULT_DIRECTORY)
    generator = np.random.default_rng(2)
    batches = [generator.uniform(0, 255, (1, 3, 96, 128)).astype(np.float32) for _ in range(3)]
    batcher = Batcher(engine, most=8, wait_s=LONG_S)
    thread = served(batcher)
    answers = asked(batcher, batches, CENTERFACE)
    batcher.close()
    thread.join()
    network = engine.network(CENTERFACE)
    for batch, answer in zip(batches, answers, strict=True):
        assert answer.batch_size == 3  # type: ignore[attr-defined]
        for together, alone in zip(answer.outputs, network.run(batch), strict=True):  # type: ignore[attr-defined]
            assert together.shape == alone.shape
            assert np.abs(together - alone).max() < 0.05 * max(1.0, np.abs(alone).max())
