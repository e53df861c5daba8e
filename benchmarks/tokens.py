"""Verifying access tokens: how many a second one core checks, against the bare Ed25519 signature.

`first sight`: every token is new to the verifier, so that signature, claims and types are checked. `again`: a token
that was verified before, as in a session. Both without network: the keys are known after the first token.
"""

import json
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from benchmarks import harness
from benchmarks.harness import Result, median_row
from services.identity.domain.account import Account
from services.identity.store.keys import SigningKeys
from shared.auth import TokenVerifier
from shared.events import Profession

ISSUER, AUDIENCE = "consilium-identity", "consilium"
TOKENS = 4_000
ROUNDS = 7


async def run() -> Result:
    with tempfile.TemporaryDirectory() as folder:
        key = SigningKeys(Path(folder) / "key.pem", 600)
    now = datetime.now(UTC)
    tokens = [key.sign(_account(n).claims(issuer=ISSUER, audience=AUDIENCE, now=now, ttl_s=600)) for n in range(TOKENS)]
    public: Any = jwt.PyJWK(key.published()["keys"][0], algorithm="EdDSA").key

    async def keys() -> dict[str, Any]:
        return key.published()

    fresh, again, bare = [], [], []
    for _ in range(ROUNDS):
        verifier = TokenVerifier("", ISSUER, AUDIENCE, fetch=keys, cache_size=TOKENS)
        started = time.process_time()
        for token in tokens:
            await verifier.verify(token)
        fresh.append(TOKENS / (time.process_time() - started))
        started = time.process_time()
        for token in tokens:
            await verifier.verify(token)
        again.append(TOKENS / (time.process_time() - started))
        bare.append(TOKENS / _seconds(lambda token: _signature_and_json(public, token), tokens))
    share = harness.ratios(fresh, bare)
    return Result(
        "Access tokens verified offline",
        "at first sight at half of the bare signature's speed or more",
        statistics.median(share) >= 0.5,
        [
            median_row("first sight: TokenVerifier.verify", fresh, "tokens per CPU-second"),
            median_row("again: TokenVerifier.verify", again, "tokens per CPU-second"),
            median_row("bare: Ed25519 signature and json.loads", bare, "tokens per CPU-second"),
            median_row("first sight / bare", share, ""),
        ],
        [f"{TOKENS:,} tokens of {len(tokens[0])} characters, {ROUNDS} rounds, one process, CPU time"],
    )


def _account(number: int) -> Account:
    return Account.register(
        email=f"m{number}@test.invalid",
        password_hash="-",
        pseudonym=f"Member {number} {uuid.uuid4().hex[:6]}",
        profession=tuple(Profession)[number % len(Profession)],
        now=datetime.now(UTC),
    )


def _signature_and_json(public: Ed25519PublicKey, token: str) -> dict[str, Any]:
    signed, _, signature = token.rpartition(".")
    public.verify(jwt.utils.base64url_decode(signature), signed.encode())
    claims: dict[str, Any] = json.loads(jwt.utils.base64url_decode(signed.partition(".")[2]))
    return claims


def _seconds(work: Callable[[str], Any], tokens: list[str]) -> float:
    started = time.process_time()
    for token in tokens:
        work(token)
    return time.process_time() - started


if __name__ == "__main__":
    harness.main(run)
