"""Events per second of a rebuild, against reading the same events with a bare client and writing them in batches.

The bare loop is what any projection has to do at least: fetch with aiokafka, parse the JSON, upsert one document an
event with `bulk_write`, one batch after another. The rebuild does it all: validated events, rendered documents,
versions, counts and transactions. It runs as operators run it (`python -m services.feed rebuild`), beside a feed that
serves, and its own figure counts from the first fetch until all is committed and indexed; both take turns.
"""

import asyncio
import gc
import json
import statistics
import sys
import time
import uuid
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition
from pymongo import ReplaceOne

from benchmarks import harness
from benchmarks.harness import Result, median_row
from benchmarks.past import comment_on, member_of, publish, published_case
from deploy.local import Platform
from deploy.local.downloads import ROOT
from deploy.local.services import process_environment
from services.feed.__main__ import GC_THRESHOLDS
from services.feed.settings import Settings
from shared.events import CONSUMES, PARTITIONS
from shared.mongo import Mongo

MEMBERS, CASES, COMMENTS = 500, 10_000, 20_000
ROUNDS = 5


async def run() -> Result:
    batch = Settings.model_fields["rebuild_batch_records"].default
    gc.freeze()  # the bare loop gets what the rebuild gets of Python's collector
    gc.set_threshold(*GC_THRESHOLDS)
    with harness.own_platform() as platform:
        events = [member_of(number) for number in range(MEMBERS)]
        cases = [published_case(number, author=number % MEMBERS) for number in range(CASES)]
        comments = [comment_on(number, case=number % CASES, author=number % MEMBERS) for number in range(COMMENTS)]
        total = await publish(platform, [*events, *cases, *comments])
        await asyncio.to_thread(platform.start_service, "feed")
        await _rebuild(platform)  # waits until the feed itself has taken everything in
        bare, full = [], []
        for _ in range(ROUNDS):
            bare.append(total / await _bare(platform, batch))
            report = await _rebuild(platform)
            if not report["equal"] or report["events"] < total:
                raise RuntimeError(f"the rebuild did not do what is measured: {report}")
            full.append(report["events_per_s"])
    ratios = harness.ratios(full, bare)
    return Result(
        "Projection: a rebuild of the feed",
        "at least half of bare reading and writing",
        statistics.median(ratios) >= 0.5,
        [
            median_row("bare aiokafka and bulk_write", bare, "events/s"),
            median_row("rebuild", full, "events/s"),
            median_row("rebuild / bare", ratios, ""),
        ],
        [f"{MEMBERS:,} members, {CASES:,} cases, {COMMENTS:,} comments in batches of up to {batch:,}, {ROUNDS} rounds"],
    )


async def _bare(platform: Platform, batch: int) -> float:
    """Seconds to read the feed's topics from offset zero and write each event as a document."""
    mongo = Mongo(platform.admin_mongo_uri, f"bench_{uuid.uuid4().hex[:8]}")
    consumer = AIOKafkaConsumer(
        **platform.admin_kafka(),
        group_id=None,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=4 * 1024 * 1024,
        fetch_max_wait_ms=100,
    )
    partitions = [TopicPartition(event.topic, n) for event in CONSUMES["feed"] for n in range(PARTITIONS)]
    await consumer.start()
    try:
        consumer.assign(partitions)
        left = sum((await consumer.end_offsets(partitions)).values())
        started = time.perf_counter()
        while left > 0:
            fetched = await consumer.getmany(timeout_ms=100, max_records=batch)
            records = [record for found in fetched.values() for record in found]
            if records:
                left -= len(records)
                await mongo.db["documents"].bulk_write([_upsert(record) for record in records], ordered=False)
        return time.perf_counter() - started
    finally:
        await consumer.stop()
        await mongo.db.client.drop_database(mongo.db.name)
        mongo.close()


def _upsert(record: Any) -> ReplaceOne[dict[str, Any]]:
    return ReplaceOne({"_id": record.key.decode()}, {"event": orjson.loads(record.value)}, upsert=True)


async def _rebuild(platform: Platform) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.feed", "rebuild", "--json",
        cwd=ROOT, env=process_environment(platform.service_env("feed")), stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await process.communicate()
    report: dict[str, Any] = json.loads(out)
    return report


if __name__ == "__main__":
    harness.main(run)
