"""The lists behind the rules: names, towns, and words that look like a name and are none.

The first names, surnames, eponyms and brands are this project's own lists; the towns come from GeoNames (NOTICE names
the licence; training/towns makes the file). They are read once and kept: 5 MB.
"""

import unicodedata
from functools import cache
from importlib.resources import files

MORE_TOWNS = {
    "Londres": "GB-ENG", "Édimbourg": "GB-SCT", "Genève": "CH", "Bâle": "CH", "Berne": "CH", "Zurich": "CH",
    "Lucerne": "CH", "Bruxelles": "BE-BRU", "Brussels": "BE-BRU", "Anvers": "BE-VLG", "Antwerp": "BE-VLG",
    "Gand": "BE-VLG", "Ghent": "BE-VLG", "Bruges": "BE-VLG", "Louvain": "BE-VLG", "Courtrai": "BE-VLG",
    "Malines": "BE-VLG", "Ostende": "BE-VLG", "Liège": "BE-WAL", "Geneva": "CH", "Lyons": "FR-84",
    "Marseilles": "FR-93", "Rome": "IT", "Milan": "IT", "Turin": "IT", "Naples": "IT", "Venise": "IT",
    "Venice": "IT", "Florence": "IT", "Barcelone": "ES", "Barcelona": "ES", "Madrid": "ES", "Séville": "ES",
    "Valence": "FR-84", "Lisbonne": "PT", "Lisbon": "PT", "Porto": "PT", "Munich": "DE", "Cologne": "DE",
    "Hambourg": "DE", "Francfort": "DE", "Vienne": "AT", "Vienna": "AT", "Varsovie": "PL", "Warsaw": "PL",
    "Cracovie": "PL", "Prague": "CZ", "Moscou": "RU", "Moscow": "RU", "Kiev": "UA", "Kyiv": "UA", "Athènes": "GR",
    "Athens": "GR", "Bucarest": "RO", "Copenhague": "DK", "Copenhagen": "DK", "Alger": "DZ", "Algiers": "DZ",
    "Oran": "DZ", "Constantine": "DZ", "Tunis": "TN", "Casablanca": "MA", "Rabat": "MA", "Fès": "MA", "Tanger": "MA",
    "Marrakech": "MA", "Agadir": "MA", "Dakar": "SN", "Abidjan": "CI", "Bamako": "ML", "Yaoundé": "CM", "Douala": "CM",
    "Kinshasa": "CD", "Lomé": "TG", "Cotonou": "BJ", "Le Caire": "EG", "Cairo": "EG", "Beyrouth": "LB", "Beirut": "LB",
    "Damas": "SY", "Jérusalem": "IL", "Jerusalem": "IL", "Istanbul": "TR", "Téhéran": "IR", "Tehran": "IR",
    "Pékin": "CN", "Beijing": "CN", "New York": "US-NY", "Los Angeles": "US-CA", "Washington": "US-DC",
    "La Nouvelle-Orléans": "US-LA", "Philadelphie": "US-PA", "Montréal": "CA-10", "Québec": "CA-10",
    "Trois-Rivières": "CA-10", "Cayenne": "GF", "Nouméa": "NC", "Papeete": "PF", "Fort-de-France": "MQ",
    "Pointe-à-Pitre": "GP", "Saint-Denis": "FR-11", "Saint-Pierre": "RE", "Manhattan": "US-NY", "Brooklyn": "US-NY",
    "Queens": "US-NY", "Bronx": "US-NY",
}  # fmt: skip
"""Names that GeoNames' main name does not give: French and English forms of towns abroad, and parts of New York."""


def fold(word: str) -> str:
    """Lower case without accents, hyphens as spaces and one kind of apostrophe: how words are compared."""
    plain = unicodedata.normalize("NFKD", word.replace("œ", "oe").replace("Œ", "OE").replace("æ", "ae"))
    bare = "".join(sign for sign in plain if not unicodedata.combining(sign))
    return bare.replace("’", "'").replace("-", " ").casefold()


@cache
def first_names() -> frozenset[str]:
    return frozenset(_words("first_names.txt")[0])


@cache
def doubtful_first_names() -> frozenset[str]:
    """First names that are also common words, as Rose or Pierre."""
    return frozenset(_words("first_names.txt")[1])


@cache
def surnames() -> frozenset[str]:
    plain, doubtful = _words("surnames.txt")
    return frozenset(plain | doubtful)


@cache
def eponyms() -> frozenset[str]:
    return frozenset(_words("eponyms.txt")[0])


@cache
def brands() -> frozenset[str]:
    return frozenset(_words("brands.txt")[0])


@cache
def towns() -> dict[str, str]:
    """Folded name to the code of its region."""
    listed = [line.split("\t") for line in _lines("towns.tsv")]
    return {fold(name): region for name, region in [*listed, *MORE_TOWNS.items()]}


@cache
def regions() -> dict[str, tuple[str, str]]:
    """Code to the region's or country's name in English and French."""
    return {code: (english, french) for code, english, french in (line.split("\t") for line in _lines("regions.tsv"))}


@cache
def region_words() -> frozenset[str]:
    """Folded names of regions and countries, and each of their words that is capitalised."""
    names = {name for both in regions().values() for name in both} | {"Bretagne", "USA", "UK", "Britain", "Europe"}
    parts = {part for name in names for part in name.replace("-", " ").replace("’", " ").split() if part[0].isupper()}
    people = first_names() | doubtful_first_names() | surnames()
    return frozenset(fold(name) for name in names) | (frozenset(fold(part) for part in parts) - people)


def sections(name: str) -> dict[str, frozenset[str]]:
    """A file of lists under `[headings]`: each list's words by its heading."""
    found: dict[str, set[str]] = {}
    heading = ""
    for line in _lines(name):
        if line.startswith("["):
            heading = line.strip("[]")
        else:
            found.setdefault(heading, set()).update(line.split())
    return {heading: frozenset(words) for heading, words in found.items()}


def _lines(name: str) -> list[str]:
    text = (files("shared.deid.words") / name).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def _words(name: str) -> tuple[set[str], set[str]]:
    plain: set[str] = set()
    doubtful: set[str] = set()
    for line in _lines(name):
        for word in line.split():
            (doubtful if word.startswith("~") else plain).add(fold(word.removeprefix("~")))
    return plain - doubtful, doubtful
