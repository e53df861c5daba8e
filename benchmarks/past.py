"""Makes a past in Kafka's topics: members and published cases as moderation and identity would have told them."""

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from aiokafka import AIOKafkaProducer

from deploy.local import Platform
from shared.envelope import Message, message_of
from shared.events import (
    ApprovedPicture,
    CaseApproved,
    CommentAdded,
    CommentKind,
    Event,
    Frame,
    MemberChanged,
    MemberStatus,
    PictureKind,
    Profession,
    QuestionKind,
    Rendition,
    RenditionSize,
    Role,
    Specialty,
)

START = datetime(2025, 1, 1, tzinfo=UTC)
SPECIALTIES, KINDS = list(Specialty), list(QuestionKind)
TEXT = "A woman of seventy has had an itching, slowly growing patch on her shin for about six weeks. " * 12


def member_of(number: int) -> MemberChanged:
    return MemberChanged(
        member_id=f"member-{number:06}",
        version=1,
        pseudonym=f"Dr Number {number}",
        profession=Profession.PHYSICIAN,
        specialty=SPECIALTIES[number % len(SPECIALTIES)],
        country="BE",
        roles=(Role.MEMBER,),
        status=MemberStatus.VERIFIED,
        verified_at=START,
    )


def published_case(number: int, author: int) -> CaseApproved:
    """A case with a text of about a page and two pictures in three sizes."""
    case_id = f"case-{number:08}"
    return CaseApproved(
        case_id=case_id,
        version=1,
        author_id=f"member-{author:06}",
        specialty=SPECIALTIES[number % len(SPECIALTIES)],
        kind=KINDS[number % len(KINDS)],
        language=("fr", "en")[number % 2],
        title=f"An itching patch on the shin, number {number}",
        text=TEXT,
        pictures=tuple(_picture(case_id, f"{case_id}-p{n}") for n in range(2)),
        approved_at=START + timedelta(seconds=number),
    )


def comment_on(number: int, case: int, author: int) -> CommentAdded:
    return CommentAdded(
        comment_id=f"comment-{number:08}",
        case_id=f"case-{case:08}",
        version=1,
        author_id=f"member-{author:06}",
        kind=CommentKind.DIAGNOSIS,
        text="Looks like nummular eczema to me; has she tried a steroid ointment under a wrap for two weeks?",
        created_at=START + timedelta(seconds=number),
    )


async def publish(platform: Platform, events: Iterable[Event]) -> int:
    """Put events straight into their topics, as the administrator. Returns how many."""
    producer = AIOKafkaProducer(**platform.admin_kafka(), linger_ms=50, max_batch_size=512 * 1024)
    await producer.start()
    count = 0
    try:
        for event in events:
            message: Message = message_of(event)
            headers = [(name, text.encode()) for name, text in message.headers.items()]
            await producer.send(
                message.topic, message.value, message.key.encode(), partition=message.partition, headers=headers
            )
            count += 1
        await producer.flush()
    finally:
        await producer.stop()
    return count


def _picture(case_id: str, picture_id: str) -> ApprovedPicture:
    renditions = tuple(
        Rendition(
            size=size,
            object_key=f"{case_id}/{picture_id}/1/0000-{size.value}",
            media_type="image/jpeg",
            width=width,
            height=width * 3 // 4,
            size_bytes=width * 100,
            sha256=hashlib.sha256(f"{picture_id}{width}".encode()).hexdigest(),
        )
        for size, width in ((RenditionSize.FULL, 3000), (RenditionSize.LARGE, 1600), (RenditionSize.SMALL, 400))
    )
    frame = Frame(index=0, width=3000, height=2250, renditions=renditions)
    return ApprovedPicture(picture_id=picture_id, revision=1, kind=PictureKind.PHOTO, frames=(frame,))
