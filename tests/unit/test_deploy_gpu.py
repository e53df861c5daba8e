"""The graphics-card variant of the redactor's Deployment: rendered, and compared with the code that it sets up."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.redactor.inference import EngineKind
from services.redactor.settings import Settings
from tests import manifests as files
from tests.manifests import container, pod

K8S = files.BASE.parent
KUBECTL = shutil.which("kubectl")


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Every object of an installation that has chosen the component, as its kustomization says it is chosen."""
    if KUBECTL is None:
        pytest.skip("kubectl, which renders the manifests, is not installed")
    copy = tmp_path_factory.mktemp("installation") / "k8s"
    shutil.copytree(K8S, copy)
    place = copy / "kustomization.yaml"
    place.write_text(place.read_text().replace("# components: [gpu]", "components: [gpu]"))
    done = subprocess.run([KUBECTL, "kustomize", str(copy)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def named(documents: list[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    (found,) = (each for each in documents if each["kind"] == kind and each["metadata"]["name"] == name)
    return found


def test_uploads_get_a_card_and_an_image_for_it_and_the_interactive_redactor_does_not(
    rendered: list[dict[str, Any]],
) -> None:
    batch, interactive = (named(rendered, "Deployment", name) for name in ("redactor", "redactor-interactive"))
    assert container(batch)["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert container(batch)["image"].startswith("consilium/redactor-gpu:")
    assert [each["key"] for each in pod(batch)["tolerations"]] == ["nvidia.com/gpu"]
    assert "nvidia.com/gpu" not in container(interactive)["resources"]["limits"]
    assert container(interactive)["image"].startswith("consilium/redactor:")


def test_what_the_variant_sets_is_what_the_code_reads(
    rendered: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = {
        each["name"]: each["value"]
        for each in container(named(rendered, "Deployment", "redactor"))["env"]
        if "value" in each
    }
    settings = files.settings_from("redactor", environment, monkeypatch)
    assert isinstance(settings, Settings)
    assert settings.engine is EngineKind.CUDA
    assert settings.sharing is not None
    assert (settings.sharing.most, settings.sharing.wait_s, settings.sharing.grid_px) == (8, 0.01, 192)
    assert settings.group == "redactor"


def test_the_rest_of_the_redactor_is_as_without_a_card(rendered: list[dict[str, Any]]) -> None:
    (plain,) = (each for each in files.deployments("redactor") if each["metadata"]["name"] == "redactor")
    ours = container(named(rendered, "Deployment", "redactor"))
    for part in ("args", "securityContext", "startupProbe", "livenessProbe", "readinessProbe", "volumeMounts"):
        assert ours[part] == container(plain)[part]
    assert named(rendered, "ScaledObject", "redactor")["spec"]["maxReplicaCount"] < 12


def test_the_image_for_cards_holds_the_same_version_of_onnxruntime() -> None:
    dockerfile = (Path(K8S).parent / "Dockerfile").read_text()
    assert "s/^onnxruntime==//p' constraints.txt" in dockerfile
    assert "onnxruntime-gpu[cuda,cudnn]==$version" in dockerfile
