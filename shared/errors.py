"""Exceptions that carry the policy: never again, or not now."""

import importlib

from aiokafka.errors import KafkaConnectionError, NodeNotReadyError, RequestTimedOutError


class PoisonMessage(Exception):
    """This message will never work: put it aside at once and go on."""


class NotNow(Exception):
    """A dependency is away or a condition is not met yet: try again later, for ever."""


class WrongSetting(ValueError):
    """A setting, or a file that one names, cannot be used. The message is a sentence for an operator: it names the
    setting or file and never quotes what it holds.
    """


def _away() -> tuple[type[BaseException], ...]:
    found: list[type[BaseException]] = [
        NotNow,
        KafkaConnectionError,
        NodeNotReadyError,
        RequestTimedOutError,
        ConnectionError,
        TimeoutError,
    ]
    # The redactor has no MongoDB, identity and tests may have no S3: take the clients that are installed.
    for module, names in (
        ("pymongo.errors", ("ConnectionFailure", "ExecutionTimeout", "WTimeoutError")),
        ("urllib3.exceptions", ("HTTPError",)),
    ):
        try:
            loaded = importlib.import_module(module)
        except ModuleNotFoundError:
            continue
        found += [getattr(loaded, name) for name in names]
    return tuple(found)


AWAY: tuple[type[BaseException], ...] = _away()
"""Errors of the clients that say: the other side does not answer."""


def dependency_is_away(error: BaseException) -> bool:
    """Whether trying the same again later can help: the error, or what caused it, is a dependency's absence."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, AWAY):
            return True
        seen = seen.__cause__
    return False
