"""Words, fonts and ink for `tests.scenes.text`.

Print: Open Sans, Roboto Mono, PT Serif, and Aileron, which Pillow carries. Handwriting: the script fonts Caveat, Kalam
and Zeyada, each word bent and swayed anew: a stand-in for hands, drawn by a few, not the hand of a ward.
All come from pinned packages (SIL Open Font License 1.1; Aileron CC0), so that a fresh machine draws the same.
Every name, number and date is invented.
"""

from collections.abc import Callable
from importlib.resources import as_file, files

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

Alpha = npt.NDArray[np.float32]
"""Height x width, 0 where the ground shows, 1 where ink lies."""

PRINT = (
    ("fontpkg_open_sans", "OpenSans[wdth,wght].ttf"),
    ("fontpkg_roboto_mono", "RobotoMono[wght].ttf"),
    ("fontpkg_pt_serif", "PT_Serif-Web-Regular.ttf"),
    ("fontpkg_pt_serif", "PT_Serif-Web-Bold.ttf"),
    ("", "Aileron"),
)
HAND = (
    ("fontpkg_caveat", "Caveat[wght].ttf"),
    ("fontpkg_kalam", "Kalam-Regular.ttf"),
    ("fontpkg_zeyada", "Zeyada.ttf"),
)

FAMILY = ("Marchetti", "Oyelaran", "Lindqvist", "Ferreira", "Novakova", "Tanaka", "Haddad", "Brunner", "O'Rourke", "Wu")
GIVEN = ("Jeanne", "Tomas", "Adaeze", "Ingrid", "Paulo", "Mirela", "Kenji", "Samira", "Ulrich", "Niamh", "Li", "Bo")
PLACES = ("St. Eligius Hospital", "CHU Valmont", "Klinik Rosental", "Ward 4B", "City Imaging Centre", "Spital Nord")
TITLES = ("Dr", "Prof.", "Ref.", "Op.", "Tech")
MARKS = ("L", "R", "LT", "RT", "PA", "AP", "LAT")
INITIALS = ("JM", "KB", "TS", "AD", "PW", "HN")

Words = Callable[[np.random.Generator], str]


def _pick(rng: np.random.Generator, among: tuple[str, ...]) -> str:
    return among[int(rng.integers(len(among)))]


def name(rng: np.random.Generator) -> str:
    """A family and a given name in one of the ways that machines and people write them."""
    family, given = _pick(rng, FAMILY), _pick(rng, GIVEN)
    ways = (f"{family} {given}", f"{family.upper()}, {given.upper()}", f"{family.upper()}^{given.upper()}")
    return _pick(rng, (*ways, f"{given} {family}", f"{family}, {given[0]}."))


def date(rng: np.random.Generator) -> str:
    """A date, with or without what it stands for."""
    day, month, year = int(rng.integers(1, 29)), int(rng.integers(1, 13)), int(rng.integers(1928, 2025))
    ways = (f"{day:02}/{month:02}/{year}", f"{year}-{month:02}-{day:02}", f"*{day:02}.{month:02}.{year}")
    return _pick(rng, (*ways, f"DOB {day:02}/{month:02}/{year}"))


def number(rng: np.random.Generator) -> str:
    """A patient's or an examination's number."""
    digits = "".join(str(digit) for digit in rng.integers(0, 10, int(rng.integers(5, 10))))
    return _pick(rng, (digits, f"ID {digits}", f"MRN: {digits}", f"Acc. {digits}", f"#{digits[:6]}"))


def place(rng: np.random.Generator) -> str:
    """A hospital, a ward or a physician."""
    return _pick(rng, (_pick(rng, PLACES), f"{_pick(rng, TITLES)} {_pick(rng, FAMILY)}"))


def mark(rng: np.random.Generator) -> str:
    """A side or a projection."""
    return _pick(rng, MARKS)


def initials(rng: np.random.Generator) -> str:
    """A technologist's initials, as they stand beside the side mark."""
    return _pick(rng, INITIALS)


LETTERS = "abcdefghijklmnopqrstuvwxyzéèàüößçñ"


def line(rng: np.random.Generator) -> str:
    """A line of a header, a table or a letter: one of `WORDS`, a measure, or words of letters at random."""
    kind = rng.random()
    if kind < 0.35:
        return WORDS[_pick(rng, tuple(WORDS))](rng)
    if kind < 0.55:
        named = _pick(rng, ("HR", "PR", "QRS", "QT/QTc", "FR", "MI", "TIS", "SV", "V1", "aVR", "II", "Gain"))
        unit = _pick(rng, ("", " ms", " bpm", " mm/s", " mm/mV", " Hz", " cm", " dB", " kV", " %"))
        return f"{named} {int(rng.integers(1, 999))}{unit}"
    words = ["".join(_pick(rng, tuple(LETTERS)) for _ in range(int(rng.integers(1, 11)))) for _ in range(8)]
    text = " ".join(words[: int(rng.integers(1, 9))])
    return (text, text.upper(), text.capitalize())[int(rng.integers(3))]


WORDS: dict[str, Words] = {"name": name, "date": date, "number": number, "place": place}


def print_font(rng: np.random.Generator) -> tuple[str, str]:
    """One of the printed faces."""
    return PRINT[int(rng.integers(len(PRINT)))]


def hand_font(rng: np.random.Generator) -> tuple[str, str]:
    """One of the script faces."""
    return HAND[int(rng.integers(len(HAND)))]


def ink(text: str, face: tuple[str, str], height: int) -> Alpha:
    """The text as an alpha mask, cut to its ink. `height`: the font's size in pixels (a capital is about 0.7 of it)."""
    font = _font(face, height)
    left, top, right, bottom = (int(edge) for edge in font.getbbox(text))
    sheet = Image.new("L", (right - left + 8, bottom - top + 8), 0)
    ImageDraw.Draw(sheet).text((4 - left, 4 - top), text, font=font, fill=255)
    return _cut((np.asarray(sheet) / 255).astype(np.float32))


def swayed(alpha: Alpha, rng: np.random.Generator) -> Alpha:
    """Handwriting out of a script font: the line rises, falls and leans, letters grow and shrink, ink thins out."""
    margin = max(4, alpha.shape[0] // 3)
    alpha = np.pad(alpha, margin)
    height, width = alpha.shape
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    waves = rng.normal(0, 1, 4)
    period = height * float(rng.uniform(2.0, 5.0))
    phase = 2 * np.pi * columns / period
    up = height * 0.05 * (waves[0] * np.sin(phase + waves[1]) + 0.6 * waves[2] * np.sin(2.3 * phase))
    lean = float(rng.uniform(-0.25, 0.25)) * (rows - height / 2)
    bent = cv2.remap(alpha, columns + lean, (rows + up).astype(np.float32), cv2.INTER_LINEAR)
    pressure = 0.85 + 0.15 * np.sin(phase * 1.7 + waves[3])
    return _cut((np.asarray(bent, np.float32) * pressure).astype(np.float32))


def slanted(alpha: Alpha, degrees: float) -> Alpha:
    """The mask turned counter-clockwise about its middle, on a sheet that holds all of it. Quarter turns are exact."""
    if degrees % 90 == 0:
        return np.ascontiguousarray(np.rot90(alpha, round(degrees / 90)))
    height, width = alpha.shape
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    cosine, sine = abs(turn[0, 0]), abs(turn[0, 1])
    size = int(np.ceil(width * cosine + height * sine)) + 2, int(np.ceil(width * sine + height * cosine)) + 2
    turn[:, 2] += (size[0] - width) / 2, (size[1] - height) / 2
    return np.asarray(cv2.warpAffine(alpha, turn, size, flags=cv2.INTER_LINEAR), np.float32)


def _font(face: tuple[str, str], height: int) -> ImageFont.FreeTypeFont:
    package, file = face
    if not package:
        font = ImageFont.load_default(height)
        if not isinstance(font, ImageFont.FreeTypeFont):
            raise TypeError("Pillow was built without FreeType")
        return font
    with as_file(files(package) / "files" / file) as path:
        return ImageFont.truetype(str(path), height)


def _cut(alpha: Alpha) -> Alpha:
    rows, columns = np.where(alpha > 0.1)
    if not rows.size:
        return alpha
    return np.ascontiguousarray(alpha[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1])
