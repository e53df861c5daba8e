"""The secrets of a platform in containers, one file each: `python -m deploy.local.compose_secrets`.

They are made at random the first time; a second run adds what is missing and changes nothing that is there. The
files are readable to all (a container's user has another number than ours), their folder to its owner only: Docker
mounts single files, so that a container sees those it is given and no others.
"""

import json
from pathlib import Path
from typing import Annotated

import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from deploy.local.credentials import Credentials, write_private
from deploy.local.provision import ADMIN, BUCKETS, DATABASES, SERVICES, identities, mongo_uri
from deploy.local.services import WRAPPING_KEYS

DEFAULT_FOLDER = Path(".data/compose-secrets")
MONGO = "mongo:27017"


def make(folder: Path, mongo: str = MONGO) -> list[Path]:
    """Make every secret that is missing in `folder`; returns all files. `mongo`: its host:port, for the URIs."""
    credentials = Credentials(folder, environment={})
    for service in SERVICES:
        credentials.password(f"{service}_kafka_password")
    credentials.password("admin_kafka_password")
    credentials.password("mongo_cluster_key")
    credentials.password("admin_mongo_password")
    for service in (service for service, databases in DATABASES.items() if databases):
        password = credentials.password(f"{service}_mongo_password")
        _keep(folder / f"{service}_mongo_uri", mongo_uri(mongo, service, password))
    users = sorted({service for rights in BUCKETS.values() for service in rights})
    keys = {service: credentials.password(f"{service}_s3_secret_key") for service in users}
    keys[ADMIN] = credentials.password("admin_s3_secret_key")
    _keep(folder / "s3_identities", json.dumps(identities(keys), indent=1))
    for key in sorted(set(WRAPPING_KEYS.values())):
        credentials.key_file(key)
    if not (folder / "signing_key").exists():
        pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        write_private(folder / "signing_key", pem.decode())
    files = sorted(path for path in folder.iterdir() if path.is_file())
    for path in files:
        path.chmod(0o444)
    return files


def _keep(path: Path, text: str) -> None:
    # Derived from other secrets and from the code's table of rights: written anew whenever those say otherwise.
    if not path.exists() or path.read_text() != text:
        write_private(path, text)


def main(
    out: Annotated[Path, typer.Option(help="The folder to fill.")] = DEFAULT_FOLDER,
    mongo: Annotated[str, typer.Option(help="host:port of MongoDB, as the services see it.")] = MONGO,
) -> None:
    """Make the secrets of docker-compose.yml (or of an installation in Kubernetes)."""
    try:
        made = make(out, mongo)
    except OSError as error:
        typer.echo(f"{error.filename}: {error.strerror}.", err=True)
        raise typer.Exit(1) from error
    typer.echo(f"{len(made)} secrets in {out}")


if __name__ == "__main__":
    typer.run(main)
