"""The review page: complete, closed to others, free of any address, and readable in both languages."""

import html
import io
import re
import stat
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import typer

from services.redactor.command import page
from services.redactor.command.previews import answer
from services.redactor.command.review import Review
from services.redactor.domain import Reason
from shared.events import RegionKind
from tests import pictures

EVIL = 'x"><img src=http://evil.example/a onerror=alert(1)> <script>alert(2)</script> & co'
PIXELS = Path(page.__file__).parents[1] / "pixels"
SHOT = pictures.plain_jpeg(64, 48)


def region(kind: str = "text", score: float = 0.5) -> dict[str, Any]:
    return {"kind": kind, "box": [8, 8, 24, 16], "score": score, "detector": "det-1"}


def entry(name: str = "ward/a.png", **changes: Any) -> dict[str, Any]:
    whole = {
        "file": name, "frame": 0, "output": "ward/a.jpg", "width": 64, "height": 48, "seconds": 0.5,
        "regions": [region()], "residual": [], "proposals": [], "stages": {"decode": 0.1},
    }  # fmt: skip
    return whole | changes


def written(place: Path, *batch: list[dict[str, Any]], before: list[bytes] | None = None, inline: int = 10**7) -> str:
    review = Review.at(place)
    review.inline_bytes = inline
    for index in reversed(range(len(batch))):  # pictures are done in any order
        failed = "error" in batch[index][0]
        shots = [SHOT] * len(batch[index])
        review.add(
            index, batch[index], [] if failed else (shots if before is None else before), [] if failed else shots
        )
    review.finish(len(batch))
    review.close()
    return place.read_text()


class Seen(HTMLParser):
    """Every tag with its attributes, and whether all that must be closed is."""

    VOID = frozenset({"meta", "img", "image", "rect", "use"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open
        assert self.open.pop() == tag


def test_everything_of_the_report_is_on_the_page(tmp_path: Path) -> None:
    full = entry(
        residual=[region("face", 0.31)], proposals=[region("tattoo", 0.44)], notes=["first_frame_of:12", "odd"]
    )
    failed = {"file": "letter.jpg", "error": "not_a_picture", "detail": ""}
    text = written(tmp_path / "r.html", [full], [failed])
    for word in (
        "ward/a.png",
        "0.31",
        "0.44",
        "det-1",
        "8, 8, 24, 16",
        "tatouage",
        "Only the first of the file&#x27;s 12 frames",
        "Remark of the redactor: odd",
    ):
        assert word in text, word
    assert text.rindex("ward/a.png") < text.rindex("letter.jpg"), "the order of the batch, not of the work"
    assert "this is not a picture" in text
    assert 'data-states="residual proposals"' in text
    assert 'data-states="error"' in text
    for filter_of_pictures in ("residual</span> (1)", "proposals</span> (1)", "failed</span> (1)"):
        assert filter_of_pictures in text
    seen = Seen(text)
    assert not seen.open, "every element is closed"
    assert [attributes["data-box"] for tag, attributes in seen.tags if tag == "g"] == ["1", "2", "3"]


def test_the_page_asks_nobody_for_anything_and_runs_only_its_own_script(tmp_path: Path) -> None:
    text = written(tmp_path / "r.html", [entry(EVIL, output=EVIL)], [{"file": EVIL, "error": EVIL, "detail": EVIL}])
    seen = Seen(text)
    assert [tag for tag, _ in seen.tags].count("script") == 1
    for tag, attributes in seen.tags:
        assert not [name for name in attributes if name.startswith("on") or name == "style"], tag
        for name in ("src", "href"):
            value = attributes.get(name) or "#"
            assert value.startswith(("#", "data:image/jpeg;base64,")), value
    policy = next(a["content"] for tag, a in seen.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert "http:" not in policy


def test_only_the_owner_may_read_it_and_its_first_words_warn(tmp_path: Path) -> None:
    place = tmp_path / "r.html"
    place.write_text("old")
    place.chmod(0o644)
    text = written(place, [entry()])
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    body = text[text.index("<body>") :]
    assert body.index("Ne partagez pas") < body.index("Do not share") < body.index("<header>")
    assert [path.name for path in tmp_path.iterdir()] == ["r.html"]


def test_pictures_beyond_the_pages_size_lie_in_a_closed_folder_beside_it(tmp_path: Path) -> None:
    stale = tmp_path / "r_files" / "00007-0000-before.jpg"
    stale.parent.mkdir()
    stale.write_bytes(b"an original of an earlier run")
    text = written(tmp_path / "r.html", [entry()], [entry("b")], inline=2 * len(SHOT))
    folder = tmp_path / "r_files"
    assert sorted(path.name for path in folder.iterdir()) == ["00000-0000-after.jpg", "00000-0000-before.jpg"]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    assert text.count("data:image/jpeg") == 2
    sources = [attributes["src"] for tag, attributes in Seen(text).tags if tag == "img"]
    assert sorted(set(map(str, sources))) == ["r_files/00000-0000-after.jpg", "r_files/00000-0000-before.jpg"]
    assert 'loading="lazy"' in text


def test_an_unfinished_page_leaves_no_original_behind(tmp_path: Path) -> None:
    review = Review.at(tmp_path / "r.html")
    review.inline_bytes = 0
    review.add(0, [entry()], [SHOT], [SHOT])
    assert list((tmp_path / "r_files").iterdir())
    review.close()
    assert not list(tmp_path.iterdir())


def test_a_frame_without_a_preview_says_so(tmp_path: Path) -> None:
    text = written(tmp_path / "r.html", [entry(), entry(frame=1)], before=[SHOT])
    assert text.count("no preview") == 2  # before and found of the second frame
    assert 'id="p1f1"' in text


def test_each_word_is_said_in_french_and_in_english(tmp_path: Path) -> None:
    assert page.REASONS.keys() == {str(reason) for reason in Reason}
    assert page.KINDS.keys() == {str(kind) for kind in RegionKind}
    text = written(tmp_path / "r.html", [entry(proposals=[region()])], [{"file": "a", "error": "truncated"}])
    spans = [attributes.get("lang") for tag, attributes in Seen(text).tags if tag == "span" and "lang" in attributes]
    assert spans.count("fr") == spans.count("en") > 20
    assert re.search(r"html\[lang=\"en\"\] span\[lang=\"fr\"\]", text)


def read_in(language: str, text: str) -> str:
    """The words of the page's body that a reader of that language sees."""
    other = {"fr": "en", "en": "fr"}[language]
    body = re.sub(rf'<span lang="{other}">.*?</span>|<(script|style)>.*?</(script|style)>', "", text, flags=re.S)
    return html.unescape(re.sub(r"<[^>]+>", "", body[body.index("<body>") :]))


def test_numbers_are_written_as_each_language_writes_them(tmp_path: Path) -> None:
    shown = entry(
        width=12_000, seconds=1234.5, regions=[region(score=0.25)], stages={"decode": 1.25, "look_again": 0.5, "odd": 2}
    )
    text = written(tmp_path / "r.html", [shown])
    french, english = read_in("fr", text), read_in("en", text)
    assert not re.search(r"\d\.\d", french)
    assert not re.search(r"\d,\d", english.replace("12,000 ×", ""))
    for words in (
        "12\u202f000 × 48 px · 1234,5\xa0s",
        "décodage 1,25\xa0s · relecture 0,50\xa0s · odd 2,00\xa0s",
        "0,25",
    ):
        assert words in french, words
    for words in ("12,000 × 48 px · 1234.5\xa0s", "decoding 1.25\xa0s · second look 0.50\xa0s · odd 2.00\xa0s", "0.25"):
        assert words in english, words
    assert re.search(r"\b1 zone\b", french)
    assert re.search(r"\b1 region\b", english)


def test_french_signs_of_two_parts_do_not_part_from_their_word(tmp_path: Path) -> None:
    text = written(tmp_path / "r.html", [entry()], [{"file": "a", "error": "truncated"}])
    french = "".join(re.findall(r'<span lang="fr">(.*?)</span>', text, flags=re.S))
    assert not re.search(r"[^\xa0\u202f\s][:;!?](\s|$)| [:;!?]", re.sub(r"<[^>]+>", "", french))
    assert "'" not in french


def test_every_stage_of_the_clock_has_words() -> None:
    told = re.findall(r'lap\("(\w+)"\)', "".join(path.read_text() for path in PIXELS.glob("*.py")))
    assert set(told) == page.STAGES.keys()


def test_a_place_that_cannot_be_written_is_refused_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "r_files").write_text("")
    with pytest.raises(typer.BadParameter, match="is a file, not a folder"):
        Review.at(tmp_path / "r.html")
    (tmp_path / "folder").mkdir()
    with pytest.raises(typer.BadParameter, match="is a folder, not a file"):
        Review.at(tmp_path / "folder")
    assert not list(tmp_path.rglob("*.part"))


def asked(*pictures_in: bytes) -> list[list[bytes]]:
    """What the previewing process answers."""
    told = b"".join(len(data).to_bytes(8, "big") + data for data in pictures_in)
    said = io.BytesIO()
    answer(io.BytesIO(told), said, 10**7)
    said.seek(0)
    answers = []
    for _ in pictures_in:
        shots = []
        while length := int.from_bytes(said.read(8), "big"):
            shots.append(said.read(length))
        answers.append(shots)
    assert not said.read()
    return answers


def test_originals_are_shown_upright_and_small_and_what_is_no_picture_is_not() -> None:
    from PIL import Image

    letter, turned, large = asked(pictures.text_named_jpg(), pictures.oriented_jpeg(6), pictures.plain_jpeg(3000, 1000))
    assert letter == []
    assert Image.open(io.BytesIO(turned[0])).size == (80, 160)
    assert Image.open(io.BytesIO(large[0])).size == (1280, 427)
