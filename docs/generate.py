"""Writes docs/events.yaml (AsyncAPI 3) and docs/schemas/ from `shared/events/`, docs/rights.md from the routes.

    python -m docs.generate           write the files
    python -m docs.generate --check   say what is out of date, exit 1 if anything is

FastStream's own export knows neither headers nor consumer groups; both are part of the contract, so the document
is built here from the same declarations that the code runs on.
"""

import json
import sys
from pathlib import Path
from typing import Any

import yaml
from pydantic.json_schema import models_json_schema

from docs import rights
from shared.events import CONSUMES, EVENTS, GROUPS, PARTITIONS, Event, dead_topic

DOCS = Path(__file__).parent

HEADERS: dict[str, Any] = {
    "type": "object",
    "required": ["ce_specversion", "ce_id", "ce_type", "ce_source", "ce_subject", "ce_time", "content-type"],
    "properties": {
        "ce_specversion": {"const": "1.0"},
        "ce_id": {"type": "string", "description": "Unique per event; consumers drop doubles by it."},
        "ce_type": {"type": "string"},
        "ce_source": {"type": "string", "description": "/consilium/<emitter>"},
        "ce_subject": {"type": "string", "description": "The message key: the entity whose state is replaced."},
        "ce_time": {"type": "string", "format": "date-time"},
        "content-type": {"const": "application/json"},
        "traceparent": {"type": "string", "description": "W3C Trace Context."},
    },
}


def schema_of(event: type[Event]) -> dict[str, Any]:
    """JSON Schema (2020-12) of an event's data as a consumer should read it: unknown fields allowed."""
    schema = event.model_json_schema(mode="serialization")
    _open(schema)
    title = f"{event.__name__} v{event.schema_version}"
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": title}


def _open(schema: Any) -> None:
    """Producers forbid unknown fields, consumers must ignore them: the published schema is the consumer's."""
    if isinstance(schema, dict):
        schema.pop("additionalProperties", None)
        for value in schema.values():
            _open(value)
    elif isinstance(schema, list):
        for value in schema:
            _open(value)


def consumers_of(event: type[Event]) -> list[str]:
    """Consumer groups that read the event's topic."""
    return [group for service, events in CONSUMES.items() if event in events for group in groups_of(service, event)]


def groups_of(service: str, event: type[Event]) -> list[str]:
    if service != "redactor":
        return list(GROUPS[service])
    return ["redactor-interactive"] if event.topic == "redaction.requested" else ["redactor"]


def asyncapi() -> dict[str, Any]:
    """The whole event stream as an AsyncAPI 3 document."""
    _, bundle = models_json_schema(
        [(event, "serialization") for event in EVENTS], ref_template="#/components/schemas/{model}"
    )
    _open(bundle)
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    messages: dict[str, Any] = {}
    for event in EVENTS:
        name = event.__name__
        messages[name] = {
            "name": event.ce_type(),
            "title": name,
            "summary": (event.__doc__ or "").strip().splitlines()[0],
            "contentType": "application/json",
            "headers": {
                "allOf": [
                    {"$ref": "#/components/schemas/CloudEventsHeaders"},
                    {"properties": {"ce_type": {"const": event.ce_type()}}},
                ]
            },
            "payload": {"$ref": f"#/components/schemas/{name}"},
            "bindings": {"kafka": {"key": {"type": "string", "description": f"`{event.key_field}` of the data"}}},
        }
        channels[name] = {
            "address": event.topic,
            "description": f"Compacted. Only {event.emitter} emits. Partition: from `{event.partition_field}`.",
            "messages": {name: {"$ref": f"#/components/messages/{name}"}},
            "bindings": {
                "kafka": {
                    "topic": event.topic,
                    "partitions": PARTITIONS,
                    "topicConfiguration": {"cleanup.policy": ["compact"]},
                }
            },
        }
        operations[f"{event.emitter}.emit.{event.topic}"] = {
            "action": "send",
            "channel": {"$ref": f"#/channels/{name}"},
            "summary": f"{event.emitter} emits {event.topic}",
        }
        for group in consumers_of(event):
            service = group.removesuffix("-interactive")
            operations[f"{group}.on.{event.topic}"] = {
                "action": "receive",
                "channel": {"$ref": f"#/channels/{name}"},
                "summary": f"{group} reads {event.topic}; unusable messages go to {dead_topic(event.topic, service)}",
                "bindings": {"kafka": {"groupId": {"const": group}}},
            }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Consilium events",
            "version": "1",
            "description": "CloudEvents 1.0 in binary mode over Apache Kafka. Delivery is at least once, in order "
            "within a case per topic; apply a version or revision if it is greater than the one you have. A null "
            "value is a tombstone: forget the key. case.withdrawn always wins.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages, "schemas": {"CloudEventsHeaders": HEADERS, **bundle["$defs"]}},
    }


def files() -> dict[Path, str]:
    """Every generated file with its content."""
    head = "# Generated by `make docs` from shared/events/; do not edit.\n"
    made = {DOCS / "events.yaml": head + yaml.safe_dump(asyncapi(), sort_keys=False, width=110, allow_unicode=True)}
    made[DOCS / "rights.md"] = rights.table()
    for event in EVENTS:
        path = DOCS / "schemas" / f"{event.topic}.v{event.schema_version}.json"
        made[path] = json.dumps(schema_of(event), indent=2, ensure_ascii=False) + "\n"
    return made


def stale() -> list[Path]:
    """Generated files that are missing or differ from what the code says."""
    return [path for path, text in files().items() if not path.exists() or path.read_text() != text]


def main() -> int:
    if sys.argv[1:] == ["--check"]:
        old = stale()
        for path in old:
            print(f"{path.relative_to(DOCS.parent)} is out of date: run `make docs`")
        return 1 if old else 0
    for path, text in files().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
