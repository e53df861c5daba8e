"""A stand-in for the transit engine of HashiCorp Vault and OpenBao: real HTTP, the API's own shapes and refusals.

Written after the API's documentation and the services' public sources: keys have versions; a key with derivation is
used through HKDF-SHA256 (no salt, `context` as info), one without ignores the context; `min_decryption_version`
refuses older ciphertexts and gives them back when it is lowered.
"""

import base64
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

TOKEN = "hvs.stand-in"


class Refused(Exception):
    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


@dataclass
class TransitKey:
    derived: bool = True
    versions: list[bytes] = field(default_factory=lambda: [os.urandom(32)])
    min_decryption_version: int = 1

    def cipher(self, version: int, context: bytes) -> AESGCM:
        key = self.versions[version - 1]
        if not self.derived:
            return AESGCM(key)
        if not context:
            raise Refused(400, "missing 'context' for key derivation; the key was created using a derived key")
        return AESGCM(HKDF(SHA256(), 32, salt=None, info=context).derive(key))

    def encrypt(self, plaintext: bytes, context: bytes) -> str:
        nonce, version = os.urandom(12), len(self.versions)
        sealed = nonce + self.cipher(version, context).encrypt(nonce, plaintext, None)
        return f"vault:v{version}:{base64.b64encode(sealed).decode()}"

    def decrypt(self, ciphertext: str, context: bytes) -> bytes:
        prefix, _, text = ciphertext.rpartition(":")
        if not prefix.startswith("vault:v"):
            raise Refused(400, "invalid ciphertext: no prefix")
        version = int(prefix.removeprefix("vault:v"))
        if version < self.min_decryption_version:
            raise Refused(400, "ciphertext or signature version is disallowed by policy (too old)")
        if version > len(self.versions):
            raise Refused(400, "invalid ciphertext: version is too new")
        try:
            sealed = base64.b64decode(text, validate=True)
        except ValueError:
            raise Refused(400, "invalid ciphertext: could not decode base64") from None
        if len(sealed) < 12:
            raise Refused(400, "invalid ciphertext length")
        try:
            return self.cipher(version, context).decrypt(sealed[:12], sealed[12:], None)
        except InvalidTag:
            raise Refused(400, "cipher: message authentication failed") from None


class TransitServer:
    """`keys` are what the engine holds; `url` is where it answers; a sealed one refuses everything."""

    def __init__(self) -> None:
        self.keys: dict[str, TransitKey] = {"consilium": TransitKey()}
        self.sealed = False
        self.acts: list[str] = []
        self.url = ""

    def rotate(self, name: str = "consilium") -> None:
        self.keys[name].versions.append(os.urandom(32))

    def answer(self, path: str, token: str | None, body: dict[str, Any]) -> dict[str, Any]:
        if self.sealed:
            raise Refused(503, "Vault is sealed")
        if token != TOKEN:
            raise Refused(403, "permission denied")
        act, _, name = path.removeprefix("/v1/transit/").partition("/")
        if act not in ("encrypt", "decrypt", "rewrap"):
            raise Refused(404, f"no handler for route {path}")
        if name not in self.keys:
            raise Refused(400, "encryption key not found")
        self.acts.append(act)
        key, context = self.keys[name], base64.b64decode(body.get("context", ""))
        if act == "decrypt":
            return {"plaintext": base64.b64encode(key.decrypt(body["ciphertext"], context)).decode()}
        plain = base64.b64decode(body["plaintext"]) if act == "encrypt" else key.decrypt(body["ciphertext"], context)
        return {"ciphertext": key.encrypt(plain, context), "key_version": len(key.versions)}


@contextmanager
def transit_server() -> Iterator[TransitServer]:
    """One that runs until the block ends."""
    state = TransitServer()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            try:
                self._tell(200, {"data": state.answer(self.path, self.headers["X-Vault-Token"], body)})
            except Refused as refused:
                self._tell(refused.status, {"errors": [str(refused)]})

        def do_GET(self) -> None:
            self._tell(503 if state.sealed else 200, {"sealed": state.sealed})

        def _tell(self, status: int, body: dict[str, Any]) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            """A test prints nothing of it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
