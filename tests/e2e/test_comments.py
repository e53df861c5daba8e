"""A comment that names somebody: asked about, shown to moderators, and gone everywhere once it is rejected."""

import httpx
import pytest

from deploy.local.client import Person, Refused, wait_until
from tests.e2e.conftest import published

pytestmark = pytest.mark.platform


def test_a_comment_that_names_somebody_is_asked_about_moderated_and_erased(
    author: Person, moderator: Person, colleague: Person, photo: bytes
) -> None:
    case_id = published(author, moderator, photo)
    words = "Compare with what Dr Kerguelen saw."
    with pytest.raises(Refused) as refused:
        colleague.comment(case_id, words)
    assert refused.value.status == httpx.codes.CONFLICT
    findings = refused.value.problem["findings"]
    assert [words[one["start"] : one["end"]] for one in findings] == ["Kerguelen"]

    comment_id = colleague.comment(case_id, words, kept=findings)["comment_id"]
    wait_until("the comment in the feed", lambda: author.comments(case_id))

    def listed() -> bool:
        return comment_id in [one["comment_id"] for one in moderator.call("GET", "moderation", "/comments")["items"]]

    wait_until("the comment in moderation", listed)
    said = {"decision": "reject", "reason": "identifier_in_text"}
    moderator.call("POST", "moderation", f"/comments/{comment_id}/decision", said)
    wait_until("the comment to leave the feed", lambda: not author.comments(case_id))
    assert not listed()
