"""identity as a process: its command line tells the other services through the one that runs, in order, once."""

import json
import os
import re
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pyotp
import pytest
from aiokafka import AIOKafkaConsumer
from typer.testing import CliRunner

from deploy.local import Platform
from deploy.local.__main__ import cli as local_cli
from deploy.local.downloads import ROOT
from deploy.local.mail import letters
from services.identity.__main__ import cli
from shared.bus import Bus, kafka_client_options
from shared.envelope import message_of
from shared.events import ConsentExpiring, MemberChanged
from shared.settings import ServiceSettings
from tests.waiting import until

pytestmark = pytest.mark.platform


@pytest.fixture(scope="module")
def address(platform: Platform) -> Iterator[str]:
    platform.start_service("identity")
    yield platform.addresses["identity"]
    platform.stop_service("identity")


class Answer(NamedTuple):
    """What a command answers an operator."""

    status: int
    out: str
    err: str


def run(platform: Platform, *words: str, given: str = "") -> Answer:
    """identity's command line, as an operator starts it."""
    command = [sys.executable, "-m", "services.identity", *words]
    environment = {**os.environ, **platform.service_env("identity")}
    ended = subprocess.run(command, input=given, env=environment, cwd=ROOT, text=True, capture_output=True, check=False)
    return Answer(ended.returncode, ended.stdout, ended.stderr)


def run_here(platform: Platform, *words: str, given: str = "") -> Answer:
    """The same in this process, which spares the imports; not from a coroutine, since it runs a loop of its own."""
    ended = CliRunner(env=platform.service_env("identity")).invoke(cli, list(words), input=given)
    return Answer(ended.exit_code, ended.stdout, ended.stderr)


def made(platform: Platform, *words: str, by: Callable[..., Answer] = run) -> dict[str, Any]:
    name = uuid.uuid4().hex[:12]
    who = ("--email", f"{name}@hopital.example", "--pseudonym", f"Dr {name}", "--profession", "physician")
    answer = by(platform, "create-member", *who, "--json", *words)
    assert answer.status == 0, answer.err
    found: dict[str, Any] = json.loads(answer.out)
    return found


async def told(platform: Platform, member_id: str, count: int) -> list[tuple[MemberChanged, dict[str, bytes]]]:
    """What a consumer (the feed) reads of a member."""
    env = platform.service_env("feed")
    settings = ServiceSettings(
        kafka_bootstrap_servers=env["FEED_KAFKA_BOOTSTRAP_SERVERS"],
        kafka_username="feed",
        kafka_password=env["FEED_KAFKA_PASSWORD"],
    )
    found: list[tuple[MemberChanged, dict[str, bytes]]] = []
    consumer = AIOKafkaConsumer(
        MemberChanged.topic, auto_offset_reset="earliest", group_id=None, **kafka_client_options(settings)
    )
    await consumer.start()
    try:

        async def enough() -> bool:
            for records in (await consumer.getmany(timeout_ms=200)).values():
                found.extend(
                    (MemberChanged.parse(record.value), dict(record.headers))
                    for record in records
                    if record.key == member_id.encode()
                )
            return len(found) >= count

        await until(enough)
    finally:
        await consumer.stop()
    return found


async def test_what_the_command_line_changes_reaches_every_service(platform: Platform, address: str) -> None:
    member = made(platform)
    assert run(platform, "verify", member["email"], "--registry", "rpps").status == 0
    assert run(platform, "suspend", member["member_id"], "--reason", "a test").status == 0
    events = await told(platform, member["member_id"], 3)
    assert [(event.version, event.status) for event, _ in events] == [
        (1, "unverified"),
        (2, "verified"),
        (3, "suspended"),
    ]
    assert len({headers["ce_id"] for _, headers in events}) == 3
    await until(lambda: len(letters(mail_of(platform), member["email"])) == 2)
    subjects = {str(one["Subject"]) for one in letters(mail_of(platform), member["email"])}
    assert subjects == {"Votre profession est vérifiée", "Votre compte est suspendu"}
    assert not any("a test" in one.get_content() for one in letters(mail_of(platform), member["email"]))
    for event, headers in events:
        everything = event.to_json().decode() + str(headers)
        assert member["email"] not in everything
        assert "a test" not in everything


async def signed_in(client: httpx.AsyncClient, member: dict[str, Any], code: str = "") -> dict[str, str]:
    """Headers of a fresh sign-in."""
    credentials = {"email": member["email"], "password": member["password"]}
    answer = await client.post("/sessions", json=credentials)
    if code:
        assert answer.status_code == 202
        given = {"ticket": answer.json()["ticket"], "code": code}
        answer = await client.post("/sessions/second-factor", json=given)
    assert answer.status_code == 200, answer.text
    return {"authorization": f"Bearer {answer.json()['access_token']}"}


async def test_a_member_made_by_hand_signs_in_and_sees_what_is_true_now(platform: Platform, address: str) -> None:
    member = made(platform, "--verified")
    async with httpx.AsyncClient(base_url=address, trust_env=False) as client:
        mine = await signed_in(client, member)
        assert (await client.get("/me", headers=mine)).json()["status"] == "verified"
        run(platform, "suspend", member["email"], "--reason", "a test")
        assert (await client.get("/me", headers=mine)).status_code == 401, "the session has ended"
        mine = await signed_in(client, member)
        assert (await client.get("/me", headers=mine)).json()["status"] == "suspended"
        run(platform, "reinstate", member["email"])
        assert (await client.get("/me", headers=mine)).json()["status"] == "verified"


async def test_a_moderator_made_by_hand_has_an_authenticator_app_from_the_start(
    platform: Platform, address: str
) -> None:
    member = made(platform, "--verified", "--role", "moderator")
    assert member["totp_uri"].startswith("otpauth://totp/Consilium:")
    app = pyotp.TOTP(member["totp_secret"])
    async with httpx.AsyncClient(base_url=address, trust_env=False) as client:
        mine = await signed_in(client, member, app.now())
        assert (await client.get("/me", headers=mine)).json()["roles"] == ["member", "moderator"]
        assert run(platform, "reset-factors", member["email"]).status == 0
        assert (await client.get("/me", headers=mine)).status_code == 401
        mine = await signed_in(client, member)
        assert (await client.get("/me/factors", headers=mine)).json()["totp_since"] is None

    def told_by_mail() -> bool:
        return any("un moyen retiré" in str(one["Subject"]) for one in letters(mail_of(platform), member["email"]))

    await until(told_by_mail)


async def test_the_service_asks_whoever_has_a_second_factor_for_it(platform: Platform, address: str) -> None:
    member = made(platform)
    async with httpx.AsyncClient(base_url=address, trust_env=False) as client:
        weak = await signed_in(client, member)  # before there is one
        mine = await signed_in(client, member)
        begun = (await client.post("/me/factors/totp", headers=mine)).json()
        given = {"code": pyotp.TOTP(begun["secret"]).now()}
        assert (await client.post("/me/factors/totp/confirmation", json=given, headers=mine)).status_code == 200
        for method, path in (("DELETE", "/me/factors/totp"), ("DELETE", "/sessions/others"), ("GET", "/me/export")):
            refused = await client.request(method, path, headers=weak)
            assert (refused.status_code, refused.json()["type"].rpartition(":")[2]) == (401, "second-factor-needed")


async def test_an_operator_starts_a_reset_and_ends_sessions_and_learns_no_password(
    platform: Platform, address: str
) -> None:
    member = made(platform)
    async with httpx.AsyncClient(base_url=address, trust_env=False) as client:
        mine = await signed_in(client, member)
        assert run(platform, "sign-out", member["member_id"]).status == 0
        assert (await client.get("/me", headers=mine)).status_code == 401
        done = run(platform, "send-reset", member["email"])
        assert done.status == 0
        await until(lambda: bool(letters(mail_of(platform), member["email"])))
        (letter,) = letters(mail_of(platform), member["email"])
        (token,) = re.findall(r"/api/identity/reset-password\?token=([\w-]+)", letter.get_content())
        assert token not in done.out + done.err
        given = {"token": token, "password": "another battery staple"}
        assert (await client.post("/password-resets/confirmation", json=given)).status_code == 204
        await signed_in(client, {**member, "password": "another battery staple"})


def mail_of(platform: Platform) -> Path:
    """Where the catcher of mail keeps what identity sends."""
    return platform.data_dir / "mail"


async def test_a_registration_is_told_once_its_address_is_confirmed(platform: Platform, address: str) -> None:
    name = uuid.uuid4().hex[:12]
    wanted = {
        "email": f"{name}@hopital.example",
        "password": "correct horse battery",
        "pseudonym": f"Dr {name}",
        "profession": "nurse",
        "language": "en",
    }
    async with httpx.AsyncClient(base_url=address, trust_env=False) as client:
        assert (await client.post("/registrations", json=wanted)).status_code == 202
        await until(lambda: bool(letters(mail_of(platform), wanted["email"])))
        (letter,) = letters(mail_of(platform), wanted["email"])
        assert letter["Subject"] == "Confirm your address"
        (token,) = re.findall(r"/api/identity/confirm-address\?token=([\w-]+)", letter.get_content())
        given = {"token": token, "password": wanted["password"]}
        answer = await client.post("/registrations/confirmation", json=given)
    assert answer.status_code == 201
    ((event, _),) = await told(platform, answer.json()["member"]["member_id"], 1)
    assert (event.status, event.profession) == ("unverified", "nurse")


async def test_a_letter_waits_for_the_mail_server_and_then_goes(platform: Platform, address: str) -> None:
    member = made(platform)
    platform.stop_part("mail")
    async with httpx.AsyncClient(base_url=address, trust_env=False) as client:
        assert (await client.post("/password-resets", json={"email": member["email"]})).status_code == 202
        platform.start_part("mail")
        await until(lambda: bool(letters(mail_of(platform), member["email"])))
    assert "Choisissez un nouveau mot de passe" in str(letters(mail_of(platform), member["email"])[0]["Subject"])
    shown = CliRunner().invoke(local_cli, ["mail", "--data-dir", str(platform.data_dir), "--to", member["email"]])
    assert shown.exit_code == 0
    assert "/api/identity/reset-password?token=" in shown.output


async def test_an_author_gets_a_letter_when_a_consent_is_about_to_end(platform: Platform, address: str) -> None:
    member = made(platform)
    env = platform.service_env("ingest")
    settings = ServiceSettings(
        kafka_bootstrap_servers=env["INGEST_KAFKA_BOOTSTRAP_SERVERS"],
        kafka_username="ingest",
        kafka_password=env["INGEST_KAFKA_PASSWORD"],
    )
    bus = Bus(settings, "ingest")
    await bus.start()
    try:
        case_id = str(uuid.uuid4())
        for version in (3, 4):
            event = ConsentExpiring(
                case_id=case_id, version=version, author_id=member["member_id"], expires_on=date(2027, 3, 1)
            )
            await bus.publish(message_of(event))
    finally:
        await bus.stop()
    await until(lambda: bool(letters(mail_of(platform), member["email"])))
    (letter,) = letters(mail_of(platform), member["email"])
    assert case_id in letter.get_content()
    assert "1er mars 2027" in letter.get_content()


async def test_the_service_is_ready_and_tells_why(address: str) -> None:
    async with httpx.AsyncClient(base_url=address, trust_env=False) as client:
        answer = await client.get("/readyz")
        assert answer.status_code == 200
        assert set(answer.json()["checks"]) == {"mongo", "keys", "ledger", "kafka", "outbox"}
        text = (await client.get("/metrics")).text
        assert "consilium_sign_ins_total" in text
        assert "consilium_http_request_seconds_bucket" in text


async def test_keys_are_rotated_while_the_service_runs(platform: Platform, address: str) -> None:
    member = made(platform)
    async with httpx.AsyncClient(base_url=address, trust_env=False) as client:

        async def published() -> list[str]:
            keys = (await client.get("/.well-known/jwks.json")).json()["keys"]
            return [key["kid"] for key in keys]

        before = await published()
        mine = await signed_in(client, member)
        done = run(platform, "rotate-keys")
        assert done.status == 0, done.err

        async def both() -> bool:
            return len(await published()) == len(before) + 1

        await until(both)
        assert set(before) < set(await published())
        assert (await client.get("/me", headers=mine)).status_code == 200
        assert (await client.get("/me", headers=await signed_in(client, member))).status_code == 200
    again = run(platform, "rotate-keys")
    assert again.status == 1
    assert again.err.startswith("A rotation is under way: a key begins to sign at ")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("verify", "nobody@hopital.example"), "There is no member 'nobody@hopital.example'. See list-members."),
        (("verify", "nobody"), "There is no member 'nobody'. See list-members."),
        (("verify", "@"), "'@' is neither an e-mail address nor a member id."),
    ],
)
def test_a_wrong_name_gets_a_sentence(platform: Platform, words: tuple[str, ...], sentence: str) -> None:
    result = run_here(platform, *words)
    assert result.status == 1
    assert result.err.strip() == sentence


def test_a_second_member_of_the_same_name_and_a_move_too_many_get_a_sentence(platform: Platform) -> None:
    member = made(platform, "--verified", by=run_here)
    again = run_here(
        platform, "create-member", "--email", member["email"], "--pseudonym", "Another", "--profession", "nurse"
    )
    assert again.status == 1
    assert again.err.strip() == ("Another account has this e-mail address. Choose another one, or see list-members.")
    twice = run_here(platform, "verify", member["email"])
    assert (twice.status, twice.err.strip()) == (1, f"{member['pseudonym']} is verified already.")
    assert member["email"] in run_here(platform, "list-members").out


def test_a_password_may_be_piped_and_is_never_printed_then(platform: Platform) -> None:
    name = uuid.uuid4().hex[:12]
    who = ("--email", f"{name}@hopital.example", "--pseudonym", f"Dr {name}", "--profession", "nurse")
    weak = run_here(platform, "create-member", *who, "--password-stdin", given="short\n")
    assert (weak.status, weak.err.strip()) == (1, "A password needs at least 12 characters.")
    result = run_here(platform, "create-member", *who, "--password-stdin", given="correct horse battery\n")
    assert result.status == 0
    assert "password" not in result.out
    assert "correct horse" not in result.out + result.err


def test_without_mongodb_the_command_line_says_so() -> None:
    environment = {"IDENTITY_MONGO_URI": "mongodb://127.0.0.1:9/?serverSelectionTimeoutMS=200"}
    result = CliRunner(env=environment).invoke(cli, ["list-members"])
    assert result.exit_code == 3
    assert result.stderr.startswith("MongoDB does not serve us")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--email", "nobody", "--pseudonym", "Bob B", "--profession", "nurse"), "'nobody' is not an e-mail address."),
        (("--email", "a@b.fr", "--pseudonym", "<b>", "--profession", "nurse"), "'<b>' is no pseudonym"),
        (("--email", "a@b.fr", "--pseudonym", "Bob B", "--profession", "baker"), "'baker' is not one of"),
        (("--email", "a@b.fr", "--pseudonym", "Bob B", "--profession", "nurse", "--country", "France"), "two letters"),
        (("--email", "a@b.fr", "--profession", "nurse"), "--pseudonym"),
    ],
)
def test_wrong_words_get_a_sentence_and_no_trace(words: tuple[str, ...], said: str) -> None:
    result = CliRunner(env={"TERM": "dumb", "COLUMNS": "200"}).invoke(cli, ["create-member", *words])
    assert result.exit_code in (1, 2)
    assert said in result.stderr
    assert "Traceback" not in result.output
