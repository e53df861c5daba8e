"""Texts drawn from templates with fixed seeds: names by Faker (MIT), numbers with right check digits, real towns."""

import random
import re
from datetime import date, timedelta
from itertools import pairwise

from faker import Faker
from stdnum import luhn
from stdnum.fr import nir

from tests.deid.marked import Marked, read
from tests.deid.templates import LOCALES, TEMPLATES, TOWNS

_SLOT = re.compile(r"\{([a-zA-Z_0-9]+)\}")
_MONTHS_FR = [
    "janvier",
    "février",
    "mars",
    "avril",
    "mai",
    "juin",
    "juillet",
    "août",
    "septembre",
    "octobre",
    "novembre",
    "décembre",
]
_MONTHS_EN = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]


def drawn(part: str, language: str, count: int) -> list[Marked]:
    """`count` texts of a part, the same at every call."""
    seed = f"{part}-{language}-2026"
    dice = random.Random(seed)
    names = Faker(LOCALES[part, language])
    names.seed_instance(seed)
    draw = _Draw(dice, names, TOWNS[part, language], language)
    templates = TEMPLATES[part, language]
    return [
        read(_SLOT.sub(lambda slot: draw.of(slot.group(1)), templates[number % len(templates)]), language, "drawn")
        for number in range(count)
    ]


class _Draw:
    """What stands in a template's slot: with its mark, but for words that are to be left alone."""

    def __init__(self, dice: random.Random, names: Faker, towns: tuple[str, ...], language: str) -> None:
        self.dice, self.names, self.towns, self.language = dice, names, towns, language

    def of(self, slot: str) -> str:
        kind, words = getattr(self, f"_{slot}")()
        return f"[[{kind}|{words}]]" if kind else words

    def _first(self) -> tuple[str, str]:
        return "name", self.names.first_name()

    def _last(self) -> tuple[str, str]:
        return "name", self.names.last_name()

    def _full(self) -> tuple[str, str]:
        return "name", f"{self.names.first_name()} {self.names.last_name()}"

    def _caps(self) -> tuple[str, str]:
        return "name", f"{self.names.last_name().upper()} {self.names.first_name()}"

    def _initial(self) -> tuple[str, str]:
        return "name", self.dice.choice("ABCDEFGHLMNPRST") + "."

    def _day(self) -> date:
        return date(2021, 1, 1) + timedelta(days=self.dice.randrange(1_700))

    def _date_numbers(self) -> tuple[str, str]:
        day = self._day()
        if self.language == "fr":
            return "date", day.strftime(self.dice.choice(["%d/%m/%Y", "%d/%m/%y", "%d.%m.%Y", "%d-%m-%Y"]))
        return "date", day.strftime(self.dice.choice(["%d/%m/%Y", "%m/%d/%Y", "%Y-%m-%d", "%m/%d/%y"]))

    def _date_words(self) -> tuple[str, str]:
        day = self._day()
        if self.language == "fr":
            number = "1er" if day.day == 1 else str(day.day)
            return "date", f"{number} {_MONTHS_FR[day.month - 1]}" + self.dice.choice([f" {day.year}", ""])
        month = _MONTHS_EN[day.month - 1]
        forms = [f"{month} {day.day}, {day.year}", f"{day.day} {month} {day.year}", f"{month[:3]} {day.day}"]
        return "date", self.dice.choice(forms)

    def _month_year(self) -> tuple[str, str]:
        day = self._day()
        return "date", f"{(_MONTHS_FR if self.language == 'fr' else _MONTHS_EN)[day.month - 1]} {day.year}"

    def _birth(self) -> tuple[str, str]:
        day = date(1935, 1, 1) + timedelta(days=self.dice.randrange(25_000))
        return "date", day.strftime("%d/%m/%Y" if self.language == "fr" else "%m/%d/%Y")

    def _old(self) -> tuple[str, str]:
        age = self.dice.randrange(90, 104)
        return "age", f"{age} ans" if self.language == "fr" else f"{age}-year-old"

    def _age(self) -> tuple[str, str]:
        return "", str(self.dice.randrange(18, 89))

    def _town(self) -> tuple[str, str]:
        return "place", self.dice.choice(self.towns)

    def _street(self) -> tuple[str, str]:
        number, name = self.dice.randrange(1, 180), self.names.last_name()
        if self.language == "fr":
            kind = self.dice.choice(["rue", "avenue", "boulevard", "impasse", "chemin"])
            return "place", f"{number} {kind} {self.dice.choice(['', 'du Docteur ', 'de '])}{name}"
        return "place", f"{number} {name} {self.dice.choice(['Street', 'Road', 'Avenue', 'Lane', 'Drive'])}"

    def _hospital(self) -> tuple[str, str]:
        town = self.dice.choice(self.towns)
        if self.language == "fr":
            of = "d'" if town[0] in "AEÉIOUYH" else "de "
            return "place", f"{self.dice.choice(['CHU', 'CH', 'hôpital', 'centre hospitalier'])} {of}{town}"
        return "place", f"{town} {self.dice.choice(['General Hospital', 'Medical Center', 'Infirmary'])}"

    def _room(self) -> tuple[str, str]:
        number = self.dice.randrange(101, 480)
        return "place", f"chambre {number}" if self.language == "fr" else f"Room {number}"

    def _phone(self) -> tuple[str, str]:
        """Numbers that the French, British and American authorities keep for fiction."""
        end = f"{self.dice.randrange(100):02d}"
        if self.language == "fr":
            sign = self.dice.choice([" ", ".", "", "-"])
            start = self.dice.choice([("06", "39", "98"), ("01", "99", "00"), ("04", "65", "71"), ("02", "61", "91")])
            number = sign.join([*start, f"{self.dice.randrange(100):02d}", end])
            return "phone", number if self.dice.random() < 0.8 else "+33 " + number[1:]
        if self.dice.random() < 0.5:
            return "phone", f"07700 9000{end}"
        area = self.dice.choice(["212", "415", "617"])
        return "phone", self.dice.choice([f"({area}) 555-01{end}", f"{area}-555-01{end}"])

    def _email(self) -> tuple[str, str]:
        name = re.sub(r"[^a-z]", "", self.names.last_name().lower()) or "n"
        return "email", f"{self.dice.choice('abcdef')}.{name}@{self.dice.choice(['example.org', 'sante.example.fr'])}"

    def _url(self) -> tuple[str, str]:
        return "url", f"https://{self.dice.choice(['photos', 'dossier'])}.example.org/{self.dice.randrange(10**5)}"

    def _nir(self) -> tuple[str, str]:
        """With a right key; spaced as people write it, or not."""
        dice = self.dice
        digits = f"{dice.choice('12')}{dice.randrange(100):02d}{dice.randrange(1, 13):02d}{dice.randrange(1, 95):02d}"
        digits += f"{dice.randrange(1, 900):03d}{dice.randrange(1, 900):03d}"
        full = digits + nir.calc_check_digits(digits)
        spaced = " ".join(full[start:end] for start, end in pairwise((0, 1, 3, 5, 7, 10, 13, 15)))
        return "nir", dice.choice([full, spaced])

    def _rpps(self) -> tuple[str, str]:
        digits = f"999000{self.dice.randrange(10_000):04d}"
        return "rpps", digits + luhn.calc_check_digit(digits)

    def _record(self) -> tuple[str, str]:
        return "record_number", str(self.dice.randrange(10**6, 10**9))

    def _ssn(self) -> tuple[str, str]:
        dice = self.dice
        return "ssn", f"{dice.randrange(100, 600)}-{dice.randrange(10, 99)}-{dice.randrange(1000, 9999)}"

    def _npi(self) -> tuple[str, str]:
        digits = f"19999{self.dice.randrange(10_000):04d}"
        return "npi", digits + luhn.calc_check_digit("80840" + digits)

    def _plate(self) -> tuple[str, str]:
        letters = "".join(self.dice.choice("ABCDEFGHJK") for _ in range(4))
        return "plate", f"{letters[:2]}-{self.dice.randrange(100, 999)}-{letters[2:]}"
