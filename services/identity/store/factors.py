"""Second factors in MongoDB: one document a member, replaced whole while nobody else has changed it."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from services.identity.domain.factors import Factors, Passkey, Totp
from shared.mongo import Database, Document, DuplicateKeyError, MongoBusy


class FactorStore:
    """See `domain.factors.KeepsFactors`."""

    def __init__(self, db: Database) -> None:
        self._factors = db["factors"]

    async def prepare(self) -> None:
        """Make the index by which a passkey alone finds its member; may be repeated."""
        await self._factors.create_index(
            "passkeys.credential_id",
            unique=True,
            partialFilterExpression={"passkeys.credential_id": {"$exists": True}},
            name="passkey",
        )

    async def of_member(self, member_id: str) -> Factors:
        document = await self._factors.find_one({"_id": member_id})
        return _factors(document) if document else Factors(member_id)

    async def by_passkey(self, credential_id: str) -> Factors | None:
        document = await self._factors.find_one({"passkeys.credential_id": credential_id})
        return _factors(document) if document else None

    async def change(self, member_id: str, move: Callable[[Factors], Factors]) -> Factors:
        for tries in range(20):
            found = await self._factors.find_one({"_id": member_id})
            moved = move(_factors(found) if found else Factors(member_id))
            document = _document(moved, (found["version"] if found else 0) + 1)
            if found is None:
                try:
                    await self._factors.insert_one(document)
                except DuplicateKeyError as error:
                    if "_id" not in (error.details or {}).get("keyPattern", {}):
                        raise  # a passkey of another member: the authenticator's fault, or a forger's
                else:
                    return moved
            else:
                # The sealed parts too: a rotation of the wrapping key changes them without a new version.
                same = {"_id": member_id, **{name: found[name] for name in ("version", "totp", "pending")}}
                if (await self._factors.replace_one(same, document)).modified_count:
                    return moved
            await asyncio.sleep(random.uniform(0, 0.01 * 2 ** min(tries, 5)))  # noqa: S311 - no secret
        raise MongoBusy("the factors of one member change again and again")

    async def forget(self, member_id: str) -> None:
        """The member has left, or lost everything and proved who they are to people."""
        await self._factors.delete_one({"_id": member_id})


def _document(factors: Factors, version: int) -> Document:
    return {
        "_id": factors.member_id,
        "version": version,
        "totp": asdict(factors.totp) if factors.totp else None,
        "pending": asdict(factors.pending) if factors.pending else None,
        "passkeys": [{**asdict(one), "transports": list(one.transports)} for one in factors.passkeys],
        "recovery": list(factors.recovery),
    }


def _factors(document: dict[str, Any]) -> Factors:
    return Factors(
        document["_id"],
        Totp(**document["totp"]) if document["totp"] else None,
        Totp(**document["pending"]) if document["pending"] else None,
        tuple(
            Passkey(**{**one, "public_key": bytes(one["public_key"]), "transports": tuple(one["transports"])})
            for one in document["passkeys"]
        ),
        tuple(document["recovery"]),
    )
