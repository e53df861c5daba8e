"""SeaweedFS as the object store: one process, S3 on the loopback interface, an identity for every service."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from minio import Minio
from minio.error import MinioException
from urllib3.exceptions import HTTPError

from deploy.local import parts
from deploy.local.credentials import write_private
from deploy.local.ports import HOST, listening
from deploy.local.provision import ADMIN, identities, s3_client


class S3:
    """The object store of one data folder. `secrets`: user name (services and admin) -> secret key."""

    def __init__(self, folder: Path, ports: Mapping[str, int], secrets: Mapping[str, str], internal_key: str) -> None:
        self.folder = folder
        self._ports = ports
        self._secrets = secrets
        self._internal_key = internal_key

    @property
    def endpoint(self) -> str:
        """host:port, as the services' `S3_ENDPOINT` wants it."""
        return f"{HOST}:{self._ports['s3']}"

    def prepare(self) -> list[str]:
        """Write the identities, make the folder, and return the server's command."""
        data = self.folder / "data"
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        config = self.folder / "identities.json"
        write_private(config, json.dumps(identities(self._secrets), indent=1))
        write_private(self.folder / "security.toml", _SECURITY.format(key=self._internal_key))
        port = self._ports
        options = {
            "dir": data,
            "ip": HOST,
            "ip.bind": HOST,
            "master.port": port["s3-master"],
            "master.port.grpc": port["s3-master-grpc"],
            "master.peers": "none",
            "master.resumeState": "false",
            "master.telemetry": "false",
            "master.volumeSizeLimitMB": 256,
            "volume.port": port["s3-volume"],
            "volume.port.grpc": port["s3-volume-grpc"],
            "volume.max": 100,
            "volume.index": "leveldb",
            "volume.preStopSeconds": 0,
            "filer.port": port["s3-filer"],
            "filer.port.grpc": port["s3-filer-grpc"],
            "filer.localSocket": self.folder / "filer.sock",
            "s3.port": port["s3"],
            "s3.port.grpc": port["s3-grpc"],
            "s3.port.iceberg": 0,
            "s3.port.lance": 0,
            "s3.localSocket": self.folder / "s3.sock",
            "s3.autoCreateBucket": "false",
            "s3.config": config,
        }
        switches = [f"-{name}={value}" for name, value in options.items()]
        return [
            str(parts.weed()),
            "-logtostderr=true",
            "-v=0",
            f"-config_dir={self.folder}",
            "server",
            "-filer",
            "-s3",
            *switches,
        ]

    def environment(self) -> dict[str, str]:
        """weed's own variables stay away. Its heap idles near 180 MB: a limit below that would collect without end."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
        return {**kept, "GOGC": "50", "GOMEMLIMIT": "384MiB"}

    def ready(self) -> bool:
        """Whether the store lists its buckets to the administrator and can take an object."""
        if not all(listening(self._ports[part]) for part in ("s3", "s3-filer", "s3-volume")):
            return False
        try:
            self.admin(timeout_s=2).list_buckets()
        except (MinioException, HTTPError):
            return False
        return True

    def admin(self, timeout_s: float = 20) -> Minio:
        """The administrator's client."""
        return s3_client(self.endpoint, ADMIN, self._secrets[ADMIN], timeout_s=timeout_s)


_SECURITY = """\
# Between weed's own parts: nobody reads or writes blocks or files past the S3 identities.
[jwt.signing]
key = "{key}"
[jwt.signing.read]
key = "{key}"
[jwt.filer_signing]
key = "{key}"
[jwt.filer_signing.read]
key = "{key}"
"""
