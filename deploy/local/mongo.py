"""One mongod as a replica set of one (transactions and change streams need it), closed by a password from the start."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from deploy.local import parts
from deploy.local.credentials import write_private
from deploy.local.ports import HOST, listening
from deploy.local.processes import PlatformError
from deploy.local.provision import ADMIN, REPLICA_SET, mongo_uri

LONGEST_TRANSACTION_S = 20
"""MongoDB's own limit is 60 s. Ours take well under a second, which a busy machine may stretch."""

_ALREADY_INITIATED = 23
_UNAUTHORIZED = (13, 18)  # Unauthorized, AuthenticationFailed
_TIMEOUTS = "connectTimeoutMS=2000&serverSelectionTimeoutMS=2000"


class Mongo:
    """The database server of one data folder."""

    def __init__(self, folder: Path, ports: Mapping[str, int], password: str, cluster_key: str) -> None:
        self.folder = folder
        self._port = ports["mongo"]
        self._password = password
        self._cluster_key = cluster_key

    @property
    def address(self) -> str:
        """host:port."""
        return f"{HOST}:{self._port}"

    @property
    def admin_uri(self) -> str:
        """Connection string of the administrator."""
        return mongo_uri(self.address, ADMIN, self._password)

    def prepare(self) -> list[str]:
        """Write the key file, make the folder, and return the server's command."""
        data = self.folder / "data"
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        key_file = self.folder / "cluster.key"
        write_private(key_file, self._cluster_key)
        return [
            str(parts.mongod()),
            *("--dbpath", str(data), "--bind_ip", HOST, "--port", str(self._port), "--nounixsocket"),
            *("--replSet", REPLICA_SET, "--keyFile", str(key_file)),
            *("--wiredTigerCacheSizeGB", "0.25", "--oplogSize", "512"),
            *("--setParameter", "diagnosticDataCollectionEnabled=false"),
            # With one member there is nobody to hand over to: do not wait 15 s for that on SIGTERM.
            *("--setParameter", "shutdownTimeoutMillisForSignaledShutdown=200"),
            # A service that is killed inside a transaction leaves it open, and what it wrote in it locked.
            *("--setParameter", f"transactionLifetimeLimitSeconds={LONGEST_TRANSACTION_S}"),
            *("--quiet", "--logappend"),
        ]

    def environment(self) -> dict[str, str]:
        """mongod needs nothing of our environment."""
        return {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "LD_LIBRARY_PATH") if name in os.environ}

    def ready(self) -> bool:
        """Whether the replica set takes writes from its administrator; makes both the first time."""
        if not listening(self._port):
            return False
        try:
            with _client(
                f"mongodb://{ADMIN}:{self._password}@{self.address}/?directConnection=true&{_TIMEOUTS}"
            ) as mongo:
                self._keep_address(mongo)
                return bool(mongo.admin.command("hello").get("isWritablePrimary"))
        except OperationFailure as refused:
            if refused.code not in _UNAUTHORIZED:
                raise
            self._first_start()
            return False
        except PyMongoError:
            return False

    def _first_start(self) -> None:
        """An empty server lets a local client in without password until the first user exists."""
        with _client(f"mongodb://{self.address}/?directConnection=true&{_TIMEOUTS}") as mongo:
            try:
                mongo.admin.command("replSetInitiate", self._members())
            except OperationFailure as refused:
                if refused.code in _UNAUTHORIZED:
                    raise PlatformError(
                        f"MongoDB's data in {self.folder} was made with another password than the one in our secrets. "
                        "Bring the old secrets back, or forget the data: make clean-data"
                    ) from refused
                if refused.code != _ALREADY_INITIATED:
                    raise
            if mongo.admin.command("hello").get("isWritablePrimary"):
                mongo.admin.command("createUser", ADMIN, pwd=self._password, roles=["root"])

    def _keep_address(self, mongo: "MongoClient[dict[str, Any]]") -> None:
        """The set remembers its member's port; after a start on another port it has to be told."""
        config = mongo.admin.command("replSetGetConfig")["config"]
        if config["members"][0]["host"] != self.address:
            config["members"][0]["host"] = self.address
            config["version"] += 1
            mongo.admin.command("replSetReconfig", config, force=True)

    def _members(self) -> dict[str, Any]:
        return {"_id": REPLICA_SET, "members": [{"_id": 0, "host": self.address}]}


def _client(address: str) -> "MongoClient[dict[str, Any]]":
    return MongoClient(address, appname="consilium-platform")
