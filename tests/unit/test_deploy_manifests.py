"""The production shapes against the code that they run: names, ports, variables, secrets, groups, rights.

The manifests are checked as files; whether they run is another matter, told in docs/operations.md.
"""

import re
from pathlib import Path
from typing import Any, cast

import jsonschema
import kubernetes_validate
import pytest
import yaml

from deploy.local import compose_secrets
from deploy.local.provision import BUCKETS, DATABASES, ProvisionSettings
from deploy.local.services import WRAPPING_KEYS
from services.redactor.handlers import Handlers
from services.redactor.settings import Settings as RedactorSettings
from shared.bus import Bus
from shared.events import Event
from shared.settings import ServiceSettings
from tests import manifests as files
from tests.manifests import ROOT, SERVICES, Json, container, environment, of_kind, pod

KUBERNETES = "1.37"
KEDA = ROOT.parent / "shared" / "schemas" / "keda"
WORKLOADS = of_kind("Deployment", "Job")
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text()


def name_of(document: Json) -> str:
    return str(document["metadata"]["name"])


def seconds(text: str) -> float:
    return float(text.removesuffix("s"))


# --- valid in themselves ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "document"),
    [pytest.param(f, d, id=f"{f}:{d['kind']}/{d['metadata']['name']}") for f, d in files.manifests()],
)
def test_every_manifest_is_valid(file: str, document: Json) -> None:
    if document["apiVersion"].startswith("keda.sh/"):
        if not KEDA.is_dir():
            pytest.skip("KEDA's schemas are not here (../shared/schemas/keda), so its objects were not validated")
        schema = yaml.safe_load((KEDA / f"{document['kind'].lower()}s.yaml").read_text())
        (version,) = (v for v in schema["spec"]["versions"] if document["apiVersion"] == f"keda.sh/{v['name']}")
        jsonschema.validate(document, refuse_unknown(version["schema"]["openAPIV3Schema"]))
    else:
        kubernetes_validate.validate(document, KUBERNETES, strict=True)


def refuse_unknown(schema: Any) -> Any:
    """The schema with unknown fields refused, as the API server does under strict field validation."""
    if isinstance(schema, list):
        return [refuse_unknown(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    strict = {key: refuse_unknown(value) for key, value in schema.items()}
    known = isinstance(schema.get("properties"), dict) and schema.get("type") == "object"
    if known and schema["properties"].keys() - {"apiVersion", "kind", "metadata"}:
        strict.setdefault("additionalProperties", False)
    return strict


def test_kustomization_lists_every_file() -> None:
    listed = yaml.safe_load((files.BASE / "kustomization.yaml").read_text())
    generators = [one for g in listed["configMapGenerator"] for one in (*g.get("envs", []), *g.get("files", []))]
    assert {*listed["resources"], *generators, "kustomization.yaml"} == {path.name for path in files.BASE.iterdir()}


# --- one name all the way down ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_has_deployments_that_run_its_image_and_probe_its_port(service: str) -> None:
    found = files.deployments(service)
    assert found, f"no Deployment for {service}"
    port = files.settings_class(service).model_fields["port"].default
    for deployment in found:
        runs = container(deployment)
        assert runs["image"] == f"consilium/{service}"
        assert runs["args"] == [f"services.{service}", "serve"]
        assert runs["ports"] == [{"name": "http", "containerPort": port}]
        probes = {name: runs[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")}
        assert probes["startup"] == probes["liveness"] == {"path": "/healthz", "port": "http"}
        assert probes["readiness"] == {"path": "/readyz", "port": "http"}
        assert deployment["spec"]["template"]["metadata"]["annotations"]["prometheus.io/port"] == str(port)


@pytest.mark.parametrize("service", SERVICES)
def test_the_deployments_of_a_service_cover_both_roles_once(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = [files.settings_from(service, environment(d), monkeypatch) for d in files.deployments(service)]
    has_routes = (ROOT / "services" / service / "routes.py").exists() or (
        ROOT / "services" / service / "routes"
    ).is_dir()
    assert sum(one.runs_api for one in settings) == (1 if has_routes else 0)
    assert any(one.runs_worker for one in settings)


def test_only_services_with_routes_have_a_door() -> None:
    doors = {name_of(service): service["spec"] for service in of_kind("Service")}
    with_routes = {s for s in SERVICES if list((ROOT / "services" / s).glob("routes*"))}
    assert doors.keys() - {"gateway"} == with_routes
    for service in with_routes:
        selected = doors[service]["selector"]
        (target,) = (d for d in WORKLOADS if d["spec"]["template"]["metadata"]["labels"].items() >= selected.items())
        (port,) = doors[service]["ports"]
        assert port["port"] == files.settings_class(service).model_fields["port"].default
        assert environment(target)["ROLE"] in ("api", "all")


@pytest.mark.parametrize("service", SERVICES)
def test_compose_runs_every_service_from_the_one_dockerfile(service: str) -> None:
    found = [definition for _, name, definition in files.compose_services() if name == service]
    assert found, f"compose does not run {service}"
    for definition in found:
        assert definition["build"] == {
            "context": ".", "dockerfile": "deploy/Dockerfile", "args": {"SERVICE": service},
        }  # fmt: skip
    assert f"\nFROM service AS {service}\n" in DOCKERFILE


def test_all_images_carry_the_version_of_the_project() -> None:
    match = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert match
    named = yaml.safe_load((files.BASE.parent / "kustomization.yaml").read_text())["images"]
    assert {one["name"]: one["newTag"] for one in named} == {
        f"consilium/{name}": match[1] for name in (*SERVICES, "provision")
    }
    ours = [d["image"] for d in files.compose()["services"].values() if d["image"].startswith("consilium/")]
    assert {image.partition(":")[2] for image in ours} == {match[1]}


@pytest.mark.parametrize("service", SERVICES)
def test_image_listens_where_the_settings_say_and_starts_without_a_shell(service: str) -> None:
    stage = DOCKERFILE.partition(f"\nFROM service AS {service}\n")[2].partition("\nFROM ")[0]
    port = files.settings_class(service).model_fields["port"].default
    assert f"{service.upper()}_HOST=0.0.0.0 {service.upper()}_PORT={port} " in stage
    assert f"HEALTH_URL=http://127.0.0.1:{port}/healthz\n" in stage
    assert f"EXPOSE {port}\n" in stage
    assert f'CMD ["services.{service}", "serve"]\n' in stage
    set_there = {word.partition("=")[0] for word in re.findall(rf"\b{service.upper()}_[A-Z_]+=", stage)}
    assert set_there <= files.variables_of(service)


def test_images_run_without_root_and_need_no_frontend_image() -> None:
    assert "syntax=" not in DOCKERFILE
    assert '\nUSER 10001:10001\nENTRYPOINT ["python", "-m"]\n' in DOCKERFILE
    assert not re.search(r"^(ENTRYPOINT|CMD) [^\[]", DOCKERFILE, re.MULTILINE)


# --- variables, secrets, groups --------------------------------------------------------------------------------------


@pytest.mark.parametrize("service", SERVICES)
def test_every_variable_is_one_that_the_service_reads(service: str) -> None:
    given = {name for d in files.deployments(service) for name in environment(d)}
    given |= {name for _, s, d in files.compose_services() if s == service for name in d["environment"]}
    assert given - files.UNPREFIXED <= files.variables_of(service)


@pytest.mark.parametrize("service", SERVICES)
def test_the_variables_make_valid_settings(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for deployment in files.deployments(service):
        settings = files.settings_from(service, environment(deployment), monkeypatch)
        assert settings.kafka_bootstrap_servers == files.generated("platform")["KAFKA_BOOTSTRAP_SERVERS"]
        assert settings.kafka_username == service
        assert settings.kafka_security_protocol != "PLAINTEXT"


def test_variables_of_the_provision_job_are_those_it_reads() -> None:
    known = {name.upper() for name in ProvisionSettings.model_fields}
    job = environment(of_kind("Job")[0])
    assert {name for name in job if not name.startswith(("TOPIC_", "JWKS_", "LOG_"))} <= known
    assert set(files.compose()["services"]["provision"]["environment"]) <= known


@pytest.mark.parametrize(("name", "service", "definition"), list(files.compose_services()))
def test_a_container_gets_its_own_secrets_and_no_others(name: str, service: str, definition: Json) -> None:
    keys = {WRAPPING_KEYS[service]} if service in WRAPPING_KEYS else set()
    if service == "identity":
        keys.add("signing_key")
    given = set(definition["secrets"])
    assert keys <= given
    assert {secret.upper() for secret in given - keys} <= files.variables_of(service)
    assert (f"{service}_mongo_uri" in given) == bool(DATABASES[service])
    for key in keys:
        assert f"/run/secrets/{key}" in definition["environment"].values()


def test_the_secrets_command_makes_what_compose_names(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    made = compose_secrets.make(folder)
    named = files.compose()["secrets"]
    assert named.keys() == {path.name for path in made}
    assert all(entry["file"].endswith(f"/compose-secrets}}/{name}") for name, entry in named.items())
    before = {path.name: path.read_bytes() for path in made}
    assert {path.name: path.read_bytes() for path in compose_secrets.make(folder)} == before
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in made} == {0o444}


@pytest.mark.parametrize("workload", WORKLOADS, ids=name_of)
def test_no_workload_reads_another_ones_secret(workload: Json) -> None:
    service = workload["metadata"]["labels"]["app.kubernetes.io/name"]
    mounted = [v["secret"]["secretName"] for v in pod(workload)["volumes"] if "secret" in v]
    assert mounted == ([] if service == "gateway" else [service])
    assert not [e for e in container(workload)["env"] if "secretKeyRef" in e.get("valueFrom", {})]


def test_no_file_contains_a_secret() -> None:
    assert not of_kind("Secret")
    written = [p for p in (ROOT / "deploy").rglob("*") if p.is_file() and p.suffix in (".yaml", ".env", ".properties")]
    for path in (ROOT / "docker-compose.yml", ROOT / "deploy" / "Dockerfile", files.BASE / "Caddyfile", *written):
        for line in path.read_text().splitlines():
            found = re.search(r'(?i)(password|secret_key|secret|mongo_uri|token)["\s]*[=:]\s*"?([^\s"]+)', line)
            if found and not line.strip().startswith("#"):
                value = found[2]
                allowed = ("$", "{", "[", "/run/secrets/", "redactor_kafka_password", "password,", "false")
                assert value.startswith(allowed), f"{path.name}: {line.strip()}"


@pytest.mark.parametrize("scaled", of_kind("ScaledObject"), ids=name_of)
def test_scaling_watches_the_group_that_its_deployment_consumes_in(
    scaled: Json, monkeypatch: pytest.MonkeyPatch
) -> None:
    (target,) = (d for d in WORKLOADS if name_of(d) == scaled["spec"]["scaleTargetRef"]["name"])
    assert "replicas" not in target["spec"], "KEDA and the manifest would fight over the number"
    service = target["metadata"]["labels"]["app.kubernetes.io/name"]
    settings = files.settings_from(service, environment(target), monkeypatch)
    assert isinstance(settings, RedactorSettings)
    consumed = _Subscriptions()
    handlers = object.__new__(Handlers)
    handlers.listen(cast(Bus, consumed), batch=settings.runs_batch, interactive=settings.runs_interactive, workers=1)
    watched = {trigger["metadata"]["topic"]: trigger["metadata"] for trigger in scaled["spec"]["triggers"]}
    assert {(topic, metadata["consumerGroup"]) for topic, metadata in watched.items()} == consumed.seen
    assert {m["bootstrapServersFromEnv"] for m in watched.values()} <= environment(target).keys()
    protocol = generated_protocol()
    assert {m["tls"] for m in watched.values()} == {"enable" if protocol == "SASL_SSL" else "disable"}


class _Subscriptions:
    """Takes the place of the bus and notes (topic, group)."""

    def __init__(self) -> None:
        self.seen: set[tuple[str, str]] = set()

    def on(self, event_type: type[Event], handler: object, *, group: str, workers: int = 1) -> None:
        self.seen.add((event_type.topic, group))


def generated_protocol() -> str:
    return files.generated("platform")["KAFKA_SECURITY_PROTOCOL"]


# --- least power -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workload", WORKLOADS, ids=name_of)
def test_every_pod_runs_without_powers(workload: Json) -> None:
    security, runs = pod(workload)["securityContext"], container(workload)["securityContext"]
    assert security["runAsNonRoot"] is True
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert runs["readOnlyRootFilesystem"] is True
    assert runs["allowPrivilegeEscalation"] is False
    assert runs["capabilities"]["drop"] == ["ALL"]
    assert pod(workload)["automountServiceAccountToken"] is False
    # Kubernetes would otherwise set INGEST_PORT=tcp://..., which is a setting of ours.
    assert pod(workload)["enableServiceLinks"] is False
    assert container(workload)["resources"]["limits"]["memory"]


@pytest.mark.parametrize("workload", of_kind("Deployment"), ids=name_of)
def test_a_pod_gets_more_time_to_end_than_its_service_takes(workload: Json, monkeypatch: pytest.MonkeyPatch) -> None:
    service = workload["metadata"]["labels"]["app.kubernetes.io/name"]
    if service == "gateway":
        return
    before = container(workload).get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    settings = files.settings_from(service, environment(workload), monkeypatch)
    assert pod(workload)["terminationGracePeriodSeconds"] > before + time_to_end_s(settings)


def time_to_end_s(settings: ServiceSettings) -> float:
    """First open requests end, then handlers in work; each may take the whole grace time."""
    return settings.shutdown_grace_s * (settings.runs_api + settings.runs_worker)


@pytest.mark.parametrize(("name", "service", "definition"), list(files.compose_services()))
def test_a_container_is_shut_in(name: str, service: str, definition: Json, monkeypatch: pytest.MonkeyPatch) -> None:
    assert definition["read_only"] is True
    assert definition["cap_drop"] == ["ALL"]
    assert definition["networks"] == ["inside"]
    assert definition["mem_limit"]
    assert "ports" not in definition
    variables = {key: str(value) for key, value in definition["environment"].items()}
    settings = files.settings_from(service, variables, monkeypatch)
    assert seconds(definition["stop_grace_period"]) > time_to_end_s(settings)


def bytes_of(limit: str) -> int:
    """A memory limit as Compose (3g) or Kubernetes (3Gi, 768Mi) writes it, in bytes."""
    return int(limit.lower().removesuffix("i")[:-1]) * {"m": 2**20, "g": 2**30}[limit.lower().removesuffix("i")[-1]]


def redactors() -> dict[str, tuple[int, int]]:
    """Where a redactor runs -> (its workers, its memory limit in bytes)."""
    found = {}
    for deployment in files.deployments("redactor"):
        limit = container(deployment)["resources"]["limits"]["memory"]
        found[f"k8s {name_of(deployment)}"] = (int(environment(deployment)["REDACTOR_WORKERS"]), bytes_of(limit))
    for name, service, definition in files.compose_services():
        if service == "redactor":
            workers = int(definition["environment"]["REDACTOR_WORKERS"])
            found[f"compose {name}"] = (workers, bytes_of(definition["mem_limit"]))
    return found


def test_every_redactor_has_the_memory_that_the_handbook_asks_for() -> None:
    said = (ROOT / "docs" / "operations.md").read_text()
    rule = re.search(r"and ([\d.]+) GB for each beside ([\d.]+) GB for itself", said)
    assert rule, "the handbook says how much memory a redactor needs"
    each, itself = (float(number) * 1e9 for number in rule.groups())
    assert len(redactors()) == 4
    short = {where: limit for where, (workers, limit) in redactors().items() if workers * each + itself > limit}
    assert not short


def test_compose_opens_one_port_and_only_on_this_machine() -> None:
    stack = files.compose()
    assert {name: d["ports"] for name, d in stack["services"].items() if "ports" in d} == {
        "gateway": ["127.0.0.1:${GATEWAY_PORT:-8080}:8080"]
    }
    assert stack["networks"]["inside"] == {"internal": True}


def allowed_outward(service: str) -> set[str]:
    """The names of the policies by which pods of the service may open connections."""
    found = set()
    for policy in of_kind("NetworkPolicy"):
        selector = policy["spec"]["podSelector"]
        labels = selector.get("matchLabels", {}).get("app.kubernetes.io/name")
        among = [e["values"] for e in selector.get("matchExpressions", []) if e["key"] == "app.kubernetes.io/name"]
        if policy["spec"].get("egress") and (selector == {} or labels == service or (among and service in among[0])):
            found.add(name_of(policy))
    return found


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_reaches_only_the_parts_that_it_has_rights_in(service: str) -> None:
    expected = {"names", "kafka"}
    if DATABASES[service]:
        expected.add("mongodb")
    if any(service in users for users in BUCKETS.values()):
        expected.add("s3")
    if list((ROOT / "services" / service).glob("routes*")) and service != "identity":
        expected.add("public-keys")
    if "SMTP_HOST" in " ".join(files.variables_of(service)):
        expected.add("mail")
    assert allowed_outward(service) == expected


def test_everything_else_is_denied() -> None:
    (policy,) = (p["spec"] for p in of_kind("NetworkPolicy") if name_of(p) == "default-deny")
    assert policy == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_the_outside_reaches_the_gateway_alone() -> None:
    (ingress,) = of_kind("Ingress")
    paths = [path for rule in ingress["spec"]["rules"] for path in rule["http"]["paths"]]
    assert {path["backend"]["service"]["name"] for path in paths} == {"gateway"}
    with_routes = [s for s in SERVICES if list((ROOT / "services" / s).glob("routes*"))]
    assert {path["path"] for path in paths} == {"/", *(f"/api/{service}" for service in with_routes)}


@pytest.mark.parametrize("workload", of_kind("Deployment"), ids=name_of)
def test_every_deployment_has_a_disruption_budget(workload: Json) -> None:
    labels = workload["spec"]["selector"]["matchLabels"]
    assert [b for b in of_kind("PodDisruptionBudget") if b["spec"]["selector"]["matchLabels"] == labels]


def test_the_handbook_lists_the_files_of_every_secret() -> None:
    text = (ROOT / "docs" / "operations.md").read_text().partition("| Secret | files |\n")[2].partition("\n\n")[0]
    rows = [re.findall(r"`(\w+)`", line) for line in text.splitlines()[1:]]
    stack = files.compose()["services"]
    assert {name: set(listed) for name, *listed in rows} == {
        name: set(stack[name]["secrets"]) for name in (*SERVICES, "provision")
    }


def test_every_secret_that_the_handbook_names_is_read_by_somebody() -> None:
    said = (ROOT / "docs" / "operations.md").read_text()
    named = set(re.findall(r"`(\w+_(?:password|token|secret|uri|(?:secret|wrapping|signing|annuaire)_key))`", said))
    read = {name.lower() for service in SERVICES for name in files.variables_of(service)}
    assert not named - read - set(files.compose()["secrets"])
    assert "identity_smtp_password" in named
