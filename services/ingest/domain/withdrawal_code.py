"""The code by which a patient ends a case, without an account: 20 signs that can be read out and typed.

Four groups of five in Crockford's base 32 (no I, L, O or U), 95 bits and one check sign. The check sign makes the sum
of all signs, each times a different power of a generator of GF(32), zero: every single wrong sign and every two signs
that changed places are noticed. Only a hash of it is stored: with 95 random bits nothing slower is needed.
"""

import hashlib

SIGNS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
DATA_SIGNS = 19
DATA_BYTES = 12
"""Random bytes that a code is made of; the last of their 96 bits is not used."""

_LOOKS_LIKE = str.maketrans("ILO", "110")
_FIELD = 0b100101  # x^5 + x^2 + 1, primitive: the powers of x are all 31 values but 0


def code_from(secret: bytes) -> str:
    """The code of 12 random bytes, as a person reads it: `7QK2M-0XV4P-9TRB3-H6WSD`."""
    if len(secret) != DATA_BYTES:
        raise ValueError(f"a code is made of {DATA_BYTES} bytes")
    bits = int.from_bytes(secret, "big") >> 1
    values = [bits >> 5 * place & 31 for place in reversed(range(DATA_SIGNS))]
    signs = "".join(SIGNS[value] for value in [*values, _check(values)])
    return "-".join(signs[start : start + 5] for start in range(0, len(signs), 5))


def normal(typed: str) -> str | None:
    """The signs of a code as somebody typed it, or None where it cannot be one.

    Small letters, spaces and hyphens are forgiven, and signs that look like another: I and L are 1, O is 0.
    """
    signs = "".join(sign for sign in typed.upper() if not sign.isspace() and sign not in "-‐‑–—._").translate(
        _LOOKS_LIKE
    )
    if len(signs) != DATA_SIGNS + 1 or not set(signs) <= set(SIGNS):
        return None
    *values, check = (SIGNS.index(sign) for sign in signs)
    return signs if check == _check(values) else None


def hash_of(code: str) -> str | None:
    """What is stored of a code and looked up by it (SHA-256, hexadecimal); None where it cannot be a code."""
    signs = normal(code)
    return None if signs is None else hashlib.sha256(f"consilium withdrawal code {signs}".encode()).hexdigest()


def _check(values: list[int]) -> int:
    # Horner: each step multiplies what came before by x, so that every place has a power of its own; the check sign
    # has the power 0.
    total = 0
    for value in values:
        total = _times_x(total ^ value)
    return total


def _times_x(value: int) -> int:
    value <<= 1
    return value ^ _FIELD if value & 32 else value
