"""The local gateway: one origin, private routes stay private, a service that is away is told in a problem document."""

import json
import threading
from collections.abc import Iterator
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from deploy.local.gateway import AWAY as AWAY_PAGE
from deploy.local.gateway import PUBLIC, Gateway
from deploy.local.ports import HOST, free_ports
from deploy.local.processes import Processes

AWAY = "feed"  # nothing listens behind this one


class Echo(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = self.path.encode()
        self.send_response(503 if self.path.endswith("away") else 200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """The test says what it saw."""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a running gateway."""
    folder: Path = tmp_path_factory.mktemp("gateway")
    with ThreadingHTTPServer((HOST, 0), Echo) as upstream, pytest.MonkeyPatch.context() as patch:
        patch.setattr("deploy.local.gateway.WEB", folder / "not-built")
        threading.Thread(target=upstream.serve_forever, daemon=True).start()
        port, nobody = free_ports(2)
        ports = {name: nobody if name == AWAY else upstream.server_port for name in PUBLIC} | {"gateway": port}
        made = Gateway(folder / "caddy", ports)
        processes = Processes(folder / "run", folder / "logs")
        try:
            processes.start("gateway", made.prepare(), env=made.environment(), cwd=folder, ready=made.ready)
            yield port
        finally:
            processes.stop_all()
            upstream.shutdown()


def get(port: int, path: str) -> tuple[int, str, str]:
    """Status, media type and body."""
    connection = HTTPConnection(HOST, port, timeout=20)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.headers.get_content_type(), answer.read().decode()
    finally:
        connection.close()


@pytest.mark.parametrize("service", [name for name in PUBLIC if name != AWAY])
def test_a_services_routes_are_under_its_name_with_the_prefix_stripped(service: str, gateway: int) -> None:
    assert get(gateway, f"/api/{service}/cases?limit=3")[::2] == (200, "/cases?limit=3")


@pytest.mark.parametrize("path", ["/consent/some-link?language=fr", "/consent/some-link/form", "/withdrawal"])
def test_what_patients_open_is_at_the_root_and_keeps_its_path(path: str, gateway: int) -> None:
    assert get(gateway, path)[::2] == (200, path)


@pytest.mark.parametrize(
    "path",
    [
        "/api/identity/healthz",
        "/api/ingest/readyz",
        "/api/moderation/metrics",
        "/api/identity//healthz",
        "/api/identity/%68ealthz",
        "/api/identity/x/../metrics",
        "/api/identity/metrics/",
        "/api/Identity/METRICS",
        "/consent/../metrics",
        "/consent/x/../../healthz",
        "/api/redactor/cases",
        "/api/nobody",
    ],
)
def test_probes_metrics_and_unknown_services_are_not_there(path: str, gateway: int) -> None:
    status, media_type, body = get(gateway, path)
    assert (status, media_type) == (404, "application/problem+json")
    assert json.loads(body)["type"] == "urn:consilium:problem:not-found"


@pytest.mark.parametrize("path", ["/", "/api/feed/cases", f"/api/{AWAY}/cases", "/api/nobody"])
def test_search_engines_are_kept_out(path: str, gateway: int) -> None:
    assert get(gateway, "/robots.txt") == (200, "text/plain", "User-agent: *\nDisallow: /\n")
    connection = HTTPConnection(HOST, gateway, timeout=20)
    connection.request("GET", path)
    assert connection.getresponse().headers["X-Robots-Tag"] == "noindex, nofollow, noarchive"
    connection.close()


def test_a_service_that_is_away_is_told_as_a_problem_in_both_languages(gateway: int) -> None:
    status, media_type, body = get(gateway, f"/api/{AWAY}/cases")
    assert (status, media_type) == (503, "application/problem+json")
    problem = json.loads(body)
    assert problem["type"] == "urn:consilium:problem:service-away"
    assert "Try again" in problem["detail"]
    assert "Réessayez" in problem["detail"]


def test_without_a_web_client_a_page_in_both_languages_shows_the_doors(gateway: int) -> None:
    assert get(gateway, "/no-such-page")[0] == 404
    status, media_type, body = get(gateway, "/")
    assert (status, media_type) == (200, "text/html")
    assert all(f"/api/{service}/docs" in body for service in PUBLIC)
    assert "Verified health professionals" in body
    assert "Des professionnels de santé vérifiés" in body


@pytest.mark.parametrize("path", ["/withdrawal/away", "/consent/away", "/withdrawal?away"])
def test_a_patient_gets_a_page_where_the_service_cannot_answer(gateway: int, path: str) -> None:
    status, kind, body = get(gateway, path)
    assert (status, kind.partition(";")[0]) == (503, "text/html")
    assert body.strip() == AWAY_PAGE.read_text().strip()
