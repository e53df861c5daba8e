"""Caddy as the gateway: one origin for the web client and the public routes of the services."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from deploy.local import parts
from deploy.local.downloads import ROOT
from deploy.local.ports import HOST, listening

PUBLIC = ("identity", "ingest", "moderation", "feed")  # the redactor has no door to the outside
WEB = ROOT / "web" / "dist"
LANDING = Path(__file__).with_name("landing")
_MAX_BODY = "32MB"  # ingest takes pictures of 25 MB and refuses larger ones by itself


class Gateway:
    """The reverse proxy of one data folder."""

    def __init__(self, folder: Path, ports: Mapping[str, int]) -> None:
        self.folder = folder
        self._ports = ports

    @property
    def url(self) -> str:
        """The one origin, without a slash at its end."""
        return f"http://{HOST}:{self._ports['gateway']}"

    def prepare(self) -> list[str]:
        """Write the Caddyfile and return the command."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        caddyfile = self.folder / "Caddyfile"
        upstreams = {name: f"{HOST}:{self._ports[name]}" for name in PUBLIC}
        static = WEB if (WEB / "index.html").exists() else LANDING
        caddyfile.write_text(configuration(f":{self._ports['gateway']}", HOST, upstreams, static, self.folder))
        return [str(parts.caddy()), "run", "--config", str(caddyfile), "--adapter", "caddyfile"]

    def environment(self) -> dict[str, str]:
        """Caddy keeps its files in our folder, not in the home directory."""
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
        return {**kept, "HOME": str(self.folder), "GOMEMLIMIT": "64MiB"}

    def ready(self) -> bool:
        """Whether the gateway takes connections."""
        return listening(self._ports["gateway"])


def configuration(address: str, bind: str, upstreams: Mapping[str, str], static: Path, storage: Path) -> str:
    """A Caddyfile. `upstreams`: service -> host:port; `static`: the folder that `/` shows."""
    routes = "\n".join(_ROUTE.format(name=name, upstream=upstream) for name, upstream in upstreams.items())
    return _CADDYFILE.format(
        address=address,
        bind=bind,
        routes=routes,
        patients=upstreams["ingest"],
        errors=_error_pages(),
        static=static,
        # The web client has addresses of its own, which its one page answers.
        fallback="try_files {path} /index.html" if static == WEB else "",
        storage=storage,
        max_body=_MAX_BODY,
    )


_ROUTE = """\
	handle_path /api/{name}/* {{
		reverse_proxy {upstream} {{
			header_up -X-Forwarded-Prefix
			lb_try_duration 2s
			lb_try_interval 100ms
		}}
	}}"""

_CADDYFILE = """\
{{
	admin off
	auto_https off
	persist_config off
	storage file_system {storage}
	log {{
		level WARN
		# A signing link is a key: an error's line must not show it.
		format filter {{
			wrap json
			fields {{
				request>uri regexp [A-Za-z0-9_-]{{43}} [secret]
			}}
		}}
	}}
}}

http://{address} {{
	bind {bind}
	request_body {{
		max_size {max_body}
	}}
	# Closed to search engines, what a mistake may once open included.
	header X-Robots-Tag "noindex, nofollow, noarchive"
	handle /robots.txt {{
		header Content-Type text/plain
		respond `User-agent: *
Disallow: /
`
	}}

	# Probes and metrics are for the platform, not for the outside.
	@private path_regexp (?i)^/api/[^/]+/+(healthz|readyz|metrics)(/|$)
	handle @private {{
		error 404
	}}

{routes}

	# What patients open: signing links and the withdrawal page.
	@patients path /consent/* /withdrawal /withdrawal/*
	handle @patients {{
		reverse_proxy {patients} {{
			lb_try_duration 2s
			lb_try_interval 100ms
			@away status 500 502 503 504
			handle_response @away {{
				error 503
			}}
		}}
	}}

	handle /api/* {{
		error 404
	}}

	handle {{
		root * {static}
		header X-Content-Type-Options nosniff
		header Referrer-Policy no-referrer
		header X-Frame-Options DENY
		{fallback}
		file_server
	}}

{errors}
}}
"""

_ERROR = """\
	handle_errors {from_statuses} {{{page}
		header Content-Type application/problem+json
		respond `{problem}` {status}
	}}"""

# A patient gets a page, not a document for programs.
_PAGE = """
		@page path /consent/* /withdrawal /withdrawal/*
		handle @page {{
			header Content-Type "text/html; charset=utf-8"
			header Content-Security-Policy "default-src 'none'; style-src 'unsafe-inline'"
			header Cache-Control no-store
			respond `{html}` 503
		}}"""
AWAY = Path(__file__).with_name("away.html")

# slug, statuses that lead here, status told, title, detail in English and French
_PROBLEMS = (
    ("not-found", "404", 404, "Not found", "Nothing is here. / Il n'y a rien à cette adresse."),
    ("too-large", "413", 413, "Too large", "Send less at once. / Envoyez moins à la fois."),
    (
        "service-away",
        "502 503 504",
        503,
        "Service away",
        "This service does not answer now. Try again in a moment. "
        "/ Ce service ne répond pas. Réessayez dans un instant.",
    ),
)


def _error_pages() -> str:
    pages = []
    for slug, from_statuses, status, title, detail in _PROBLEMS:
        problem = {"type": f"urn:consilium:problem:{slug}", "title": title, "status": status, "detail": detail}
        text = json.dumps(problem, ensure_ascii=False)
        page = _PAGE.format(html=AWAY.read_text().rstrip()) if status == 503 else ""
        pages.append(_ERROR.format(from_statuses=from_statuses, problem=text, status=status, page=page))
    return "\n".join(pages)
