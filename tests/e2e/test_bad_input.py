"""Each wrong thing a person or a client can send gets a clear refusal, and memory stays bounded."""

import io
import re
import time
import uuid
from pathlib import Path

import httpx
import jwt
import psutil
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from PIL import Image

from deploy.local import Platform
from deploy.local.client import Json, Person, Refused
from tests import pictures
from tests.e2e.conftest import MakePerson, published, suspend

pytestmark = pytest.mark.platform
MIB = 1024 * 1024


def refused(answer: httpx.Response, *statuses: int) -> Json:
    """Assert that the answer is a problem document that says what to do; returns it."""
    assert answer.status_code in statuses, f"{answer.status_code}: {answer.text[:300]}"
    assert answer.headers["content-type"].startswith("application/problem+json")
    problem: Json = answer.json()
    assert problem["type"].startswith("urn:consilium:problem:")
    assert problem["status"] == answer.status_code
    assert len(problem["detail"]) > 15
    assert "Traceback" not in answer.text
    return problem


class PeakMemory:
    """The most resident memory of a service and its worker processes since this was made, in bytes.

    The kernel keeps each process's high-water mark (VmHWM); writing 5 to clear_refs sets it back to what is resident.
    """

    def __init__(self, stack: Platform, service: str) -> None:
        process = psutil.Process(stack.pid(service))
        self._family = [Path(f"/proc/{one.pid}") for one in (process, *process.children(recursive=True))]
        for one in self._family:
            (one / "clear_refs").write_text("5")
        self._before = self.bytes()

    def bytes(self) -> int:
        marks = [re.search(r"VmHWM:\s+(\d+) kB", (one / "status").read_text()) for one in self._family]
        return sum(int(mark[1]) * 1024 for mark in marks if mark)

    def growth(self) -> int:
        return self.bytes() - self._before


class TestTokens:
    def use(self, stack: Platform, token: str) -> httpx.Response:
        headers = {"authorization": f"Bearer {token}"}
        return httpx.get(f"{stack.gateway_url}/api/feed/cases", headers=headers, trust_env=False)

    def test_no_token_is_asked_for(self, stack: Platform) -> None:
        for service, path in (("feed", "/cases"), ("ingest", "/cases"), ("moderation", "/queue")):
            answer = httpx.get(f"{stack.gateway_url}/api/{service}{path}", trust_env=False)
            refused(answer, 401)
            assert answer.headers["www-authenticate"].startswith("Bearer")

    def test_a_wrong_an_expired_and_a_foreign_token_are_refused(self, stack: Platform, author: Person) -> None:
        good = str(author._http.headers["authorization"]).removeprefix("Bearer ")
        assert self.use(stack, good).status_code == httpx.codes.OK
        head, claims = jwt.get_unverified_header(good), jwt.decode(good, options={"verify_signature": False})
        foreign = Ed25519PrivateKey.generate()
        forged = {"kid": head["kid"], "typ": head["typ"]}
        tampered = good[:-8] + ("A" if good[-8] != "A" else "B") + good[-7:]
        for token in (
            "not.a.token",
            tampered,
            jwt.encode(claims, foreign, algorithm="EdDSA", headers=forged),
            jwt.encode(claims | {"exp": int(time.time()) - 60}, foreign, algorithm="EdDSA", headers=forged),
            jwt.encode(claims, "", algorithm="none", headers=forged),
        ):
            refused(self.use(stack, token), 401)


def grey(image: Image.Image, x: int, y: int) -> float:
    value = image.getpixel((x, y))
    assert isinstance(value, int | float)
    return value


class TestPictures:
    def upload(self, author: Person, data: bytes) -> httpx.Response:
        case_id = author.create_case()["case_id"]
        return author.raw("POST", "ingest", f"/cases/{case_id}/pictures?kind=photo", content=data)

    def test_a_text_file_named_jpg(self, author: Person) -> None:
        refused(self.upload(author, pictures.text_named_jpg()), 415)

    def test_an_empty_file(self, author: Person) -> None:
        refused(self.upload(author, b""), 400, 415, 422)

    def test_a_decompression_bomb_is_refused_before_it_is_decoded(self, stack: Platform, author: Person) -> None:
        bomb = pictures.bomb_png()
        with Image.open(io.BytesIO(bomb), formats=["PNG"]) as header:
            assert header.size == (13_300, 13_300)
        assert len(bomb) < 600_000
        memory = PeakMemory(stack, "ingest")
        for _ in range(5):
            refused(self.upload(author, bomb), 413, 422)
        assert memory.growth() < 50 * MIB, "unpacked it would be 500"

    def test_a_file_above_25_mb_is_refused_while_it_streams(
        self, stack: Platform, author: Person, photo: bytes
    ) -> None:
        memory = PeakMemory(stack, "ingest")
        refused(self.upload(author, photo + b"\0" * (26 * MIB)), 413)
        assert memory.growth() < 20 * MIB, "less than the file: it was never held whole"

    def test_the_eleventh_picture_of_a_case(self, author: Person) -> None:
        case_id = author.create_case()["case_id"]
        small = io.BytesIO()
        Image.new("RGB", (40, 40), "white").save(small, "PNG")
        for _ in range(10):
            author.upload(case_id, small.getvalue())
        answer = author.raw("POST", "ingest", f"/cases/{case_id}/pictures?kind=photo", content=small.getvalue())
        refused(answer, 409, 422)

    def outcome(self, author: Person, data: bytes) -> tuple[str, Json]:
        """A picture that ingest takes and the redactor answers: the case and the picture's preview."""
        case_id: str = author.create_case()["case_id"]
        author.upload(case_id, data)
        author.start_redaction(case_id)
        (picture,) = author.preview_when_painted(case_id)["pictures"]
        return case_id, picture

    def shown(self, author: Person, case_id: str, picture: Json) -> Image.Image:
        """The only frame of a painted picture at full size."""
        (frame,) = picture["frames"]
        path = f"/cases/{case_id}/pictures/{picture['picture_id']}/frames/{frame['index']}/full"
        return Image.open(io.BytesIO(author.fetch(path, "ingest")))

    def test_a_truncated_jpeg_is_not_painted_and_goes_to_a_human_with_the_reason(self, author: Person) -> None:
        case_id, picture = self.outcome(author, pictures.truncated_jpeg())
        assert (picture["outcome"], picture["reason"]) == ("unreadable", "truncated")
        assert picture["frames"] == []
        author.consent(case_id)
        author.submit(case_id)

    def test_of_an_animated_gif_the_first_frame_is_painted(self, author: Person) -> None:
        case_id, picture = self.outcome(author, pictures.animated_gif())
        assert picture["outcome"] == "redacted"
        image = self.shown(author, case_id, picture).convert("L")
        assert image.size == (120, 90)
        assert grey(image, 60, 45) == pytest.approx(30, abs=4), "the first frame is the darkest"

    def test_a_png_of_16_bits_is_painted_with_its_greys_stretched(self, author: Person) -> None:
        case_id, picture = self.outcome(author, pictures.sixteen_bit_png())
        assert picture["outcome"] == "redacted"
        image = self.shown(author, case_id, picture).convert("L")
        assert image.size == (320, 240)
        assert grey(image, 310, 120) > 200, "12 of 16 bits, shown unscaled, would be nearly black"


class TestCases:
    def test_an_empty_case(self, author: Person) -> None:
        answer = author.raw("POST", "ingest", "/cases", json={})
        problem = refused(answer, 422)
        assert {error["pointer"] for error in problem["errors"]} >= {"#/title", "#/body"}
        blank = {"specialty": "radiology", "kind": "opinion", "language": "en", "title": " ", "body": ""}
        refused(author.raw("POST", "ingest", "/cases", json=blank), 422)

    def test_another_members_draft_does_not_exist(self, author: Person, colleague: Person, photo: bytes) -> None:
        case_id = author.create_case()["case_id"]
        picture_id = author.upload(case_id, photo)["picture_id"]
        unknown = str(uuid.uuid4())
        for method, path in [
            ("GET", "/cases/{}"),
            ("PATCH", "/cases/{}"),
            ("GET", "/cases/{}/preview"),
            ("POST", "/cases/{}/pictures?kind=photo"),
            ("POST", "/cases/{}/redaction"),
            ("POST", "/cases/{}/submission"),
            ("POST", "/cases/{}/withdrawal"),
            ("GET", f"/cases/{{}}/pictures/{picture_id}/frames/0/full"),
            ("DELETE", f"/cases/{{}}/pictures/{picture_id}"),
        ]:
            body = {"title": "mine now"} if method == "PATCH" else None
            mine = colleague.raw(method, "ingest", path.format(case_id), json=body)
            absent = colleague.raw(method, "ingest", path.format(unknown), json=body)
            assert refused(mine, 404)["type"] == refused(absent, 404)["type"], path

    def test_ids_that_are_none_and_cursors_that_are_none(self, author: Person, moderator: Person) -> None:
        for path in ("/cases/..%2f..%2fetc", "/cases/%00", f"/cases/{'x' * 3000}"):
            refused(author.raw("GET", "ingest", path), 404, 422)
            refused(author.raw("GET", "feed", path), 404, 422)
        refused(author.raw("GET", "feed", "/cases?cursor=nonsense"), 400, 422)
        refused(author.raw("GET", "feed", "/cases?limit=100000"), 422)
        refused(moderator.raw("GET", "moderation", "/queue?cursor=nonsense"), 400, 422)

    def test_a_body_that_is_no_json(self, author: Person) -> None:
        headers = {"content-type": "application/json"}
        refused(author.raw("POST", "ingest", "/cases", content=b"{oops", headers=headers), 400, 422)


class TestComments:
    def test_a_comment_of_one_megabyte(self, author: Person, moderator: Person, radiograph: bytes) -> None:
        case_id = published(author, moderator, radiograph)
        said = {"kind": "remark", "text": "a" * MIB}
        refused(author.raw("POST", "ingest", f"/cases/{case_id}/comments", json=said), 413)
        said = {"kind": "remark", "text": "a" * 20_000}
        refused(author.raw("POST", "ingest", f"/cases/{case_id}/comments", json=said), 422)
        said = {"kind": "remark", "text": "   "}
        refused(author.raw("POST", "ingest", f"/cases/{case_id}/comments", json=said), 422)

    def test_a_comment_on_a_case_that_is_not_published(self, author: Person, colleague: Person) -> None:
        case_id = author.create_case()["case_id"]
        with pytest.raises(Refused) as answer:
            colleague.comment(case_id, "Who said so?")
        assert answer.value.status == httpx.codes.NOT_FOUND


def test_a_suspended_member_is_stopped_within_seconds(stack: Platform, make_person: MakePerson) -> None:
    person = make_person("moderator")
    for service, path in (("feed", "/cases"), ("ingest", "/cases"), ("moderation", "/queue")):
        assert person.raw("GET", service, path).status_code == httpx.codes.OK
    suspend(stack, person)
    for service, path in (("feed", "/cases"), ("ingest", "/cases"), ("moderation", "/queue")):
        assert "suspended" in refused(person.raw("GET", service, path), 403)["type"]


def test_problems_speak_french_and_english(stack: Platform, author: Person) -> None:
    english = author.raw("GET", "ingest", f"/cases/{uuid.uuid4()}", headers={"accept-language": "en"}).json()
    french = author.raw("GET", "ingest", f"/cases/{uuid.uuid4()}", headers={"accept-language": "fr"}).json()
    assert english["type"] == french["type"]
    assert english["detail"] != french["detail"]


def test_health_readiness_and_metrics_are_not_routed_to_the_outside(stack: Platform) -> None:
    for service in ("identity", "ingest", "moderation", "feed", "redactor"):
        for path in ("/healthz", "/readyz", "/metrics"):
            inside = httpx.get(f"{stack.addresses[service]}{path}", trust_env=False)
            assert inside.status_code == httpx.codes.OK, f"{service}{path}: {inside.text[:200]}"
            outside = httpx.get(f"{stack.gateway_url}/api/{service}{path}", trust_env=False)
            assert outside.status_code == httpx.codes.NOT_FOUND, f"{service}{path} is open to the outside"
