"""The wrapping key of originals is rotated under running services: pictures come in and are painted all the while."""

import base64
import json
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from deploy.local import Platform
from deploy.local.client import Person
from deploy.local.downloads import ROOT
from shared.blobs import RAW
from shared.keyring import wrapping_key_id

pytestmark = pytest.mark.platform


def rewrap(stack: Platform) -> str:
    """What the operator's command says; it must end well."""
    ended = subprocess.run(
        [sys.executable, "-m", "services.ingest", "rewrap"],
        env=dict(stack.service_env("ingest")) | {"PATH": "/usr/bin:/bin"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def painted(author: Person, photo: bytes) -> str:
    """A case with one picture that the redactor has painted."""
    case_id: str = author.create_case()["case_id"]
    author.upload(case_id, photo)
    author.start_redaction(case_id)
    (picture,) = author.preview_when_painted(case_id)["pictures"]
    assert picture["outcome"] == "redacted"
    return case_id


def records(stack: Platform) -> dict[str, str]:
    """Case -> id of the wrapping key that its key is under, of all cases there are."""
    store = stack.admin_s3()
    names = [str(found.object_name) for found in store.list_objects(RAW, recursive=True)]
    return {
        name.removesuffix("/key"): json.loads(store.get_object(RAW, name).read())["wrapping_key_id"]
        for name in names
        if name.endswith("/key")
    }


def test_the_wrapping_key_is_rotated_while_pictures_come_and_are_painted(
    stack: Platform, author: Person, photo: bytes
) -> None:
    key_file = Path(stack.service_env("ingest")["INGEST_WRAPPING_KEY_FILE"])
    assert str(key_file) == stack.service_env("redactor")["REDACTOR_WRAPPING_KEY_FILE"]
    old, new = key_file.read_text().strip(), base64.b64encode(os.urandom(32)).decode()
    before = painted(author, photo)
    rotated = threading.Event()

    def go_on() -> list[str]:
        made = [painted(author, photo)]
        while not rotated.is_set():
            made.append(painted(author, photo))
        return made

    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(go_on)
        try:
            key_file.write_text(f"{new}\n{old}\n")
            assert "Older wrapping keys can be taken away." in rewrap(stack)
            assert "cases-raw" in rewrap(stack)  # what was wrapped in the second before a service looked
            key_file.write_text(f"{new}\n")
        finally:
            rotated.set()
        meanwhile = working.result(timeout=180)

    after = painted(author, photo)
    found = records(stack)
    assert {before, after, *meanwhile} <= found.keys()
    assert set(found.values()) == {wrapping_key_id(base64.b64decode(new))}, "the old key opens nothing any more"
    (picture,) = author.preview(before)["pictures"]
    (frame,) = picture["frames"]
    redrawn = author.redraw(before, picture["picture_id"], [{"frame": frame["index"], "boxes": frame["regions"]}])
    assert redrawn["revision"] == 2
    (picture,) = author.preview_when_painted(before)["pictures"]
    assert picture["outcome"] == "redacted", "the old original, opened with the new key"
