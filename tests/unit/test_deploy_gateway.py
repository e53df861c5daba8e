"""The gateway's file for containers, run by the real Caddy in front of a server that says what it was asked."""

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from deploy.local import parts
from deploy.local.gateway import AWAY as AWAY_PAGE
from deploy.local.ports import free_ports, listening
from deploy.local.processes import TooLate, wait_until
from tests.manifests import BASE

PUBLIC = ("identity", "ingest", "moderation", "feed")
AWAY = "feed"  # nothing listens behind this one


class _Echo(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = f"{self.path} for {self.headers.get('X-Forwarded-For')}".encode()
        self.send_response(503 if self.path.endswith("away") else 200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """The test says what it saw."""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a running gateway."""
    upstream = ThreadingHTTPServer(("127.0.0.1", 0), _Echo)
    threading.Thread(target=upstream.serve_forever, daemon=True).start()
    port, nobody = free_ports(2)
    folder = str(tmp_path_factory.mktemp("caddy"))
    address = {name: nobody if name == AWAY else upstream.server_port for name in PUBLIC}
    caddy = subprocess.Popen(
        [str(parts.caddy()), "run", "--config", str(Path(BASE / "Caddyfile")), "--adapter", "caddyfile"],
        env={
            "PATH": os.environ["PATH"],
            "HOME": folder,
            "GATEWAY_PORT": str(port),
            **{f"{name.upper()}_UPSTREAM": f"127.0.0.1:{number}" for name, number in address.items()},
        },
        stderr=subprocess.PIPE,
        cwd=folder,
    )
    try:
        wait_until(lambda: listening(port) or caddy.poll() is not None, 30, "the start of Caddy")
        assert caddy.poll() is None
    except (AssertionError, TooLate) as error:
        caddy.kill()
        raise AssertionError(f"Caddy did not start: {caddy.communicate()[1].decode()[-2000:]}") from error
    yield port
    caddy.send_signal(signal.SIGTERM)
    caddy.communicate(timeout=20)
    upstream.shutdown()
    upstream.server_close()


def ask(port: int, path: str, **headers: str) -> tuple[int, str, str]:
    """Status, media type and body of a request whose path goes out exactly as it is."""
    connection = HTTPConnection("127.0.0.1", port, timeout=20)
    connection.putrequest("GET", path, skip_accept_encoding=True)
    for name, value in headers.items():
        connection.putheader(name.replace("_", "-"), value)
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    return answer.status, answer.headers.get("content-type", ""), body


@pytest.mark.parametrize("service", [name for name in PUBLIC if name != AWAY])
def test_a_services_routes_are_reached_under_its_name(gateway: int, service: str) -> None:
    status, _, body = ask(gateway, f"/api/{service}/cases?limit=2")
    assert (status, body) == (200, "/cases?limit=2 for 127.0.0.1")


@pytest.mark.parametrize("path", [f"/consent/{'x' * 43}?language=fr", "/consent/x/pictures/p/0/full", "/withdrawal"])
def test_what_patients_open_is_at_the_root_and_keeps_its_path(gateway: int, path: str) -> None:
    status, _, body = ask(gateway, path)
    assert (status, body) == (200, f"{path} for 127.0.0.1")


@pytest.mark.parametrize("page", ["healthz", "readyz", "metrics"])
@pytest.mark.parametrize(
    "spelling",
    [
        "/api/ingest/{}",
        "/api/ingest/{}/",
        "/api/ingest//{}",
        "/api/ingest/./{}",
        "/api/ingest/x/../{}",
        "/api/ingest/x%2f..%2f{}",
        "/api/ingest/%2f{}",
        "/api/identity/../ingest/{}",
        "//api//ingest/{}",
        "/api/redactor/{}",
        "/consent/../{}",
        "/consent/x/../../{}",
        "/consent/%2e%2e/{}",
        "/withdrawal/../{}",
        "/{}",
    ],
)
def test_what_operators_read_is_not_routed(gateway: int, spelling: str, page: str) -> None:
    for name in (page, page.upper(), f"%{ord(page[0]):02x}{page[1:]}"):
        status, kind, body = ask(gateway, spelling.format(name))
        assert (status, kind) == (404, "application/problem+json"), body


def test_a_caller_cannot_choose_the_address_that_services_see(gateway: int) -> None:
    answer = ask(gateway, "/api/ingest/cases", X_Forwarded_For="198.51.100.7")[2]
    assert answer == "/cases for 127.0.0.1"


@pytest.mark.parametrize("path", ["/", "/api/feed/cases", f"/api/{AWAY}/cases", "/api/nobody"])
def test_search_engines_are_kept_out(gateway: int, path: str) -> None:
    status, kind, body = ask(gateway, "/robots.txt")
    assert (status, kind.partition(";")[0], body) == (200, "text/plain", "User-agent: *\nDisallow: /\n")
    connection = HTTPConnection("127.0.0.1", gateway, timeout=20)
    connection.request("GET", path)
    assert connection.getresponse().headers["X-Robots-Tag"] == "noindex, nofollow, noarchive"
    connection.close()


def test_a_service_that_is_away_is_a_problem_without_its_address(gateway: int) -> None:
    status, kind, body = ask(gateway, f"/api/{AWAY}/cases")
    assert (status, kind) == (503, "application/problem+json")
    assert "urn:consilium:problem:service-away" in body
    assert "127.0.0.1" not in body


@pytest.mark.parametrize("path", ["/withdrawal/away", "/consent/away", "/withdrawal?away"])
def test_a_patient_gets_a_page_where_the_service_cannot_answer(gateway: int, path: str) -> None:
    status, kind, body = ask(gateway, path)
    assert (status, kind.partition(";")[0]) == (503, "text/html")
    assert body.strip() == AWAY_PAGE.read_text().strip()
