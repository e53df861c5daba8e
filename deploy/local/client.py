"""A person at the gateway: the public API as the demo, the journeys of the tests and the benchmarks use it.

Nothing here knows the services' insides; whatever it needs, a front-end developer has too.
"""

import base64
import hashlib
import io
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

import httpx
import pyotp
from PIL import Image, ImageDraw

T = TypeVar("T")
Json = dict[str, Any]


class Refused(Exception):
    """The API answered with a problem document."""

    def __init__(self, response: httpx.Response) -> None:
        try:
            self.problem: Json = response.json()
        except ValueError:
            self.problem = {"title": response.text[:200]}
        self.status = response.status_code
        self.slug = str(self.problem.get("type", "")).rsplit(":", 1)[-1]
        said = self.problem.get("detail") or self.problem.get("title")
        super().__init__(f"{response.request.method} {response.request.url.path}: {self.status} {self.slug}: {said}")


class TookTooLong(Exception):
    """A condition did not come true in time."""


def wait_until(what: str, look: Callable[[], T | None], *, within_s: float = 60.0, every_s: float = 0.1) -> T:
    """Call `look` until it gives something other than None or False. Raises TookTooLong with `what`."""
    deadline = time.monotonic() + within_s
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise TookTooLong(f"{what}: not within {within_s:.0f} s")
        time.sleep(every_s)


@dataclass(frozen=True)
class Account:
    """Who can sign in, as `.data/accounts.json` has it."""

    email: str
    password: str
    pseudonym: str
    totp: str = ""
    """The secret of the authenticator app, for who has one."""


class Person:
    """Someone with a browser: signed in after `sign_in`, else a stranger. Close it, or use it as a context."""

    def __init__(self, gateway: str, *, language: str = "en", timeout_s: float = 60.0) -> None:
        self._http = httpx.Client(
            base_url=gateway, timeout=timeout_s, trust_env=False, headers={"accept-language": language}
        )
        self.member: Json = {}
        self._account: Account | None = None
        self._refresh_token = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def sign_in(self, account: Account) -> Self:
        """Sign in, with a code of the authenticator app where there is one; a token that expires is exchanged."""
        given = {"email": account.email, "password": account.password}
        response = self._http.post("/api/identity/sessions", json=given)
        if response.status_code == httpx.codes.ACCEPTED:
            given = {"ticket": response.json()["ticket"], "code": next_code(account.totp)}
            response = self._http.post("/api/identity/sessions/second-factor", json=given)
        if response.is_error:
            raise Refused(response)
        self.use(response.json())
        self._account = account
        return self

    def use(self, session: Json) -> None:
        """Go on with the answer of a sign-in."""
        self._http.headers["authorization"] = f"Bearer {session['access_token']}"
        self.member = session.get("member", {})
        self._refresh_token = session.get("refresh_token") or ""

    def refresh(self) -> None:
        """Exchange the refresh token; where the session has ended, sign in again. Raises Refused."""
        given = {"refresh_token": self._refresh_token}
        response = self._http.post("/api/identity/sessions/refresh", json=given)
        if response.is_error and self._account:
            self.sign_in(self._account)
        elif response.is_error:
            raise Refused(response)
        else:
            self.use(response.json())

    def raw(
        self,
        method: str,
        service: str,
        path: str,
        *,
        json: Any = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """One request, whatever the answer; a second one with fresh tokens where the access token has expired."""
        address = f"/api/{service}{path}"
        response = self._http.request(method, address, json=json, content=content, headers=dict(headers or {}))
        if response.status_code == httpx.codes.UNAUTHORIZED and self._refresh_token and _expired(response):
            self.refresh()
            response = self._http.request(method, address, json=json, content=content, headers=dict(headers or {}))
        return response

    def call(self, method: str, service: str, path: str, json: Any = None, **more: Any) -> Any:
        """One request; the answer's JSON (None where it has no body). Raises Refused."""
        response = self.raw(method, service, path, json=json, **more)
        if response.is_error:
            raise Refused(response)
        return response.json() if response.content else None

    def fetch(self, address: str, service: str = "feed") -> bytes:
        """The bytes behind a picture's address, as the API gave it. Raises Refused."""
        response = self.raw("GET", service, address.removeprefix(f"/api/{service}"))
        if response.is_error:
            raise Refused(response)
        return response.content

    # The author's side

    def create_case(self, **fields: Any) -> Json:
        given: Json = {
            "specialty": "dermatology",
            "kind": "diagnosis",
            "language": "en",
            "title": "A question",
            "body": "What would you do?",
        }
        return self._json(self.call("POST", "ingest", "/cases", given | fields))

    def upload(self, case_id: str, data: bytes, kind: str = "photo", key: str = "") -> Json:
        headers = {"content-type": "application/octet-stream"} | ({"idempotency-key": key} if key else {})
        path = f"/cases/{case_id}/pictures?kind={kind}"
        return self._json(self.call("POST", "ingest", path, content=data, headers=headers))

    def redraw(self, case_id: str, picture_id: str, frames: list[Json]) -> Json:
        """Have exactly these boxes painted: of each frame `boxes` and `clinical`."""
        path = f"/cases/{case_id}/pictures/{picture_id}/boxes"
        return self._json(self.call("PUT", "ingest", path, {"frames": frames}))

    def start_redaction(self, case_id: str) -> Json:
        return self._json(self.call("POST", "ingest", f"/cases/{case_id}/redaction"))

    def case(self, case_id: str) -> Json:
        return self._json(self.call("GET", "ingest", f"/cases/{case_id}"))

    def preview(self, case_id: str) -> Json:
        return self._json(self.call("GET", "ingest", f"/cases/{case_id}/preview"))

    def preview_when_painted(self, case_id: str, within_s: float = 120.0) -> Json:
        """Wait until every picture has been answered by the redactor."""

        def look() -> Json | None:
            seen = self.preview(case_id)
            return seen if seen["state"] != "uploaded" else None

        return wait_until("the painted preview", look, within_s=within_s)

    def inform(self, case_id: str, language: str = "en") -> Json:
        """Record that the patient was informed today, with the leaflet in hand."""
        told = {"informed_on": _today(), "language": language, "means": "both"}
        return self._json(self.call("PUT", "ingest", f"/cases/{case_id}/information", told))

    def ask_consent(self, case_id: str, language: str = "en", **fields: Any) -> Json:
        """Ask an adult for every purpose; the answer has a signing link for each signer."""
        asked: Json = {
            "language": language,
            "patient_code": "P-4711",
            "subject": "adult",
            "purposes": ["publication", "teaching", "similar_cases", "model_training"],
            "audience": "professionals_and_students",
            "contact": "the ward",
        }
        return self._json(self.call("POST", "ingest", f"/cases/{case_id}/consent-requests", asked | fields))

    def sign(self, address: str, language: str = "en", purposes: list[str] | None = None) -> Json:
        """Sign over a link, as the patient, who has no account: look at every picture, tick boxes, draw.

        The answer has the withdrawal code, which is told here only.
        """
        place = httpx.URL(address).path
        response = self._http.get(f"{place}/request", params={"language": language})
        if response.is_error:
            raise Refused(response)
        shown = response.json()
        for frame in shown["frames"]:
            picture = self._http.get(frame["address"])
            if picture.is_error or hashlib.sha256(picture.content).hexdigest() != frame["sha256"]:
                raise Refused(picture)
        signed = {
            "language": language,
            "text_sha256": shown["text_sha256"],
            "purposes": purposes or [one["code"] for one in shown["purposes"]],
            "pictures_seen": True,
            "capacity_confirmed": True,
            "signature": base64.b64encode(scrawl()).decode(),
        }
        response = self._http.post(f"{place}/signature", json=signed)
        if response.is_error:
            raise Refused(response)
        return self._json(response.json())

    def consent(self, case_id: str, language: str = "en", **fields: Any) -> Json:
        """Inform the patient, ask, and hand over the device: the patient signs. The case as it is then."""
        self.inform(case_id, language)
        asked = self.ask_consent(case_id, language, **fields)
        with Person(str(self._http.base_url), language=language) as patient:
            for signer in asked["signers"]:
                patient.sign(signer["link"]["url"], language)
        return self.case(case_id)

    def submit(self, case_id: str) -> Json:
        """Submit, and answer of each picture that is asked about that it shows no tattoo, scar or jewellery."""
        asked = [picture for picture in self.preview(case_id)["pictures"] if picture["marks_asked"]]
        marks = [{"picture_id": picture["picture_id"], "answer": "none"} for picture in asked]
        return self._json(self.call("POST", "ingest", f"/cases/{case_id}/submission", {"marks": marks}))

    def withdraw(self, case_id: str) -> Json:
        return self._json(self.call("POST", "ingest", f"/cases/{case_id}/withdrawal"))

    def check_text(self, text: str, language: str = "en") -> Json:
        """What of a text may tell who somebody is."""
        return self._json(self.call("POST", "ingest", "/text-checks", {"language": language, "text": text}))

    def comment(
        self, case_id: str, text: str, kind: str = "diagnosis", key: str = "", kept: Sequence[Json] = ()
    ) -> Json:
        """`kept`: findings in the text that stay, as ingest listed them."""
        headers = {"idempotency-key": key} if key else {}
        names = ("field", "kind", "start", "end")
        acknowledged = [{name: one[name] for name in names} for one in kept]
        said = {"kind": kind, "text": text, "acknowledged_findings": acknowledged}
        return self._json(self.call("POST", "ingest", f"/cases/{case_id}/comments", said, headers=headers))

    # The moderator's side

    def queue(self) -> list[Json]:
        items: list[Json] = self.call("GET", "moderation", "/queue")["items"]
        return items

    def claim(self, case_id: str) -> Json:
        return self._json(self.call("POST", "moderation", f"/cases/{case_id}/claim"))

    def claim_when_queued(self, case_id: str, within_s: float = 60.0) -> Json:
        wait_until(
            "the case in the moderators' queue",
            lambda: any(item["case_id"] == case_id for item in self.queue()),
            within_s=within_s,
        )
        return self.claim(case_id)

    def review(self, case_id: str) -> Json:
        return self._json(self.call("GET", "moderation", f"/cases/{case_id}"))

    def look_at(self, picture: Json, case_id: str) -> list[bytes]:
        """Fetch every frame of a picture at full size, as a moderator must before deciding."""
        return [
            self.fetch(f"/cases/{case_id}/pictures/{picture['picture_id']}/frames/{frame['index']}/full", "moderation")
            for frame in picture["frames"]
        ]

    def change_boxes(self, case_id: str, picture: Json, add: list[list[int]]) -> Json:
        """Ask for a new revision with boxes added by hand on the first frame."""
        frames = [
            {"frame": frame["index"], "boxes": list(frame["regions"]), "clinical": frame["clinical"]}
            for frame in picture["frames"]
        ]
        frames[0]["boxes"] += [{"kind": "manual", "box": box} for box in add]
        path = f"/cases/{case_id}/pictures/{picture['picture_id']}/boxes"
        return self._json(self.call("PUT", "moderation", path, {"revision": picture["revision"], "frames": frames}))

    def review_when_painted(self, case_id: str, picture_id: str, revision: int, within_s: float = 60.0) -> Json:
        def look() -> Json | None:
            seen = self.review(case_id)
            found = [p for p in seen["pictures"] if p["picture_id"] == picture_id and p["revision"] >= revision]
            return seen if found and found[0]["frames"] else None

        return wait_until("the new revision", look, within_s=within_s)

    def decide(self, case_id: str, picture: Json, decision: str = "publish", reason: str | None = None) -> Json:
        """Publish or withhold; to publish, say that nothing suspected is a mark, and that there is no other."""
        body: Json = {"revision": picture["revision"], "decision": decision}
        if decision == "publish":
            body["proposals"] = [
                {"frame": frame["index"], "proposal": number, "answer": "left", "reason": "no_mark"}
                for frame in picture["frames"]
                for number in range(len(frame["proposals"]))
            ]
            body["marks"] = {"answer": "none"} if picture["marks_asked"] else None
        path = f"/cases/{case_id}/pictures/{picture['picture_id']}/decision"
        return self._json(self.call("PUT", "moderation", path, body | ({"reason": reason} if reason else {})))

    def approve(self, case_id: str) -> Json:
        """Approve; the outcome is `first_approved` where another moderator has to approve as well."""
        return self._json(self.call("POST", "moderation", f"/cases/{case_id}/approval"))

    # The reader's side

    def feed(self, **query: str) -> list[Json]:
        asked = "&".join(f"{name}={value}" for name, value in query.items())
        items: list[Json] = self.call("GET", "feed", f"/cases?{asked}")["items"]
        return items

    def read(self, case_id: str) -> Json | None:
        """A case as members see it; None where the feed has none."""
        response = self.raw("GET", "feed", f"/cases/{case_id}")
        if response.status_code == httpx.codes.NOT_FOUND:
            return None
        if response.is_error:
            raise Refused(response)
        return self._json(response.json())

    def read_when_published(self, case_id: str, within_s: float = 60.0) -> Json:
        return wait_until("the case in the feed", lambda: self.read(case_id), within_s=within_s)

    def comments(self, case_id: str) -> list[Json]:
        items: list[Json] = self.call("GET", "feed", f"/cases/{case_id}/comments")["items"]
        return items

    @staticmethod
    def _json(answer: Any) -> Json:
        assert isinstance(answer, dict), answer
        return answer


_used_steps: dict[str, int] = {}


def next_code(secret: str) -> str:
    """A code of the authenticator app that was not given yet; a code serves once.

    The server takes the next time step's code as well, so that two sign-ins in a row need no waiting.
    """
    step = max(int(time.time()) // 30, _used_steps.get(secret, 0) + 1)
    wait_until("a code that was not given yet", lambda: step <= int(time.time()) // 30 + 1)
    _used_steps[secret] = step
    return pyotp.TOTP(secret).generate_otp(step)


def _expired(response: httpx.Response) -> bool:
    """Whether a refusal is about the token, and not about what its bearer has proved."""
    return str(response.json().get("type", "")).endswith(":token-refused")


def _today() -> str:
    return time.strftime("%Y-%m-%d", time.gmtime())


def scrawl() -> bytes:
    """A signature as a browser's canvas sends it: strokes on a transparent ground (PNG)."""
    drawn = Image.new("RGBA", (600, 200))
    ImageDraw.Draw(drawn).line([(40, 150), (160, 40), (260, 160), (420, 60), (560, 120)], "black", 5)
    out = io.BytesIO()
    drawn.save(out, "PNG")
    return out.getvalue()


def media_suffix(data: bytes) -> str:
    """The file suffix of a painted picture by its first bytes."""
    return ".png" if data.startswith(b"\x89PNG") else ".jpg"


def keep(folder: Path, name: str, data: bytes) -> Path:
    """Write a picture where a person can look at it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_bytes(data)
    return path
