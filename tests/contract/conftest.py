"""The object store of the contract suites: the fake that unit tests use, and the real one."""

import uuid
from collections.abc import Iterator

import pytest

from deploy.local import Platform
from shared.blobs import Blobs, ObjectStore
from tests.memory_blobs import MemoryBlobs
from tests.stores import access


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
