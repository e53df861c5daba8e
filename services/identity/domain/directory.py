"""The rules of the directory: what of a member is found by which words, in which order.

Every word of a query must be the beginning of a word of the member, accents, ligatures and case forgiven: of the
pseudonym, the name if it is shown, town or faculty, or of any French or English name of a profession, specialty or
skill of theirs. Only what every member may see is looked at.

How it is made fast: an entry has *terms*, all in one index. A term is a code (`k:fertility`, `s:cardiology`, `t:…`) or
the first 2, 3 or 5 letters of a word. A query word becomes the codes whose names begin so, and one beginning of the
word; the index gives whoever has the rarest of them in the directory's order, and the rest is looked at in each entry.

Order: who has more skills confirmed by peers first. Equals stand in an order that nobody chose, the hash of the id.
"""

import base64
import binascii
import hashlib
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from services.identity.domain.account import Account
from services.identity.domain.profile import Part, Profile, Relation, is_peer
from services.identity.specialties import skills, specialties
from shared.events import Profession

MAX_QUERY_WORDS = 8
MAX_COUNTED_CONFIRMATIONS = 999
BEGINNINGS = (5, 3, 2)
"""Lengths of the beginnings that are indexed, longest first. A query of one letter finds nothing."""
_HASH_BITS = 52
_LIGATURES = str.maketrans({"œ": "oe", "æ": "ae", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ı": "i"})
_NOT_WORD = re.compile(r"[\W_]+")
# Small words say nothing and are in half of all names.
_SMALL = "au aux and de del der des di du en et for in la le les of sur the un une van von"

PROFESSIONS: Mapping[Profession, tuple[str, ...]] = {
    Profession.PHYSICIAN: ("médecin", "docteur", "physician", "doctor"),
    Profession.STUDENT: ("étudiant", "étudiante", "externe", "student"),
    Profession.NURSE: ("infirmier", "infirmière", "nurse"),
    Profession.MIDWIFE: ("sage-femme", "maïeuticien", "midwife"),
    Profession.PHARMACIST: ("pharmacien", "pharmacienne", "pharmacist"),
    Profession.DENTIST: ("dentiste", "chirurgien-dentiste", "dentist"),
    Profession.PHYSIOTHERAPIST: ("kinésithérapeute", "masseur-kinésithérapeute", "kiné", "physiotherapist"),
    Profession.PSYCHOLOGIST: ("psychologue", "psychologist"),
    Profession.PODIATRIST: ("podologue", "pédicure-podologue", "podiatrist"),
}


class BadCursor(ValueError):
    """The client sent a cursor that no page of ours carries."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A member as the directory has them. `card` is what a list shows; `order` sorts, the smallest first."""

    member_id: str
    order: int
    card: dict[str, Any]
    words: tuple[str, ...]
    codes: tuple[str, ...]

    @property
    def terms(self) -> list[str]:
        """What the index holds: the codes and the words' beginnings."""
        beginnings = {word[:length] for word in self.words for length in BEGINNINGS if len(word) >= length}
        return sorted(beginnings | set(self.codes))


@dataclass(frozen=True, slots=True)
class Need:
    """One thing that an entry must have: a word with this beginning (None: any), or one of the codes."""

    beginning: str | None
    codes: tuple[str, ...]

    @property
    def terms(self) -> list[str]:
        """Who has the need has one of these terms; not everybody who has one has the need."""
        return ([_indexed(self.beginning)] if self.beginning else []) + list(self.codes)

    @property
    def whole(self) -> bool:
        """Whether the terms say it all, so that nothing of the word is left to look at."""
        return self.beginning is None or _indexed(self.beginning) == self.beginning

    def met_by(self, entry: Entry) -> bool:
        """Whether the entry has it."""
        found = self.beginning is not None and any(word.startswith(self.beginning) for word in entry.words)
        return found or not set(self.codes).isdisjoint(entry.codes)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is looked for: free words, and exact values."""

    text: str = ""
    profession: str | None = None
    specialty: str | None = None
    skill: str | None = None
    town: str | None = None
    language: str | None = None
    accepts_referrals: bool = False

    def needs(self) -> list[Need]:
        """Everything that an entry must have. Empty: nothing to look for (small words and single letters are none)."""
        found = [Need(word, _codes_named(word)) for word in query_words(self.text)]
        exact = {"p": self.profession, "s": self.specialty, "k": self.skill}
        codes = [f"{kind}:{value}" for kind, value in exact.items() if value]
        if self.town and (town := " ".join(_all_words(self.town))):
            codes.append(f"t:{town}")
        if self.language:
            codes.append(f"l:{self.language.partition('-')[0].lower()}")
        if self.accepts_referrals:
            codes.append(f"r:{self.skill}" if self.skill else "r")
        return found + [Need(None, (code,)) for code in codes]


def plain(text: str) -> str:
    """A text as it is compared: lower case, without accents, ligatures taken apart."""
    for _ in range(2):  # taking apart may give capitals, and these more to take apart
        folded = unicodedata.normalize("NFKD", text).casefold().translate(_LIGATURES)
        text = "".join(character for character in folded if not unicodedata.combining(character))
    return text


def words_of(texts: Iterable[str]) -> tuple[str, ...]:
    """The words of texts by which an entry is found, each once: no single letters, no small words."""
    return tuple(dict.fromkeys(word for text in texts for word in _all_words(text) if _says_something(word)))


def query_words(text: str) -> list[str]:
    """The words of a query, at most `MAX_QUERY_WORDS`."""
    return list(words_of([text]))[:MAX_QUERY_WORDS]


def entry_of(account: Account, profile: Profile | None, confirmations: Mapping[str, int]) -> Entry | None:
    """How the directory shows a member; None where it does not: not verified, or nothing shown to every member.

    `confirmations`: how many peers confirmed each skill.
    """
    if profile is None or not profile.shows_anything or not is_peer(account):
        return None

    def shown(part: Part) -> bool:
        return profile.visible(part, Relation.MEMBER)

    town = profile.place.town if profile.place and shown(Part.PLACE) else None
    codes = {f"p:{account.profession}"} if account.profession else set[str]()
    codes |= {f"s:{account.specialty}"} if account.specialty else set()
    card: dict[str, Any] = {"name": profile.shown_name if shown(Part.NAME) else None}
    if shown(Part.SPECIALTIES):
        card["specialties"] = [specialty.value for specialty in profile.specialties]
        codes |= {f"s:{specialty}" for specialty in profile.specialties}
    confirmed = 0
    if shown(Part.SKILLS):
        # As on the profile: with its skills hidden, for which of them patients may be sent stays hidden too.
        referrals = {skill.code for skill in profile.skills if skill.referrals and shown(Part.REFERRALS)}
        card["skills"] = [
            {"code": s.code, "confirmations": confirmations.get(s.code, 0), "referrals": s.code in referrals}
            for s in profile.skills
        ]
        confirmed = sum(confirmations.get(skill.code, 0) for skill in profile.skills)
        codes |= {f"k:{skill.code}" for skill in profile.skills}
        codes |= {f"r:{code}" for code in referrals} | ({"r"} if referrals else set())
    if shown(Part.LANGUAGES):
        card["languages"] = list(profile.languages)
        codes |= {f"l:{language.partition('-')[0].lower()}" for language in profile.languages}
    if town:
        card["place"] = {"town": town, "country": profile.place.country if profile.place else None}
        codes.add(f"t:{' '.join(_all_words(town))}")
    faculty = profile.faculty if shown(Part.FACULTY) else None
    texts = [account.pseudonym, card["name"], town, faculty]
    return Entry(
        member_id=account.member_id,
        order=order_of(account.member_id, confirmed),
        card=card,
        words=words_of(text for text in texts if text),
        codes=tuple(sorted(codes)),
    )


def order_of(member_id: str, confirmed: int) -> int:
    """Where a member stands. Of half a million members two share a place with a chance of 1 in 36,000."""
    fewer = MAX_COUNTED_CONFIRMATIONS - min(confirmed, MAX_COUNTED_CONFIRMATIONS)
    digest = hashlib.sha256(member_id.encode()).digest()
    return (fewer << _HASH_BITS) | (int.from_bytes(digest[:8], "big") >> (64 - _HASH_BITS))


def cursor_after(order: int) -> str:
    """The opaque cursor of what follows that place."""
    return base64.urlsafe_b64encode(order.to_bytes(8, "big")).decode().rstrip("=")


def read_cursor(cursor: str) -> int:
    """The place that a cursor names. Raises BadCursor."""
    try:
        found = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadCursor("not base64url") from error
    if len(found) != 8 or found[0] > 0x7F:
        raise BadCursor("not a place")
    return int.from_bytes(found, "big")


def _all_words(text: str) -> list[str]:
    return [word for word in _NOT_WORD.split(plain(text)) if word]


def _says_something(word: str) -> bool:
    return len(word) >= BEGINNINGS[-1] and word not in _SMALL.split()


def _indexed(beginning: str) -> str:
    return beginning[: next(length for length in BEGINNINGS if len(beginning) >= length)]


@lru_cache(maxsize=10_000)
def _codes_named(beginning: str) -> tuple[str, ...]:
    """The codes of everything that has a name with a word that begins so."""
    return tuple(code for code, words in _named() if any(word.startswith(beginning) for word in words))


@cache
def _named() -> Sequence[tuple[str, tuple[str, ...]]]:
    """Each code with the words of its names."""
    found = [(f"p:{profession}", words_of(names)) for profession, names in PROFESSIONS.items()]
    found += [(f"s:{entry.specialty}", words_of(entry.names)) for entry in specialties().values()]
    found += [(f"k:{skill.code}", words_of(skill.names)) for skill in skills().values()]
    return found
