"""The code that ends a case: read out, typed on a telephone, and checked before anything is looked up."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.domain.withdrawal_code import DATA_BYTES, SIGNS, code_from, hash_of, normal

secrets = st.binary(min_size=DATA_BYTES, max_size=DATA_BYTES)


def test_it_has_four_groups_of_five_without_signs_that_look_alike() -> None:
    code = code_from(bytes(range(DATA_BYTES)))
    assert [len(group) for group in code.split("-")] == [5, 5, 5, 5]
    assert not set("ILOU") & set(SIGNS)
    assert len(set(SIGNS)) == 32


@given(secrets)
def test_95_bits_are_in_it(secret: bytes) -> None:
    flipped = int.from_bytes(secret, "big") ^ 0b10
    assert code_from(secret) != code_from(flipped.to_bytes(DATA_BYTES, "big"))
    unused = int.from_bytes(secret, "big") ^ 1
    assert code_from(secret) == code_from(unused.to_bytes(DATA_BYTES, "big"))


@given(secrets)
def test_what_a_hand_does_to_it_is_forgiven(secret: bytes) -> None:
    code = code_from(secret)
    for typed in (code.lower(), code.replace("-", " "), code.replace("-", ""), f"  {code}\n", code.replace("-", "–")):
        assert hash_of(typed) == hash_of(code)
    looks_like = code.replace("0", "o").replace("1", "l")
    assert hash_of(looks_like) == hash_of(code)


@given(secrets)
def test_every_wrong_sign_and_every_swap_is_noticed(secret: bytes) -> None:
    signs = list(code_from(secret).replace("-", ""))
    for place in range(len(signs)):
        other = SIGNS[(SIGNS.index(signs[place]) + 1 + place) % 32]
        if other != signs[place]:
            assert normal("".join([*signs[:place], other, *signs[place + 1 :]])) is None
    for one, two in itertools.combinations(range(len(signs)), 2):
        swapped = list(signs)
        swapped[one], swapped[two] = swapped[two], swapped[one]
        assert (normal("".join(swapped)) is None) is (signs[one] != signs[two])


@pytest.mark.parametrize("typed", ["", "7QK2M", "U" * 20, "7QK2M-0XV4P-9TRB3-H6WSDX", "é" * 20, "0" * 19])
def test_what_cannot_be_a_code_has_no_hash(typed: str) -> None:
    assert hash_of(typed) is None


def test_a_code_is_made_of_twelve_bytes() -> None:
    with pytest.raises(ValueError, match="12 bytes"):
        code_from(b"short")
