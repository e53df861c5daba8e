"""Which requests run together, and when: no threads, no clock of its own, so that every case can be told exactly."""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass
class _Waiting(Generic[T]):
    since: float
    items: list[tuple[T, int]] = field(default_factory=list)

    @property
    def pictures(self) -> int:
        return sum(size for _, size in self.items)


class Gathering(Generic[T]):
    """Requests that wait for others of their kind (the same network and shape).

    A batch is due when it is full (`most` pictures), when its oldest request has waited `wait_s` seconds, or when
    every caller who could add to one waits already: whoever is alone waits for nobody.
    """

    def __init__(self, most: int, wait_s: float) -> None:
        self._most, self._wait_s = most, wait_s
        self._waiting: OrderedDict[Hashable, _Waiting[T]] = OrderedDict()  # by age of the oldest request

    def __len__(self) -> int:
        return sum(len(each.items) for each in self._waiting.values())

    def add(self, key: Hashable, item: T, pictures: int, now: float) -> None:
        """`item` asks for `pictures` pictures of kind `key` at `now` seconds."""
        self._waiting.setdefault(key, _Waiting(now)).items.append((item, pictures))

    def due(self, now: float, callers: int) -> list[T]:
        """The requests to run now, together; empty when it is better to wait. `callers`: who could ask at most, each
        for one thing at a time. Of several due batches the one that waits longest comes first."""
        nobody_else = len(self) >= callers
        for key, waiting in self._waiting.items():
            if nobody_else or waiting.pictures >= self._most or now >= waiting.since + self._wait_s:
                return self._taken(key, waiting, now)
        return []

    def next_due(self) -> float | None:
        """When the oldest request has waited long enough; None when there is none."""
        return next((waiting.since + self._wait_s for waiting in self._waiting.values()), None)

    def _taken(self, key: Hashable, waiting: _Waiting[T], now: float) -> list[T]:
        """As many as fit into one batch, and at least one; the rest has waited already and is due again at once."""
        taken: list[T] = []
        pictures = 0
        while waiting.items and (not taken or pictures + waiting.items[0][1] <= self._most):
            item, size = waiting.items.pop(0)
            taken.append(item)
            pictures += size
        if not waiting.items:
            del self._waiting[key]
        return taken
