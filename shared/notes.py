"""The redactor's notes about a file, in words: what was made of it, for author and moderator."""

from collections.abc import Iterable

from pydantic import BaseModel

from shared.events import Note
from shared.web import Text

NOTES: dict[str, Text] = {
    "first_frame_of": Text(
        en="Only the first of the file's {number} frames was taken.",
        fr="Seule la première des {number} vues du fichier a été prise.",
    ),
    "all_frames_of": Text(
        en="All {number} frames of the file were taken.", fr="Les {number} vues du fichier ont toutes été prises."
    ),
    "first_page_of": Text(
        en="Only the first of the file's {number} pages was taken.",
        fr="Seule la première des {number} pages du fichier a été prise.",
    ),
    "all_pages_of": Text(
        en="All {number} pages of the file were taken.", fr="Les {number} pages du fichier ont toutes été prises."
    ),
}
"""The sentence for each known note; `{number}` is what stands after the colon."""

_OTHER = Text(en="Remark of the redactor: {note}.", fr="Remarque du programme de masquage\u00a0: {note}.")


class NoteShown(BaseModel):
    """A note as it is shown: the code as it travels, and its sentence in both languages."""

    code: str
    fr: str
    en: str


def in_words(notes: Iterable[Note]) -> list[NoteShown]:
    """Every note with its sentence. One that this version does not know is shown by its code, never dropped."""
    shown = []
    for note in notes:
        code, _, number = note.partition(":")
        text, values = NOTES.get(code, _OTHER), {"number": number, "note": note}
        shown.append(NoteShown(code=note, fr=text.said_in("fr", values), en=text.said_in("en", values)))
    return shown
