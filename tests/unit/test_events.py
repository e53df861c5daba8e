"""The declarations that every service and every foreign consumer relies on."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from docs import generate
from services.ingest.domain.case import MAX_PICTURES
from services.ingest.routes.views import MAX_CLINICAL_PER_FRAME
from services.redactor.domain import MAX_FRAMES, MAX_REGIONS
from shared.bus import MAX_MESSAGE_BYTES
from shared.envelope import Undecodable, decode, message_of, tombstone_of
from shared.events import (
    CONSUMES,
    EVENTS,
    GROUPS,
    MAX_BOXES,
    CaseRedacted,
    CaseSubmitted,
    CaseUploaded,
    CaseWithdrawn,
    Event,
    Frame,
    FrameBoxes,
    Region,
    RegionKind,
    partition_for,
)

SAMPLES = Path(__file__).parents[1] / "samples"


def sample(event: type[Event]) -> Event:
    return event.parse((SAMPLES / f"{event.topic}.v{event.schema_version}.json").read_bytes())


def without_additions(read: Any, said: Any) -> Any:
    """`read` reduced to the fields that `said` has, at every depth: fields may be added, none lost or changed."""
    if isinstance(read, dict) and isinstance(said, dict):
        return {name: without_additions(value, said[name]) for name, value in read.items() if name in said}
    if isinstance(read, list) and isinstance(said, list) and len(read) == len(said):
        return [without_additions(*pair) for pair in zip(read, said, strict=True)]
    return read


@pytest.mark.parametrize("event", EVENTS, ids=lambda e: e.topic)
class TestEveryEvent:
    def test_the_committed_sample_parses_for_ever(self, event: type[Event]) -> None:
        raw = json.loads((SAMPLES / f"{event.topic}.v1.json").read_text())
        parsed = sample(event)
        assert without_additions(json.loads(parsed.to_json()), raw) == raw

    def test_consumers_ignore_unknown_fields_and_producers_refuse_them(self, event: type[Event]) -> None:
        raw = json.loads((SAMPLES / f"{event.topic}.v1.json").read_text()) | {"added_later": 1}
        assert event.parse(json.dumps(raw)) == sample(event)
        with pytest.raises(ValidationError):
            event.model_validate(raw)

    def test_it_survives_the_wire(self, event: type[Event]) -> None:
        message = message_of(sample(event), ce_id="id-1")
        headers = [(name, text.encode()) for name, text in message.headers.items()]
        read, key, ce_id, _ = decode(event, message.key.encode(), message.value, headers)
        assert (read, key, ce_id) == (sample(event), sample(event).key, "id-1")

    def test_its_tombstone_meets_its_records(self, event: type[Event]) -> None:
        one = sample(event)
        message, grave = message_of(one), tombstone_of(event, one.key, one.partition_key)
        assert (grave.topic, grave.key, grave.partition) == (message.topic, message.key, message.partition)
        assert grave.value is None

    def test_the_body_must_name_the_key(self, event: type[Event]) -> None:
        message = message_of(sample(event))
        headers = [(name, text.encode()) for name, text in message.headers.items()]
        with pytest.raises(Undecodable, match="key"):
            decode(event, b"someone-else", message.value, headers)


def test_partitions_are_fixed_for_ever() -> None:
    # Written down from the published rule (SHA-256, first 8 bytes, big-endian, modulo 24), not from the code.
    assert [partition_for(key) for key in ("a", "case-1", "1f0c6a52-5f7b-4f0e-9c1d-7a3f1b2c4d5e")] == [10, 6, 0]


@pytest.mark.parametrize(
    ("headers", "value", "reason"),
    [
        ([("ce_type", None)], b"{}", "null"),
        ([("ce_type", b"\xff\xfe")], b"{}", "UTF-8"),
        ([("ce_type", b"consilium.case.withdrawn.v9"), ("ce_id", b"1")], b"{}", "not known"),
        ([("ce_type", b"consilium.case.withdrawn.v1")], b"{}", "ce_id"),
        ([("ce_type", b"consilium.case.withdrawn.v1"), ("ce_id", b"1")], b"{not json", "not a valid"),
        ([("ce_type", b"consilium.case.withdrawn.v1"), ("ce_id", b"1")], b"\xff\xff", "not a valid"),
        ([("ce_type", b"consilium.case.withdrawn.v1"), ("ce_id", b"1")], b'{"case_id": "c"}', "version: missing"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_reason(
    headers: list[tuple[str, bytes | None]], value: bytes, reason: str
) -> None:
    with pytest.raises(Undecodable, match=reason):
        decode(CaseWithdrawn, b"c", value, headers)


def test_the_reason_never_repeats_a_value() -> None:
    headers = [("ce_type", b"consilium.case.withdrawn.v1"), ("ce_id", b"1")]
    with pytest.raises(Undecodable) as caught:
        decode(CaseWithdrawn, b"c", b'{"case_id": "c", "version": "Jean Dupont", "withdrawn_at": "x"}', headers)
    assert "Dupont" not in str(caught.value)


def test_a_case_without_pictures_is_keyed_by_the_case() -> None:
    empty = CaseRedacted(case_id="c", picture_id=None, revision=1, pictures_total=0, outcome="redacted")
    assert (empty.key, empty.partition_key) == ("c", "c")


def test_messages_from_before_proposals_clinical_regions_notes_and_marks_mean_none_of_them() -> None:
    painted, uploaded, submitted = sample(CaseRedacted), sample(CaseUploaded), sample(CaseSubmitted)
    assert isinstance(painted, CaseRedacted)
    assert painted.frames
    assert {(frame.proposals, frame.clinical) for frame in painted.frames} == {((), ())}
    assert painted.notes == ()
    assert isinstance(uploaded, CaseUploaded)
    listed = [entry for picture in uploaded.pictures for entry in picture.boxes or ()]
    assert listed
    assert {entry.clinical for entry in listed} == {()}
    assert isinstance(submitted, CaseSubmitted)
    assert submitted.pictures
    assert {picture.marks for picture in submitted.pictures} == {None}


@pytest.mark.parametrize("note", ["first_frame_of:12", "grey_from_colour"])
def test_a_note_is_a_code_and_a_number(note: str) -> None:
    assert CaseRedacted.model_validate(sample(CaseRedacted).model_dump() | {"notes": (note,)}).notes == (note,)


@pytest.mark.parametrize("note", ["seen by Dr Dupont", "patient:Dupont", "first_frame_of:12:3", ""])
def test_a_note_has_no_room_for_words(note: str) -> None:
    with pytest.raises(ValidationError):
        CaseRedacted.model_validate(sample(CaseRedacted).model_dump() | {"notes": (note,)})


def test_every_event_has_one_emitter_and_at_least_one_reader() -> None:
    read = {event for events in CONSUMES.values() for event in events}
    assert read == set(EVENTS)
    assert {event.emitter for event in EVENTS} <= set(CONSUMES)
    assert CONSUMES.keys() == GROUPS.keys()
    assert len({event.topic for event in EVENTS}) == len(EVENTS)


def test_no_event_can_carry_a_name_a_file_name_or_a_key() -> None:
    forbidden = {"name", "first_name", "last_name", "email", "filename", "file_name", "patient_code", "data_key"}
    for event in EVENTS:
        schema = json.dumps(generate.schema_of(event))
        assert not {word for word in forbidden if f'"{word}"' in schema}, event


def test_the_published_documents_are_fresh() -> None:
    assert generate.stale() == [], "run `make docs`"


class TestTheLargest:
    """No event may outgrow what Kafka takes: it could never leave the outbox, nor what comes after it."""

    FOUND = Region(
        kind=RegionKind.TATTOO, box=(10_000, 10_000, 10_000, 10_000), score=0.123, detector="blazeface-full-range-0.6.0"
    )
    ROOM = MAX_MESSAGE_BYTES * 9 // 10

    def clip(self) -> list[FrameBoxes]:
        """A picture of fifty frames with all the boxes that a person may list."""
        boxes, clinical = (self.FOUND,) * (MAX_BOXES // MAX_FRAMES), (self.FOUND.box,) * MAX_CLINICAL_PER_FRAME
        return [FrameBoxes(frame=index, boxes=boxes, clinical=clinical) for index in range(MAX_FRAMES)]

    def test_ten_pictures_with_all_the_boxes_that_a_person_may_list(self) -> None:
        event = sample(CaseUploaded)
        assert isinstance(event, CaseUploaded)
        full = event.pictures[0].model_copy(update={"boxes": tuple(self.clip())})
        largest = event.model_copy(update={"pictures": (full,) * MAX_PICTURES})
        assert MAX_BOXES * MAX_PICTURES * 90 < len(largest.to_json()) < self.ROOM

    def test_a_clip_full_of_regions_proposals_and_what_is_residual(self) -> None:
        event = sample(CaseRedacted)
        assert isinstance(event, CaseRedacted)
        assert MAX_REGIONS < MAX_BOXES, "a person must be able to add boxes to a full list"
        frames = tuple(
            Frame(
                index=each.frame,
                width=10_000,
                height=10_000,
                regions=each.boxes,
                residual=each.boxes,
                proposals=each.boxes,
                clinical=each.clinical,
                renditions=event.frames[0].renditions[:1] * 3,
            )
            for each in self.clip()
        )
        assert len(event.model_copy(update={"frames": frames}).to_json()) < self.ROOM
