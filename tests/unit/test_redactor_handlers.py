"""Events in, events out: each picture is answered once, whatever happens in between. No models here."""

import io
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from PIL import Image

from services.redactor.domain import Reason, Unreadable
from services.redactor.handlers import Handlers
from services.redactor.pixels.decode import open_picture
from services.redactor.pixels.paint import Encoded
from services.redactor.pixels.redact import Redacted, RedactedFrame
from services.redactor.store import Rooms
from shared.blobs import RAW, REDACTED, manifest_key, redacted_key
from shared.bus import NotNow, Received
from shared.envelope import Message
from shared.events import (
    Box,
    CaseRedacted,
    CaseUploaded,
    CaseWithdrawn,
    FrameBoxes,
    PictureKind,
    QuestionKind,
    RedactionOutcome,
    RedactionRequested,
    RedactorErased,
    Region,
    RegionKind,
    RenditionSize,
    Specialty,
    UploadedPicture,
)
from shared.keyring import HeldKeys
from shared.notes import NOTES, in_words
from shared.originals import RawRoom
from tests.memory_blobs import MemoryBlobs

CASE, ONE, TWO = (str(uuid.uuid4()) for _ in range(3))
CAUSE = str(uuid.uuid4())


class FakePool:
    """Paints nothing; remembers what it was given. `meanwhile` runs while it "works"."""

    def __init__(self) -> None:
        self.given: list[tuple[bytes, Mapping[int, Sequence[Region]] | None]] = []
        self.clinical: list[Mapping[int, Sequence[Box]] | None] = []
        self.found: dict[str, Any] = {}
        self.notes: tuple[str, ...] = ()
        self.refuse: Reason | None = None
        self.meanwhile: Callable[[], Awaitable[None]] | None = None

    async def redact(
        self,
        data: bytes,
        boxes: Mapping[int, Sequence[Region]] | None,
        kind: PictureKind | None,
        *,
        clinical: Mapping[int, Sequence[Box]] | None,
    ) -> Redacted:
        self.given.append((data, boxes))
        self.clinical.append(clinical)
        if self.meanwhile:
            await self.meanwhile()
        if self.refuse:
            raise Unreadable(self.refuse)
        files = tuple(Encoded(size, b"painted " + data, 4, 3, "0" * 64) for size in RenditionSize)
        marked = tuple((clinical or {}).get(0, ()))
        frame = replace(RedactedFrame(0, 4, 3, (), (), files, 0.1), clinical=marked, **self.found)
        return Redacted((frame,), self.notes, {"text": 0.1}, 0.1)


class FakeOutlet:
    """Keeps what was published. `after` runs once the message is out."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.purged: list[str] = []
        self.letters = 0
        self.after: Callable[[], Awaitable[None]] | None = None

    async def publish(self, message: Message) -> None:
        self.messages.append(message)
        if self.after and message.value is not None:
            await self.after()

    async def purge_dead_letters(self, *mentions: str) -> int:
        self.purged += mentions
        return self.letters

    @property
    def answers(self) -> list[CaseRedacted]:
        mine = [message for message in self.messages if message.topic == CaseRedacted.topic]
        return [CaseRedacted.parse(message.value) for message in mine if message.value is not None]

    @property
    def tombstones(self) -> set[str]:
        return {message.key for message in self.messages if message.value is None}


class World:
    def __init__(self) -> None:
        self.blobs = MemoryBlobs()
        self.raw = RawRoom(self.blobs, HeldKeys([b"k" * 32]))
        self.pool = FakePool()
        self.outlet = FakeOutlet()
        self.handlers = Handlers(Rooms(self.blobs, self.raw), self.pool, self.outlet, at_a_time=2)

    async def upload(self, *pictures: str, version: int = 1, event_id: str = CAUSE) -> None:
        await self.handlers.on_case_uploaded(received(uploaded(*pictures, version=version), event_id))

    async def withdraw(self) -> None:
        event = CaseWithdrawn(case_id=CASE, version=9, picture_ids=(ONE, TWO), withdrawn_at=datetime.now(UTC))
        await self.handlers.on_case_withdrawn(received(event))


@pytest.fixture
async def world() -> World:
    world = World()
    for picture in (ONE, TWO):
        await world.raw.store(CASE, picture, picture.encode(), "image/jpeg")
    return world


def uploaded(*pictures: str, version: int = 1, boxes: tuple[FrameBoxes, ...] | None = None) -> CaseUploaded:
    return CaseUploaded(
        case_id=CASE,
        version=version,
        author_id="author",
        specialty=Specialty.RADIOLOGY,
        kind=QuestionKind.DIAGNOSIS,
        language="fr",
        pictures=tuple(
            UploadedPicture(
                picture_id=picture,
                revision=1,
                kind=PictureKind.PHOTO,
                media_type="image/jpeg",
                size_bytes=9,
                boxes=boxes,
            )
            for picture in pictures
        ),
    )


def received(event, event_id: str = CAUSE):  # type: ignore[no-untyped-def]
    return Received(event, event.key, event_id, event.topic, 0, 0)


async def test_each_picture_is_answered_with_what_lies_in_the_bucket(world: World) -> None:
    await world.upload(ONE, TWO)
    answers = {answer.picture_id: answer for answer in world.outlet.answers}
    assert set(answers) == {ONE, TWO}
    assert {answer.position for answer in answers.values()} == {0, 1}
    for picture, answer in answers.items():
        assert (answer.pictures_total, answer.outcome, answer.reason) == (2, RedactionOutcome.REDACTED, None)
        for rendition in answer.frames[0].renditions:
            assert rendition.object_key == redacted_key(CASE, str(picture), 1, 0, rendition.size, rendition.sha256)
            data = await world.blobs.get(REDACTED, rendition.object_key)
            assert data == b"painted " + str(picture).encode()
            assert rendition.size_bytes == len(data)


async def test_a_case_without_pictures_is_answered_at_once(world: World) -> None:
    await world.upload()
    (answer,) = world.outlet.answers
    assert (answer.picture_id, answer.pictures_total, world.outlet.messages[0].key) == (None, 0, CASE)


async def test_a_repeat_after_a_crash_finds_the_work_done_and_sends_the_same_id(world: World) -> None:
    await world.upload(ONE)
    await world.upload(ONE)
    first, second = world.outlet.messages
    assert len(world.pool.given) == 1
    assert first.headers["ce_id"] == second.headers["ce_id"]
    assert first.value == second.value


async def test_a_later_list_of_the_case_gets_answers_of_its_own_without_new_work(world: World) -> None:
    await world.upload(ONE)
    await world.upload(TWO, ONE, version=2, event_id=str(uuid.uuid4()))
    again = next(answer for answer in world.outlet.answers[1:] if answer.picture_id == ONE)
    assert (again.position, again.pictures_total) == (1, 2)
    assert len(world.pool.given) == 2
    assert len({message.headers["ce_id"] for message in world.outlet.messages}) == 3


async def test_a_picture_that_cannot_be_read_is_answered_with_the_reason_and_not_tried_again(world: World) -> None:
    world.pool.refuse = Reason.TOO_MANY_PIXELS
    await world.upload(ONE)
    await world.upload(ONE)
    for answer in world.outlet.answers:
        assert (answer.outcome, answer.reason) == (RedactionOutcome.UNREADABLE, "too_many_pixels")
    assert len(world.pool.given) == 1


async def test_a_lost_original_is_told_to_a_human(world: World) -> None:
    await world.blobs.delete(RAW, f"{CASE}/{ONE}")
    await world.upload(ONE)
    (answer,) = world.outlet.answers
    assert (answer.outcome, answer.reason) == (RedactionOutcome.UNREADABLE, "original_missing")


async def test_a_damaged_original_does_not_block_the_case(world: World) -> None:
    await world.blobs.put(RAW, f"{CASE}/{ONE}", b"not what we wrote")
    await world.upload(ONE, TWO)
    assert {answer.outcome for answer in world.outlet.answers} == set(RedactionOutcome)


async def test_exactly_the_given_boxes_go_to_the_painter(world: World) -> None:
    box = Region(kind=RegionKind.MANUAL, box=(1, 2, 3, 4))
    request = RedactionRequested(
        case_id=CASE,
        picture_id=ONE,
        revision=4,
        kind=PictureKind.PHOTO,
        boxes=(FrameBoxes(frame=2, boxes=(box,)),),
        position=1,
        pictures_total=3,
    )
    await world.handlers.on_redaction_requested(received(request))
    assert world.pool.given[0][1] == {2: (box,)}
    (answer,) = world.outlet.answers
    assert (answer.revision, answer.position, answer.pictures_total) == (4, 1, 3)


async def test_a_clinical_region_reaches_the_painter_and_the_answer(world: World) -> None:
    face = Region(kind=RegionKind.FACE, box=(0, 0, 4, 3))
    eye = (1, 1, 2, 2)
    boxes = (FrameBoxes(frame=0, boxes=(face,), clinical=(eye,)), FrameBoxes(frame=1, boxes=(face,)))
    await world.handlers.on_case_uploaded(received(uploaded(ONE, boxes=boxes)))
    assert world.pool.given[0][1] == {0: (face,), 1: (face,)}
    assert world.pool.clinical == [{0: (eye,)}]
    (answer,) = world.outlet.answers
    assert answer.frames[0].clinical == (eye,)


async def test_where_nobody_marked_a_clinical_region_none_is_given(world: World) -> None:
    await world.upload(ONE)
    await world.handlers.on_case_uploaded(received(uploaded(TWO, boxes=(FrameBoxes(frame=0),))))
    assert world.pool.clinical == [None, None]


async def test_what_is_suspected_what_is_left_and_what_became_of_the_file_is_told(world: World) -> None:
    tattoo = Region(kind=RegionKind.TATTOO, box=(0, 0, 2, 2), score=0.4, detector="tattoos")
    code = Region(kind=RegionKind.CODE, box=(2, 0, 1, 1), score=0.5, detector="codes")
    world.pool.found = {"proposals": (tattoo,), "residual": (code,)}
    world.pool.notes = ("first_frame_of:12",)
    await world.upload(ONE)
    await world.upload(ONE)
    first, again = world.outlet.answers
    assert (first.frames[0].proposals, first.frames[0].residual) == ((tattoo,), (code,))
    assert first.notes == ("first_frame_of:12",)
    assert again == first, "the work that was kept says it too"


@pytest.mark.parametrize("form", ["GIF", "TIFF"])
def test_what_the_decoder_notes_fits_the_event_and_is_told_in_words(form: str) -> None:
    file = io.BytesIO()
    frames = [Image.new("L", (64, 48), shade) for shade in (10, 120, 240)]
    frames[0].save(file, form, save_all=True, append_images=frames[1:])
    notes = tuple(open_picture(file.getvalue(), max_pixels=10_000).notes)
    event = CaseRedacted(
        case_id=CASE, picture_id=ONE, revision=1, pictures_total=1, outcome=RedactionOutcome.REDACTED, notes=notes
    )
    (shown,) = in_words(event.notes)
    assert shown.code.partition(":")[0] in NOTES
    assert "3" in shown.fr


async def test_a_store_that_is_away_is_waited_for(world: World) -> None:
    world.blobs.away = True
    with pytest.raises(NotNow):
        await world.upload(ONE)
    assert not world.outlet.messages


class TestWithdrawal:
    async def test_it_waits_until_ingest_has_emptied_the_raw_room(self, world: World) -> None:
        await world.upload(ONE)
        with pytest.raises(NotNow):
            await world.withdraw()
        assert await world.blobs.list_prefix(REDACTED)

    async def test_then_nothing_painted_is_left_and_every_record_has_its_tombstone(self, world: World) -> None:
        await world.upload(ONE, TWO)
        await world.raw.forget(CASE)
        await world.withdraw()
        assert not await world.blobs.list_prefix(REDACTED)
        assert world.outlet.tombstones == {ONE, TWO, CASE}
        assert {CASE, ONE, TWO} <= set(world.outlet.purged)

    async def test_another_case_keeps_its_pictures(self, world: World) -> None:
        await world.blobs.put(REDACTED, "another-case/p/1/0000-full", b"stays")
        await world.raw.forget(CASE)
        await world.withdraw()
        assert len(await world.blobs.list_prefix(REDACTED)) == 1

    async def test_what_was_erased_is_told_last_and_each_time_that_it_is_asked(self, world: World) -> None:
        await world.upload(ONE, TWO)
        objects = len(await world.blobs.list_prefix(REDACTED))
        world.outlet.letters = 1
        await world.raw.forget(CASE)
        await world.withdraw()
        await world.withdraw()  # delivered again, after a crash before the acknowledgement
        told = [message for message in world.outlet.messages if message.topic == RedactorErased.topic]
        assert world.outlet.messages[-1] is told[-1]
        first, second = (RedactorErased.parse(message.value or b"") for message in told)
        assert (first.case_id, first.objects, first.letters) == (CASE, objects, 1)
        assert second.objects == 0
        assert told[0].headers["ce_id"] == told[1].headers["ce_id"], "readers may drop the double"

    async def test_nothing_is_told_while_originals_are_left(self, world: World) -> None:
        with pytest.raises(NotNow):
            await world.withdraw()
        assert not world.outlet.messages

    async def test_one_in_flight_wins_over_the_work(self, world: World) -> None:
        world.pool.meanwhile = lambda: world.raw.forget(CASE)
        await world.upload(ONE)
        assert not world.outlet.answers
        assert world.outlet.tombstones == {ONE}
        assert not await world.blobs.list_prefix(REDACTED)

    async def test_one_between_the_check_and_the_answer_takes_the_answer_back(self, world: World) -> None:
        world.outlet.after = lambda: world.raw.forget(CASE)
        await world.upload(ONE)
        assert world.outlet.messages[-1].value is None
        assert world.outlet.messages[-1].key == ONE
        assert not await world.blobs.list_prefix(REDACTED)

    async def test_an_upload_delivered_after_it_leaves_nothing(self, world: World) -> None:
        await world.raw.forget(CASE)
        await world.upload(ONE, TWO)
        assert not world.outlet.answers
        assert not world.pool.given
        assert world.outlet.tombstones == {ONE, TWO}

    async def test_a_picture_removed_from_the_draft_takes_only_its_own_output(self, world: World) -> None:
        await world.upload(TWO)
        world.pool.meanwhile = lambda: world.raw.remove(CASE, ONE)
        await world.upload(ONE, event_id=str(uuid.uuid4()))
        assert world.outlet.tombstones == {ONE}
        assert await world.blobs.exists(REDACTED, manifest_key(CASE, TWO, 1))
        assert not await world.blobs.list_prefix(REDACTED, f"{CASE}/{ONE}/")
