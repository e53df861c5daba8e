"""The object store of the contract suites: the fake that unit tests use, and the real one."""

import uuid
from collections.abc import AsyncIterator, Iterator

import pytest

from deploy.local import Platform
from shared.blobs import Blobs, ObjectStore
from shared.mongo import Mongo
from tests.memory_blobs import MemoryBlobs
from tests.stores import access
from tests.verification_house import VerificationHouse


@pytest.fixture(params=["memory", pytest.param("real", marks=pytest.mark.platform)])
def blobs(request: pytest.FixtureRequest) -> Iterator[ObjectStore]:
    if request.param == "memory":
        yield MemoryBlobs()
        return
    platform: Platform = request.getfixturevalue("platform")
    made = Blobs(access(platform, "admin"))  # what each service may do is another question, see below
    yield made
    made.close()


@pytest.fixture
def case_id() -> str:
    return str(uuid.uuid4())


@pytest.fixture
async def house(platform: Platform) -> AsyncIterator[VerificationHouse]:
    """Verification on the real database, whose collections are emptied first."""
    env = platform.service_env("identity")
    mongo = Mongo(env["IDENTITY_MONGO_URI"], env["IDENTITY_MONGO_DATABASE"])
    made = VerificationHouse(mongo)
    await made.prepare()
    yield made
    mongo.close()
