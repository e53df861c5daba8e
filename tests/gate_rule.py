"""The rule of the gate: what somebody may see of a case, by what was signed and looked at."""

from collections.abc import Mapping
from datetime import UTC
from typing import Any

import orjson

from services.feed.store import Reader
from services.ingest.domain.consent import Purpose
from services.ingest.domain.states import NO_PATIENT
from shared.audiences import tags_of_reader
from shared.events import (
    Audience,
    Profession,
    QuestionKind,
    Specialty,
)
from tests.gate import World
from tests.gate_records import AUTHOR, READERS, Signed


def problem(world: World) -> str | None:
    """What is wrong with what somebody can see now; None where all of it is allowed."""
    if world.feed_told_of_the_end and world.seen_by(Reader(AUTHOR, ())) is not None:
        return "the feed was told of the withdrawal and shows the case"
    for profession, specialty in READERS:
        reader = Reader(f"{profession} {specialty}", tags_of_reader(profession, specialty))
        document = world.seen_by(reader)
        if document is not None and (wrong := _wrong(world, document, profession, specialty)):
            return f"{profession} {specialty}: {wrong}"
    return None


def _wrong(
    world: World, document: dict[str, Any], profession: Profession | None, specialty: Specialty | None
) -> str | None:
    version = document["version"]
    pictures = {one["picture_id"]: one["revision"] for one in orjson.loads(document["pictures"])}
    if version not in world.submitted:
        return "nobody submitted it"
    if version not in world.published:
        return "nobody approved this submission"
    if not pictures and QuestionKind(document["kind"]) in NO_PATIENT:
        return None if profession else "not a professional"
    known = world.signed[slice(*world.submitted[version])]
    if not known:
        return "nobody signed"
    consent = known[-1]
    return (
        _consent_wrong(world, consent, document, profession, specialty)
        or _pictures_wrong(world, consent, pictures)
        or _moderators_wrong(world, pictures, world.published[version])
    )


def _consent_wrong(
    world: World, consent: Signed, document: dict[str, Any], profession: Profession | None, specialty: Specialty | None
) -> str | None:
    if not consent.informed:
        return "the patient was not informed"
    if Purpose.PUBLICATION not in consent.purposes:
        return "nobody agreed to publication"
    if world.now.astimezone(UTC).date() > consent.last_day:
        return "the last day is over"
    if profession is None:
        return "not a professional"
    if consent.audience is Audience.PROFESSIONALS and profession is Profession.STUDENT:
        return "students are not meant"
    if consent.audience is Audience.SPECIALTY and specialty is not consent.specialty:
        return "another specialty is not meant"
    if consent.audience is Audience.SPECIALTY and document["specialty"] != consent.specialty.value:
        return "the case is of another specialty than the patient was told"
    return None


def _pictures_wrong(world: World, consent: Signed, pictures: Mapping[str, int]) -> str | None:
    for picture_id, revision in pictures.items():
        if picture_id not in consent.seen:
            return f"the patient never saw {picture_id}"
        agreed, painted = consent.seen[picture_id]
        now = world.painted[picture_id, revision]
        # A moderator may have had more painted; that shows nothing which the patient has not seen.
        if revision != agreed and not (now.covers(painted) and set(now.clinical) <= set(painted.clinical)):
            return f"the patient saw revision {agreed} of {picture_id}, and {revision} shows more"
        if revision < agreed:
            return f"an older revision of {picture_id} than the patient saw"
    return None


def _moderators_wrong(world: World, pictures: Mapping[str, int], last: list[str]) -> str | None:
    for picture_id, revision in pictures.items():
        who = {m for m, seen in world.approvals.items() if seen.get(picture_id) == revision}
        if AUTHOR in who:
            return "the author approved it"
        if not set(last) & who:
            return f"who approved had not been shown revision {revision} of {picture_id}"
        painted = world.painted[picture_id, revision]
        face = painted.clinical or not painted.face_covered
        if face and len(who) < 2:
            return f"{picture_id} shows a part of a face, and only {who} approved revision {revision}"
    return None
