"""The rules of the house as code: a reader sees the architecture in the tree, and the tree cannot drift."""

import ast
import re
from pathlib import Path

import pytest

from shared.events import CONSUMES, EVENTS, FeedErased

ROOT = Path(__file__).parents[1]
SERVICES = sorted(path.name for path in (ROOT / "services").iterdir() if (path / "__init__.py").exists())
WORDS = {"__init__", "__main__", "app", "settings", "domain", "handlers", "routes", "store"}
OWN_WORDS = {
    "redactor": {"command", "detectors", "export", "inference", "models", "pixels", "weights", "workers"},
    "feed": {"rebuild"},
    "ingest": {"consent_texts", "pages"},
    "moderation": set(),
    "identity": {"commands", "registries", "specialties", "verification"},
}
BANNED = {"utils", "common", "models", "helpers", "misc", "base"}
IO_PACKAGES = {
    "aiokafka", "faststream", "motor", "pymongo", "minio", "fastapi", "starlette", "httpx", "uvicorn", "boto3",
    "requests", "socket", "subprocess", "urllib3", "asyncio", "cv2", "onnxruntime", "PIL",
}  # fmt: skip
PURE_SHARED = {"shared.audiences", "shared.chain", "shared.events", "shared.networks", "shared.openings"}


def sources(folder: str) -> list[Path]:
    return [path for path in (ROOT / folder).rglob("*.py") if "__pycache__" not in path.parts]


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide who depends on whom"
            found |= {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def test_there_are_exactly_the_five_services() -> None:
    assert SERVICES == sorted(CONSUMES) == sorted(OWN_WORDS)


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_imports_no_other_service(service: str) -> None:
    for path in sources(f"services/{service}"):
        for name in imports(path):
            if name.startswith("services."):
                assert name.split(".")[1] == service, f"{path.relative_to(ROOT)} imports {name}"


def test_shared_imports_no_service() -> None:
    for path in sources("shared"):
        assert not {name for name in imports(path) if name.split(".")[0] in {"services", "deploy", "tests"}}, path


@pytest.mark.parametrize("service", SERVICES)
def test_the_domain_does_no_input_or_output(service: str) -> None:
    place = ROOT / "services" / service
    for path in [*place.glob("domain.py"), *place.glob("domain/*.py")]:
        for name in imports(path):
            assert name.split(".")[0] not in IO_PACKAGES, f"{path.relative_to(ROOT)} imports {name}"
            if name.startswith("shared"):
                assert any(name == pure or name.startswith(f"{pure}.") for pure in PURE_SHARED) or name == "shared", (
                    f"{path.relative_to(ROOT)} imports {name}"
                )


@pytest.mark.parametrize("service", SERVICES)
def test_file_names_stay_in_the_vocabulary(service: str) -> None:
    for path in (ROOT / "services" / service).iterdir():
        if path.name.startswith("__pycache__"):
            continue
        assert path.stem in WORDS | OWN_WORDS[service], f"{path.relative_to(ROOT)} is a new word"


def test_no_drawer_for_everything() -> None:
    for folder in ("shared", "services", "deploy", "tests", "benchmarks"):
        for path in sources(folder):
            assert path.stem not in BANNED, path


def test_the_redactor_has_no_door_and_the_feed_tells_only_what_it_erased() -> None:
    assert not (ROOT / "services/redactor/routes.py").exists()
    assert not (ROOT / "services/redactor/routes").exists()
    assert [event for event in EVENTS if event.emitter == "feed"] == [FeedErased]
    for path in sources("services/feed"):
        assert "shared.outbox.Outbox" not in imports(path), "the feed would emit more than what it erased"


def test_original_pictures_are_reachable_from_ingest_and_redactor_only() -> None:
    forbidden = {"shared.originals", "shared.blobs.RAW", "shared.blobs.raw_key"}
    for service in set(SERVICES) - {"ingest", "redactor"}:
        for path in sources(f"services/{service}"):
            assert not imports(path) & forbidden, path.relative_to(ROOT)
            assert "cases-raw" not in path.read_text(), path.relative_to(ROOT)
    for path in sources("services/ingest"):
        assert not re.search(r"\braw\w*\.load\(", path.read_text()), f"{path}: ingest writes originals, never reads"


@pytest.mark.parametrize(("room", "owner"), [("PROOFS", "ingest"), ("CREDENTIALS", "identity")])
def test_a_room_of_secrets_belongs_to_one_service(room: str, owner: str) -> None:
    for service in set(SERVICES) - {owner}:
        for path in sources(f"services/{service}"):
            assert f"shared.blobs.{room}" not in imports(path), path.relative_to(ROOT)


def test_topic_literals_live_in_one_file() -> None:
    topics = {event.topic for event in EVENTS}
    for folder in ("shared", "services", "deploy", "benchmarks"):
        for path in sources(folder):
            if path == ROOT / "shared/events/declarations.py":
                continue
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    assert node.value not in topics, f"{path.relative_to(ROOT)}:{node.lineno} names topic {node.value}"


def test_only_one_file_imports_motor() -> None:
    for folder in ("shared", "services"):
        for path in sources(folder):
            if any(name.split(".")[0] == "motor" for name in imports(path)):
                assert path == ROOT / "shared/mongo.py"


@pytest.mark.parametrize("service", SERVICES)
def test_each_service_says_what_it_consumes_emits_and_owns(service: str) -> None:
    text = ast.get_docstring(ast.parse((ROOT / "services" / service / "__init__.py").read_text())) or ""
    for word in ("Consumes", "Emits", "Owns"):
        assert word in text, f"services/{service}/__init__.py does not say {word}"
    for event in EVENTS:
        if event.emitter == service or event in CONSUMES[service]:
            assert event.topic in text, f"services/{service}/__init__.py does not mention {event.topic}"


def test_handlers_are_named_after_their_topics() -> None:
    for service, events in CONSUMES.items():
        place = ROOT / "services" / service
        text = "".join(p.read_text() for p in [*place.glob("handlers.py"), *place.glob("handlers/*.py")])
        for event in events:
            assert f"def on_{event.topic.replace('.', '_')}" in text, f"{service} lacks a handler for {event.topic}"


def test_nobody_says_who_works_where() -> None:
    paths = re.compile("|".join(re.escape(part) for part in ("/" + "work/", "/" + "root/", "/" + "home/")))
    for path in ROOT.rglob("*"):
        parts = set(path.relative_to(ROOT).parts)
        if (
            parts
            & {".git", ".venv", ".data", "__pycache__", ".hypothesis", ".mypy_cache", ".ruff_cache", ".pytest_cache"}
            or not path.is_file()
            or path.stat().st_size > 500_000
        ):
            continue
        if path.suffix in {".py", ".md", ".yaml", ".yml", ".toml", ".txt", ".sh", ""}:
            try:
                text = path.read_text()
            except UnicodeDecodeError:
                continue
            assert not paths.search(text), f"{path.relative_to(ROOT)} names a path of one machine"
