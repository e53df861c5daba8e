"""What a service wraps with, as its settings say, and wrapping everything again after a rotation."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pydantic import SecretStr

from shared.blobs import BlobBroken
from shared.errors import WrongSetting
from shared.keyring import FileKeyRing, KeyRing, Wrapped, WrongWrappingKey
from shared.sealed import Rewrap
from shared.transit import TransitKeyRing

logger = logging.getLogger(__name__)

_AT_ONCE = 8
_PASSES = 10


class WrappingSettings(Protocol):
    """The part of a service's settings that says where its wrapping key is."""

    @property
    def wrapping_key_file(self) -> Path: ...
    @property
    def kms_url(self) -> str: ...
    @property
    def kms_mount(self) -> str: ...
    @property
    def kms_key(self) -> str: ...
    @property
    def kms_token(self) -> SecretStr: ...


def open_keyring(settings: WrappingSettings) -> KeyRing:
    """The ring that the settings name: a key management service where there is one, else the file.

    With both, the service's key is current and the file's keys still open what they wrapped before: so an installation
    moves from one to the other without a pause. Raises WrongSetting.
    """
    if not settings.kms_url:
        return FileKeyRing(settings.wrapping_key_file)
    if not (settings.kms_key and settings.kms_token.get_secret_value()):
        raise WrongSetting("With KMS_URL, KMS_KEY and KMS_TOKEN must be set too.")
    transit = TransitKeyRing(settings.kms_url, settings.kms_key, settings.kms_token, mount=settings.kms_mount)
    if not settings.wrapping_key_file.exists():
        return transit
    return SeveralRings(transit, FileKeyRing(settings.wrapping_key_file))


class SeveralRings:
    """The first ring wraps; what it does not know, the others open, each asked in turn."""

    def __init__(self, current: KeyRing, *older: KeyRing) -> None:
        self._current = current
        self._older: Sequence[KeyRing] = older

    async def wrap(self, data_key: bytes, bound: bytes) -> Wrapped:
        return await self._current.wrap(data_key, bound)

    async def unwrap(self, wrapped: Wrapped, bound: bytes) -> bytes:
        try:
            return await self._current.unwrap(wrapped, bound)
        except WrongWrappingKey:
            return await self._unwrap_older(wrapped, bound)

    async def rewrap(self, wrapped: Wrapped, bound: bytes) -> Wrapped | None:
        try:
            return await self._current.rewrap(wrapped, bound)
        except WrongWrappingKey:
            return await self._current.wrap(await self._unwrap_older(wrapped, bound), bound)

    async def check(self) -> None:
        await asyncio.gather(*(ring.check() for ring in (self._current, *self._older)))

    async def close(self) -> None:
        await asyncio.gather(*(ring.close() for ring in (self._current, *self._older)))

    async def _unwrap_older(self, wrapped: Wrapped, bound: bytes) -> bytes:
        for ring in self._older:
            try:
                return await ring.unwrap(wrapped, bound)
            except WrongWrappingKey:
                continue
        raise WrongWrappingKey(f"wrapped with key {wrapped.key_id}, which none of our rings holds")


class Rewrappable(Protocol):
    """Records that are wrapped, each under a name: a `SealedRoom`, or `shared.sealed_fields.SealedFields`."""

    async def owners(self) -> list[str]: ...
    async def rewrap(self, owner_id: str) -> Rewrap: ...


@dataclass(frozen=True)
class Rewrapped:
    """What `rewrap_all` did in one place."""

    records: int
    """Wrapped keys that are there now."""
    done: int
    """Of which so many were wrapped again."""
    stuck: tuple[str, ...]
    """Owners whose record no key of the ring opens, or that is damaged: an older key must not be taken away yet."""
    settled: bool
    """The last pass found nothing to do; else somebody still wraps with an older key."""


async def rewrap_all(place: Rewrappable) -> Rewrapped:
    """Wrap every record of a place with the current key, until a pass over all of them finds nothing to do.

    Services may store, load and forget meanwhile. A service that has not seen the new key yet may still wrap with the
    old one, which the next pass (or the next run) finds. Raises what says that the store or the ring is away.
    """
    done = 0
    for _ in range(_PASSES):
        found = await _one_pass(place)
        changed = sum(one is Rewrap.DONE for one in found.values())
        done += changed
        if not changed:
            break
    records = sum(one is not Rewrap.GONE for one in found.values())
    stuck = tuple(owner for owner, one in found.items() if one is None)
    return Rewrapped(records, done, stuck, settled=not changed)


async def _one_pass(place: Rewrappable) -> dict[str, Rewrap | None]:
    slots = asyncio.Semaphore(_AT_ONCE)

    async def one(owner: str) -> Rewrap | None:
        async with slots:
            try:
                return await place.rewrap(owner)
            except (WrongWrappingKey, BlobBroken) as error:
                logger.error("a wrapped key stays as it is: %s", error, extra={"owner_id": owner})
                return None

    owners = await place.owners()
    return dict(zip(owners, await asyncio.gather(*map(one, owners)), strict=True))


async def rewrap_everything(places: Mapping[str, Rewrappable], say: Callable[[str], None]) -> bool:
    """`rewrap_all` for every place, told line by line; returns whether all records are under the current key."""
    complete = True
    for name, place in places.items():
        told = await rewrap_all(place)
        say(f"{name}: {told.records} wrapped keys, {told.done} wrapped again, {len(told.stuck)} left")
        for owner in told.stuck:
            say(f"  left: {owner}")
        if not told.settled:
            say("  a service still wraps with an older key: has it read the new one?")
        complete = complete and told.settled and not told.stuck
    say("Older wrapping keys can be taken away." if complete else "Keep the older wrapping keys, and run this again.")
    return complete
