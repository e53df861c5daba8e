"""Formats and check digits of professional numbers, each by its issuer.

The check digit of RPPS is no published rule: several libraries take it for Luhn, and of twelve samples in the agency's
own repositories only two pass. It warns; the registry decides. That of NPI is official (Luhn behind the prefix 80840).
"""

import re

from stdnum import luhn
from stdnum.util import clean

from services.identity.domain.verification import Number, NumberMalformed

_SPACES = " -.  "
_NPI_PREFIX = "80840"


def rpps(text: str) -> Number:
    """An RPPS number from what a person types: 11 digits, or the national identifier, which is 8 and those digits.

    A number of the ADELI register (9 digits, nationally 0 and those) is no key of anything any more: that register
    ended in 2024, and its professions have RPPS numbers.
    """
    digits = clean(text, _SPACES).strip()
    if re.fullmatch(r"8[0-9]{11}", digits):
        digits = digits[1:]
    if re.fullmatch(r"0?[0-9]{9}", digits):
        raise NumberMalformed("adeli_retired")
    if not re.fullmatch(r"[0-9]{11}", digits):
        raise NumberMalformed("rpps_malformed")
    return Number("rpps", digits, () if luhn.is_valid(digits) else ("check_digit",))


def adeli(text: str) -> str | None:
    """The 9 characters of a legacy ADELI number, None where the text is none. For an alias only."""
    found = re.fullmatch(r"0?([0-9][0-9AB][0-9]{7})", clean(text, _SPACES).strip().upper())
    return found[1] if found else None


def sandbox(text: str) -> Number:
    """An identity of the sandbox of Pro Santé Connect, such as ANS20231122132732. Never of a real person."""
    plain = text.strip().upper()
    if not re.fullmatch(r"ANS[0-9]{6,20}", plain):
        raise NumberMalformed("sandbox_malformed")
    return Number("psc-sandbox", plain)


def npi(text: str) -> Number:
    """A National Provider Identifier of the United States: 10 digits, the first 1 or 2, the last a check digit."""
    digits = clean(text, _SPACES).strip()
    if not re.fullmatch(r"[12][0-9]{9}", digits):
        raise NumberMalformed("npi_malformed")
    if not luhn.is_valid(_NPI_PREFIX + digits):
        raise NumberMalformed("npi_check_digit")
    return Number("npi", digits)
