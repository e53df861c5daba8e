"""`make demo`: starts everything, walks a real case through, shows where to look, and stays until Ctrl-C."""

import base64
import json
import os
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import httpx
import typer

from deploy.local.client import Account, Refused, TookTooLong
from deploy.local.credentials import write_private
from deploy.local.platform import Platform
from deploy.local.ports import PortMode
from deploy.local.processes import PlatformError
from deploy.local.story import Story
from deploy.local.walk import Cast, Picture, Walked, walk

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "tests" / "samples" / "pictures"
PEOPLE: dict[str, dict[str, str]] = {
    "author": {"pseudonym": "Dr Saule", "profession": "physician", "specialty": "emergency_medicine"},
    "moderator": {"pseudonym": "Aubépine", "profession": "physician", "specialty": "radiology", "role": "moderator"},
    "colleague": {"pseudonym": "Noisetier", "profession": "nurse", "specialty": "wound_care"},
}

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def demo(
    leave: Annotated[bool, typer.Option("--exit", help="Stop everything after the walk; status 0 or 1.")] = False,
    data_dir: Annotated[Path, typer.Option(help="Where data, logs and secrets live.")] = ROOT / ".data",
    ports: Annotated[PortMode, typer.Option(help="Fixed: gateway on 8080, or GATEWAY_PORT.")] = "fixed",
) -> None:
    """Show Consilium doing its work on real pictures."""
    story = Story()
    for number in (signal.SIGTERM, signal.SIGINT):  # a shell that starts it in the background has SIGINT ignored
        signal.signal(number, _as_interrupt)
    status = 1
    platform = None
    try:
        platform = Platform(data_dir, ports=ports)
        _show(platform, data_dir, story)
        status = 0
        if not leave:
            _stay(story)
    except KeyboardInterrupt:
        story.say("\nInterrupted.")
        status = status and 130  # to stop what was shown to the end is how it is meant to end
    except (PlatformError, Refused, TookTooLong, httpx.HTTPError, subprocess.CalledProcessError, OSError) as error:
        said = f"{error.stderr}".strip() if isinstance(error, subprocess.CalledProcessError) else f"{error}"
        story.say(f"\nThe demonstration stopped: {said}")
        story.say(f"The logs are in {data_dir / 'logs'}.")
        status = 1
    finally:
        if platform is not None and data_dir.is_dir():  # else nothing was started
            with story.step("demo", "stops what it started"):
                platform.stop()
    raise typer.Exit(status)


def _show(platform: Platform, data_dir: Path, story: Story) -> None:
    story.chapter("The platform starts")
    with story.step("demo", "starts Kafka, MongoDB, the object store, the gateway and five services") as step:
        platform.start(services=True)
        step.note(platform.gateway_url)
    with story.step("identity", "knows three verified members"):
        cast = people(platform, data_dir / "accounts.json")
    walked = walk(platform.gateway_url, cast, sample_pictures(), data_dir / "demo", story)
    _tell(platform, walked, data_dir, story)


def _stay(story: Story) -> None:
    story.say("\nEverything keeps running. Ctrl-C stops it; the data stays (`make clean-data` forgets it).")
    sys.stdout.flush()
    threading.Event().wait()


def sample_pictures() -> list[Picture]:
    """The pictures of the demonstration: a photograph with faces, a radiograph with a name, a DICOM file."""
    kinds = {"photo": "photo", "radiograph": "xray", "dicom": "scan"}
    found = []
    for stem, kind in kinds.items():
        matches = sorted(SAMPLES.glob(f"{stem}.*"))
        if not matches:
            raise PlatformError(f"the sample picture {SAMPLES / stem}.* is missing: is the checkout complete?")
        found.append(Picture(matches[0], kind))
    return found


def people(platform: Platform, path: Path) -> Cast:
    """The demo's accounts: those of `.data/accounts.json`, else new ones with passwords made at random.

    The file is written first: an interrupted start finds its passwords again, and makes whom it had not made yet.
    """
    if path.exists():
        stored = json.loads(path.read_text())
    else:
        stored = {
            part: {
                "email": f"{part}@demo.invalid",
                "password": secrets.token_urlsafe(18),
                "pseudonym": who["pseudonym"],
                "totp": new_totp_secret() if "role" in who else "",
            }
            for part, who in PEOPLE.items()
        }
        write_private(path, json.dumps(stored, indent=2, ensure_ascii=False) + "\n")
    cast = {part: Account(**stored[part]) for part in PEOPLE}
    known = _known_addresses(platform)
    for part, account in cast.items():
        if account.email not in known:
            create_member(platform, account.email, account.password, PEOPLE[part], totp=account.totp)
    return Cast(**cast)


def new_totp_secret() -> str:
    """The secret of an authenticator app: 160 random bits in base32."""
    return base64.b32encode(secrets.token_bytes(20)).decode()


def create_member(
    platform: Platform, email: str, password: str, who: Mapping[str, str], *, verified: bool = True, totp: str = ""
) -> None:
    """Make a member with identity's own command line.

    `who`: pseudonym, profession, specialty and, for a moderator, role; `totp`: the secret of the authenticator app
    that a moderator has to have. Raises CalledProcessError where it refuses.
    """
    words = ["create-member", "--email", email, "--password-stdin"]
    for name, value in {"country": "FR", **who}.items():
        words += [f"--{name}", value]
    words += ["--verified"] if verified else []
    words += ["--totp-stdin"] if totp else []
    _identity(platform, words, given=f"{password}\n{totp}\n")


def _known_addresses(platform: Platform) -> set[str]:
    """The addresses of all members there are."""
    lines = _identity(platform, ["list-members", "--json"]).splitlines()
    return {json.loads(line)["email"] for line in lines}


def _identity(platform: Platform, words: list[str], given: str = "") -> str:
    environment = os.environ | platform.service_env("identity")
    command = [sys.executable, "-m", "services.identity", *words]
    done = subprocess.run(command, input=given, env=environment, cwd=ROOT, text=True, check=True, capture_output=True)
    return done.stdout


def _tell(platform: Platform, walked: Walked, data_dir: Path, story: Story) -> None:
    gateway = platform.gateway_url
    story.chapter("Where to look")
    story.say(f"  before, as uploaded     {walked.before}")
    story.say(f"  after, as published     {walked.after}")
    story.say(f"  gateway                 {gateway}")
    for service in ("identity", "ingest", "moderation", "feed"):
        story.say(f"  {service + ' API':<22}  {gateway}/api/{service}/docs")
    for service in ("identity", "ingest", "redactor", "moderation", "feed"):
        story.say(f"  {service + ' metrics':<22}  {platform.addresses[service]}/metrics")
    story.say(f"  accounts to sign in     {data_dir / 'accounts.json'}")
    story.say(f"  what runs where         {data_dir / 'addresses.json'}")


def _as_interrupt(signum: int, frame: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    app()
