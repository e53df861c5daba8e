"""The words and marks of the review page, French and English. Pure: entries of the report in, HTML out.

No style or script attribute is used, so that the page's own policy can name its one style and one script by hash and
refuse everything else, were a file name ever to get through unescaped.
"""

import base64
import hashlib
from collections import Counter
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

from shared.notes import in_words

_HERE = Path(__file__).parent
STYLE = (_HERE / "page.css").read_text()
SCRIPT = (_HERE / "page.js").read_text()

KINDS = {
    "face": ("visage", "face"),
    "text": ("texte", "text"),
    "code": ("code", "code"),
    "tattoo": ("tatouage", "tattoo"),
    "manual": ("à la main", "by hand"),
}
REASONS = {
    "not_a_picture": ("ce n’est pas une image", "this is not a picture"),
    "unsupported_format": ("format non pris en charge", "a format that is not supported"),
    "truncated": ("le fichier est incomplet", "the file is incomplete"),
    "too_many_pixels": ("image trop grande", "the picture is too large"),
    "too_many_frames": ("trop d’images dans le fichier", "too many frames in the file"),
    "decoder_failed": ("le fichier est abîmé", "the file is damaged"),
    "time_limit": ("le traitement a dépassé sa durée", "it took longer than allowed"),
    "memory_limit": ("le traitement a dépassé sa mémoire", "it needed more memory than allowed"),
    "original_missing": ("le fichier n’a pas pu être lu", "the file could not be read"),
}
STATES = {
    "error": ("en erreur", "failed"),
    "residual": ("résidus", "residual"),
    "proposals": ("propositions", "proposals"),
    "nothing": ("rien trouvé", "nothing found"),
}
"""What a reviewer should look at first; also the page's filters."""

STAGES = {
    "decode": ("décodage", "decoding"),
    "faces": ("visages", "faces"),
    "text": ("texte", "text"),
    "codes": ("codes", "codes"),
    "tattoos": ("tatouages", "tattoos"),
    "paint": ("peinture", "painting"),
    "look_again": ("relecture", "second look"),
    "encode": ("codage", "encoding"),
}
"""What the redactor's clock counts apart; a stage that is not listed is shown by its own name."""

_LISTS = {
    "regions": ("couvert", "covered"),
    "proposals": ("proposé, non couvert", "proposed, not covered"),
    "residual": ("vu encore à la relecture", "still seen at the second look"),
}


@dataclass(frozen=True)
class Source:
    """Where the page has a picture from: within itself, or a file beside it."""

    url: str
    inline: bool


def both(french: str, english: str) -> str:
    """The same said twice; the style shows one."""
    return f'<span lang="fr">{french}</span><span lang="en">{english}</span>'


def number(value: float, digits: int = 0, unit: str = "") -> str:
    """A number as each language writes it: decimal comma or point, digits in threes from five on, no line break within
    it or before its unit."""
    plain = f"{value:,.{digits}f}" if abs(value) >= 10_000 else f"{value:.{digits}f}"
    after = f"\N{NO-BREAK SPACE}{unit}" if unit else ""
    english, french = plain, plain.replace(",", "\N{NARROW NO-BREAK SPACE}").replace(".", ",")
    return english + after if english == french else both(french + after, english + after)


def states(image: dict[str, Any]) -> list[str]:
    """Which of `STATES` hold for an entry of the report."""
    if "error" in image:
        return ["error"]
    found = [state for state in ("residual", "proposals") if image.get(state)]
    return found or ([] if image["regions"] else ["nothing"])


def head(files: int, counts: Counter[str], seconds: float, contents: str) -> str:
    """Everything above the pictures: warning, totals, filters, list of files."""
    policy = (
        f"default-src 'none'; img-src data: file: 'self'; style-src '{_hash(STYLE)}'; script-src '{_hash(SCRIPT)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    totals = [
        (number(files), both("fichiers", "files")),
        (number(counts["frames"]), both("images peintes", "pictures painted")),
        (number(counts["regions"]), both("zones couvertes", "regions covered")),
        *(
            (number(counts[f"kind:{kind}"]), _mark(kind) + both(*names))
            for kind, names in KINDS.items()
            if counts[f"kind:{kind}"]
        ),
        (number(counts["proposals"]), both(*STATES["proposals"])),
        (number(counts["residual"]), both(*STATES["residual"])),
        (number(counts["state:error"]), both(*STATES["error"])),
        (number(seconds, 1, "s"), both("de calcul", "of work")),
    ]
    cells = "".join(f"<div><dt>{name}</dt><dd>{count}</dd></div>" for count, name in totals)
    shown = [
        ("", ("toutes", "all"), ""),
        *((name, said, f" ({number(counts[f'state:{name}'])})") for name, said in STATES.items()),
    ]
    filters = "".join(
        f'<button type="button" data-filter="{name}" aria-pressed="{"false" if name else "true"}">'
        f"{both(*said)}{count}</button>"
        for name, said, count in shown
        if not name or counts[f"state:{name}"]
    )
    warning = both(
        "<strong>Ne partagez pas cette page.</strong> Elle contient les images d’origine, non couvertes : des patients "
        "peuvent y être reconnus. Supprimez-la, avec son dossier <code>_files</code>, dès que vous avez regardé.",
        "<strong>Do not share this page.</strong> It holds the original, unpainted pictures: patients can be "
        "recognised in them. Delete it, and its <code>_files</code> folder, as soon as you have looked.",
    )
    doubt = both(
        "Aucun effacement n’est parfait : regardez aussi les images où rien n’a été trouvé.",
        "No redaction is perfect: look also at the pictures in which nothing was found.",
    )
    keys = both(
        "<kbd>j</kbd> <kbd>k</kbd> image suivante, précédente · <kbd>b</kbd> cadres · <kbd>z</kbd> en grand · "
        "<kbd>f</kbd> filtre suivant · <kbd>l</kbd> langue",
        "<kbd>j</kbd> <kbd>k</kbd> next, previous picture · <kbd>b</kbd> boxes · <kbd>z</kbd> enlarge · "
        "<kbd>f</kbd> next filter · <kbd>l</kbd> language",
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="robots" content="noindex">\n<meta name="referrer" content="no-referrer">\n'
        f'<meta name="color-scheme" content="light dark">\n<title>Consilium: review / relecture</title>\n'
        f"<style>{STYLE}</style>\n</head>\n<body>\n"
        f'<p class="warning" role="alert">{warning}</p>\n<header>\n<h1>{both("Relecture", "Review")}</h1>\n'
        '<div class="languages" role="group" aria-label="Langue / Language">'
        '<button type="button" data-language="fr" lang="fr" aria-pressed="false">Français</button>'
        '<button type="button" data-language="en" lang="en" aria-pressed="true">English</button></div>\n</header>\n'
        f'<p>{doubt}</p>\n<dl class="totals">{cells}</dl>\n<div class="filters" role="group">{filters}</div>\n'
        f'<p class="keys">{keys}</p>\n<details class="contents"><summary>{both("Fichiers", "Files")}</summary>'
        f"<ol>{contents}</ol></details>\n<main>\n"
    )


def foot() -> str:
    """What closes the page."""
    return f"</main>\n<script>{SCRIPT}</script>\n</body>\n</html>\n"


def line_of_contents(place: int, images: list[dict[str, Any]]) -> str:
    """A file in the list at the top, with what is to be looked at in it."""
    found = Counter(state for image in images for state in states(image))
    chips = "".join(f' <span class="chip {state}">{both(*STATES[state])}</span>' for state in STATES if found[state])
    anchor = f"p{place}" + ("f0" if len(images) > 1 else "")
    return f'<li><a href="#{anchor}">{escape(images[0]["file"])}</a>{chips}</li>'


def article(anchor: str, place: int, image: dict[str, Any], before: Source | None, after: Source | None) -> str:
    """One frame: heading, three views, table of regions."""
    held = states(image)
    name = escape(image["file"])
    start = f'<article id="{anchor}" tabindex="-1" data-states="{" ".join(held)}" aria-labelledby="{anchor}h">\n'
    title = f'<h2 id="{anchor}h"><span class="number">{number(place)}</span> {name}'
    if "error" in image:
        reason = REASONS.get(image["error"])
        why = both(*reason) if reason else f"<code>{escape(image['error'])}</code>"
        detail = f" <code>{escape(image['detail'])}</code>" if image.get("detail") else ""
        said = both("Rien n’a été peint :", "Nothing was painted:")
        return f'{start}{title}</h2>\n<p class="error">{said} {why}{detail}</p>\n</article>\n'
    if not anchor.endswith(f"p{place}"):
        title += f" <small>{both('image', 'frame')} {image['frame'] + 1}</small>"
    chips = "".join(f' <span class="chip {state}">{both(*STATES[state])}</span>' for state in held)
    width, height = (number(image[side]) for side in ("width", "height"))
    facts = f"{width} × {height} px · {number(image['seconds'], 1, 's')} · {escape(image['output'])}"
    notes = "".join(f'<p class="note">{_note(note)}</p>' for note in image.get("notes", ()))
    size = image["width"], image["height"]
    views = (
        _view(both("Avant", "Before"), _picture(before, *size, f"{anchor}i"))
        + _view(both("Trouvé", "Found"), _again(before, *size, f"{anchor}i") + _overlay(image))
        + _view(both("Après", "After"), _picture(after, *size, ""))
    )
    return (
        f'{start}{title}{chips}</h2>\n<p class="facts">{facts}</p>\n{notes}<div class="views">{views}</div>\n'
        f"{_table(image)}{_stages(image)}</article>\n"
    )


def _view(caption: str, inside: str) -> str:
    return f'<figure><figcaption>{caption}</figcaption><div class="picture">{inside}</div></figure>'


def _picture(source: Source | None, width: int, height: int, identity: str) -> str:
    """In an SVG where the page itself holds the picture, so that the second view may use it again at no cost."""
    if source is None:
        return f'<p class="absent">{both("pas d’aperçu", "no preview")}</p>'
    if not source.inline:
        return (
            f'<img loading="lazy" decoding="async" src="{quote(source.url)}" width="{width}" height="{height}" alt="">'
        )
    named = f' id="{identity}"' if identity else ""
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" aria-hidden="true">'
        f'<image{named} href="{source.url}" width="{width}" height="{height}" preserveAspectRatio="none"/></svg>'
    )


def _again(source: Source | None, width: int, height: int, identity: str) -> str:
    if source is None or not source.inline:
        return _picture(source, width, height, identity)
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" aria-hidden="true">'
        f'<use href="#{identity}"/></svg>'
    )


def _numbered(image: dict[str, Any]) -> list[tuple[int, str, dict[str, Any]]]:
    regions = [(what, region) for what in _LISTS for region in image.get(what, ())]
    return [(index, what, region) for index, (what, region) in enumerate(regions, 1)]


def _overlay(image: dict[str, Any]) -> str:
    width, height = image["width"], image["height"]
    letter = max(width, height) / 38
    drawn = []
    for index, what, region in _numbered(image):
        left, top, across, down = region["box"]
        box = f'x="{left}" y="{top}" width="{across}" height="{down}"'
        drawn.append(
            f'<g class="box {what} {escape(region["kind"])}" data-box="{index}"><rect class="halo" {box}/>'
            f'<rect {box}/><text x="{left}" y="{max(top - letter * 0.25, letter):.0f}" font-size="{letter:.0f}">'
            f"{index}</text></g>"
        )
    return f'<svg class="boxes" viewBox="0 0 {width} {height}" aria-hidden="true">{"".join(drawn)}</svg>'


def _table(image: dict[str, Any]) -> str:
    rows = "".join(
        f'<tr tabindex="0" data-box="{index}" class="{what}"><td>{index}</td>'
        f"<td>{_mark(region['kind'])}{both(*KINDS.get(region['kind'], (escape(region['kind']),) * 2))}</td>"
        f"<td>{both(*_LISTS[what])}</td><td>{number(region['score'], 2)}</td><td>{escape(region['detector'])}</td>"
        f"<td>{', '.join(map(str, region['box']))}</td></tr>"
        for index, what, region in _numbered(image)
    )
    if not rows:
        return f'<p class="nothing">{both("Rien n’a été trouvé ni couvert.", "Nothing was found or covered.")}</p>\n'
    heads = (
        "#",
        both("genre", "kind"),
        both("suite", "outcome"),
        both("score", "score"),
        both("détecteur", "detector"),
        both("x, y, largeur, hauteur", "x, y, width, height"),
    )
    titles = "".join(f'<th scope="col">{each}</th>' for each in heads)
    count = len(_numbered(image))
    said = number(count) + " " + (both("zones", "regions") if count > 1 else both("zone", "region"))
    return (
        f"<details{' open' if count <= 12 else ''}><summary>{said}</summary>"
        f'<div class="scroll"><table><thead><tr>{titles}</tr></thead><tbody>{rows}</tbody></table></div></details>\n'
    )


def _stages(image: dict[str, Any]) -> str:
    told = " · ".join(
        f"{both(*STAGES.get(stage, (escape(stage),) * 2))} {number(seconds, 2, 's')}"
        for stage, seconds in image.get("stages", {}).items()
    )
    return f'<p class="stages">{told}</p>\n' if told else ""


def _note(note: str) -> str:
    said = in_words([note])[0]
    return both(escape(said.fr), escape(said.en))


def _mark(kind: str) -> str:
    return f'<i class="mark {escape(kind)}"></i>'


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
