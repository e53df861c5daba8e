"""The images that docker-compose.yml names keep the stores' essential promises."""

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from pydantic import SecretStr
from pymongo import MongoClient
from pymongo.errors import PyMongoError
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer
from testcontainers.core.docker_client import DockerClient

from deploy.local.client import wait_until
from deploy.local.provision import ADMIN, identities, provision_s3, s3_client
from shared.blobs import TEXTS, BlobMissing, Blobs
from shared.mongo import Mongo, Session
from tests.manifests import Json, compose

pytestmark = [pytest.mark.platform, pytest.mark.full]
SECRET = "only-for-this-test"
START_S = 90


@dataclass(frozen=True)
class Access:
    """What `Blobs` needs to know."""

    s3_endpoint: str
    s3_access_key: str
    s3_secret_key: SecretStr
    s3_secure: bool = False


@pytest.fixture(scope="module", autouse=True)
def engine() -> Iterator[None]:
    """Docker has to answer. The fixtures below remove their containers, so no reaper (one image more) is started."""
    try:
        DockerClient().client.ping()
    except Exception:  # docker's own, or the socket's
        pytest.skip("No Docker answers here, so the images of docker-compose.yml were not tried.")
    with pytest.MonkeyPatch.context() as environment:
        environment.setattr(testcontainers_config, "ryuk_disabled", True)  # TESTCONTAINERS_RYUK_DISABLED
        yield


def container(name: str, port: int) -> DockerContainer:
    """The image of docker-compose.yml with its memory limit, `port` on a free one of this machine."""
    definition: Json = compose()["services"][name]
    return DockerContainer(definition["image"], mem_limit=definition["mem_limit"]).with_bind_ports(port)


def address(running: DockerContainer, port: int) -> str:
    return f"{running.get_container_host_ip()}:{running.get_exposed_port(port)}"


@pytest.fixture(scope="module")
def mongo_uri() -> Iterator[str]:
    command = "mongod --replSet rs0 --bind_ip_all --wiredTigerCacheSizeGB 0.25 --quiet"
    with container("mongo", 27017).with_command(command) as running:
        uri = f"mongodb://{address(running, 27017)}/?directConnection=true"
        with MongoClient[Json](uri, serverSelectionTimeoutMS=1000) as client:
            members = [{"_id": 0, "host": "127.0.0.1:27017"}]

            def initiated() -> bool:
                try:
                    client.admin.command("replSetInitiate", {"_id": "rs0", "members": members})
                except PyMongoError as not_yet:
                    return "already initialized" in str(not_yet)
                return True

            wait_until("the replica set", initiated, within_s=START_S)
            wait_until("a primary", lambda: client.admin.command("hello")["isWritablePrimary"], within_s=START_S)
        yield uri


@pytest.fixture(scope="module")
def s3_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    (config := tmp_path_factory.mktemp("s3") / "identities.json").write_text(json.dumps(identities({ADMIN: SECRET})))
    definition: Json = compose()["services"]["seaweedfs"]
    (inside,) = (word.partition("=")[2] for word in definition["command"] if word.startswith("-s3.config="))
    made = container("seaweedfs", 8333).with_command(definition["command"]).with_envs(**definition["environment"])
    with made.with_volume_mapping(str(config), inside, "ro") as running:
        endpoint = address(running, 8333)
        store = s3_client(endpoint, ADMIN, SECRET)

        def answers() -> bool:
            try:
                provision_s3(store)
            except Exception:  # whatever is raised before it is up
                return False
            return True

        wait_until("the object store", answers, within_s=START_S)
        yield endpoint


async def test_the_mongo_image_commits_a_transaction_whole_or_not_at_all(mongo_uri: str) -> None:
    mongo = Mongo(mongo_uri, "images")

    async def act(session: Session) -> None:
        for name in ("a", "b"):
            await mongo.db[name].insert_one({"_id": 1}, session=session)

    async def act_and_fail(session: Session) -> None:
        await mongo.db["a"].insert_one({"_id": 2}, session=session)
        raise ValueError("no")

    try:
        assert mongo.db.write_concern.document == {"w": "majority"}
        await mongo.transaction(act)
        with pytest.raises(ValueError, match="no"):
            await mongo.transaction(act_and_fail)
        assert [await mongo.db[name].count_documents({}) for name in ("a", "b")] == [1, 1]
    finally:
        mongo.close()


async def test_the_object_store_image_keeps_what_it_took(s3_endpoint: str) -> None:
    blobs, case_id = Blobs(Access(s3_endpoint, ADMIN, SecretStr(SECRET))), str(uuid.uuid4())
    try:
        for data in (b"first", b"", b"x" * 3_000_000):
            await blobs.put(TEXTS, f"{case_id}/1", data)
            assert await blobs.get(TEXTS, f"{case_id}/1") == data
        assert await blobs.put_if_absent(TEXTS, f"{case_id}/2", b"mine")
        assert not await blobs.put_if_absent(TEXTS, f"{case_id}/2", b"theirs")
        assert await blobs.get(TEXTS, f"{case_id}/2") == b"mine"
        assert await blobs.delete_prefix(TEXTS, f"{case_id}/") == 2
        with pytest.raises(BlobMissing):
            await blobs.get(TEXTS, f"{case_id}/1")
    finally:
        blobs.close()
