"""Reads the deployment files as data, for the tests that compare them with the code."""

import importlib
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from shared.settings import ServiceSettings

ROOT = Path(__file__).parents[1]
BASE = ROOT / "deploy" / "k8s" / "base"
SERVICES = sorted(path.parent.name for path in (ROOT / "services").glob("*/__init__.py"))
# Variables that carry no service's prefix, and who reads them.
UNPREFIXED = {"ROLE", "FORWARDED_ALLOW_IPS"}  # shared.settings, uvicorn

Json = dict[str, Any]


@cache
def manifests() -> list[tuple[str, Json]]:
    """(file name, document) of every Kubernetes object of the base; kustomization.yaml itself is none."""
    return [
        (path.name, document)
        for path in sorted(BASE.glob("*.yaml"))
        if path.name != "kustomization.yaml"
        for document in yaml.safe_load_all(path.read_text())
    ]


def of_kind(*kinds: str) -> list[Json]:
    return [document for _, document in manifests() if document["kind"] in kinds]


def deployments(service: str) -> list[Json]:
    return [one for one in of_kind("Deployment") if one["metadata"]["labels"]["app.kubernetes.io/name"] == service]


def pod(workload: Json) -> Json:
    found: Json = workload["spec"]["template"]["spec"]
    return found


def container(workload: Json) -> Json:
    (found,) = pod(workload)["containers"]
    assert isinstance(found, dict)
    return found


@cache
def compose() -> Json:
    found: Json = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return found


def compose_services() -> Iterator[tuple[str, str, Json]]:
    """(name, service folder, definition) of every container that runs one of our services."""
    for name, definition in compose()["services"].items():
        service = definition["image"].removeprefix("consilium/").partition(":")[0]
        if service in SERVICES:
            yield name, service, definition


def generated(name: str) -> dict[str, str]:
    """The data of a ConfigMap that kustomization.yaml generates from `NAME=value` lines."""
    kustomization = yaml.safe_load((BASE / "kustomization.yaml").read_text())
    (entry,) = (one for one in kustomization["configMapGenerator"] if one["name"] == name)
    lines = [line for file in entry["envs"] for line in (BASE / file).read_text().splitlines()]
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def environment(workload: Json) -> dict[str, str]:
    """Every variable that the container gets, ConfigMaps resolved."""
    found: dict[str, str] = {}
    for source in container(workload).get("envFrom", []):
        prefix = source.get("prefix", "")
        found |= {prefix + key: value for key, value in generated(source["configMapRef"]["name"]).items()}
    for variable in container(workload).get("env", []):
        if "value" in variable:
            found[variable["name"]] = variable["value"]
        else:
            reference = variable["valueFrom"]["configMapKeyRef"]
            found[variable["name"]] = generated(reference["name"])[reference["key"]]
    return found


def settings_class(service: str) -> type[ServiceSettings]:
    found: type[ServiceSettings] = importlib.import_module(f"services.{service}.settings").Settings
    assert issubclass(found, ServiceSettings)
    return found


def variables_of(service: str) -> set[str]:
    """Every variable that the service's Settings read."""
    return {f"{service}_{name}".upper() for name in settings_class(service).model_fields if name != "role"}


def settings_from(service: str, variables: dict[str, str], monkeypatch: Any) -> ServiceSettings:
    """The service's Settings as a container with exactly these variables would have them."""
    for name in list(os.environ):
        if name.startswith(f"{service.upper()}_") or name == "ROLE":
            monkeypatch.delenv(name)
    monkeypatch.setenv("SECRETS_DIR", "/nonexistent")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return settings_class(service)()
