"""Kill -9 of each service in the middle of the journey, then a restart: it ends as it should, once."""

import uuid
from collections.abc import Callable

import httpx
import pytest

from deploy.local import Platform
from deploy.local.client import Person, Refused, T, wait_until

pytestmark = pytest.mark.platform


def insist(what: str, act: Callable[[], T]) -> T:
    """What a patient client does: the same request again until the gateway has a service behind it."""

    def once() -> tuple[T] | None:
        try:
            return (act(),)
        except Refused as answer:
            if answer.status in (502, 503, 504):
                return None
            raise
        except httpx.TransportError:
            return None

    return wait_until(what, once, within_s=90)[0]


class Wrecker:
    """Kills a service with SIGKILL while the step is under way, and starts it again."""

    def __init__(self, stack: Platform, service: str) -> None:
        self.stack = stack
        self.service = service

    def __call__(self) -> None:
        self.stack.kill_service(self.service)
        self.stack.start_service(self.service)


@pytest.mark.parametrize("service", ["identity", "ingest", "redactor", "moderation", "feed"])
def test_the_journey_survives_a_kill_of(
    service: str,
    stack: Platform,
    author: Person,
    moderator: Person,
    colleague: Person,
    photo: bytes,
    radiograph: bytes,
) -> None:
    wreck = Wrecker(stack, service)
    mark = f"Kill of {service}"  # no number: the words of a case are looked at
    given = {"specialty": "surgery", "kind": "management", "language": "en", "title": mark, "body": "Survive."}
    key = {"idempotency-key": str(uuid.uuid4())}
    case_id = author.call("POST", "ingest", "/cases", given, headers=key)["case_id"]
    upload_keys = [str(uuid.uuid4()) for _ in range(2)]
    author.upload(case_id, photo, key=upload_keys[0])
    wreck()  # before the second upload
    insist("the second upload", lambda: author.upload(case_id, radiograph, key=upload_keys[1]))

    insist("the start of redaction", lambda: author.start_redaction(case_id))
    wreck()  # while the redactor works, and before case.uploaded may have left
    preview = insist("the preview", lambda: author.preview_when_painted(case_id))
    assert [picture["outcome"] for picture in preview["pictures"]] == ["redacted", "redacted"]

    author.consent(case_id)
    author.submit(case_id)
    wreck()  # before the moderators may have heard of it
    insist("the claim", lambda: moderator.claim_when_queued(case_id))
    review = insist("the review", lambda: moderator.review(case_id))
    for picture in review["pictures"]:
        insist("a look", lambda picture=picture: moderator.look_at(picture, case_id))  # type: ignore[misc]
        insist("a decision", lambda picture=picture: moderator.decide(case_id, picture))  # type: ignore[misc]
    moderator.approve(case_id)
    wreck()  # after the approval was acknowledged, before anyone may have heard
    case = insist("publication", lambda: colleague.read_when_published(case_id, within_s=60))
    assert len(case["pictures"]) == 2
    wait_until("ingest to know", lambda: insist("state", lambda: author.case(case_id))["state"] == "published")
    comment_key = str(uuid.uuid4())
    insist("the comment", lambda: colleague.comment(case_id, "Still here.", key=comment_key))
    wreck()  # before comment.added may have left
    insist("the comment again", lambda: colleague.comment(case_id, "Still here.", key=comment_key))
    insist("the answer", lambda: wait_until("the answer", lambda: author.comments(case_id)))

    stack.wait_ready(service, timeout_s=90)
    assert [one["text"] for one in author.comments(case_id)] == ["Still here."]
    assert [item["case_id"] for item in author.feed(specialty="surgery", limit="100")].count(case_id) == 1
    assert len([one for one in author.call("GET", "ingest", "/cases")["items"] if one["case_id"] == case_id]) == 1
    audit = moderator.call("GET", "moderation", f"/cases/{case_id}/audit")
    assert audit["whole"], audit["flaws"]
    acts = [record["act"] for record in audit["items"]]
    assert acts.count("approved") == 1
