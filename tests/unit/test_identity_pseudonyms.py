"""Which pseudonyms tell a name."""

import pytest

from services.identity.domain.account import Account, MoveRefused, normalise_pseudonym
from services.identity.domain.pseudonyms import tells_name
from services.identity.domain.verification import CivilName
from shared.events import Profession
from tests.verification_house import START

ANNE = CivilName("Dupont-Moreau", "Anne-Zoé", on_record=("BEAULIEU",))


@pytest.mark.parametrize(
    "pseudonym",
    [
        "Dupont", "Dr Dupont", "dr.DUPONT", "DrDupont75", "dûpönt", "Du Pont", "d-u-p-o-n-t", "moreau_d", "A. Dupont",
        "adupont", "Dupont A", "Moreau Dupont", "Docteur Anne Moreau", "Dup0nt", "du1pont", "M0r3au", "Dr Beaulieu",
        "Beau Lieu", "Anne D", "D. Anne", "AnneD", "zoem", "Anne-Zoé B", "Annezoe M", "Duроnt",
    ],
)  # fmt: skip
def test_who_reads_it_knows_the_name(pseudonym: str) -> None:
    assert tells_name(normalise_pseudonym(pseudonym), ANNE)


@pytest.mark.parametrize(
    "pseudonym",
    ["Dr Ambroise", "Anne", "Dr Anne", "Zoé 75", "A.D", "Du Lac", "Pont Neuf", "Bel Ami", "Maureau Zorro", "Annette B",
     "Dr D", "Docteur Mo", "750175"],
)  # fmt: skip
def test_what_tells_nothing_is_free(pseudonym: str) -> None:
    assert not tells_name(normalise_pseudonym(pseudonym), ANNE)


@pytest.mark.parametrize(
    ("family", "told", "free"),
    [
        ("Li", ("Dr Li", "li"), ("Olive", "Lila", "Dr Ali")),
        ("Roy", ("LeRoy", "Dr Roy", "R.O.Y"), ("Zorro Yak", "Dr Or")),
        ("de la Tour", ("Delatour", "Latour", "La Tour", "Dr Tour"), ("Dr Delalande", "de la Rue")),
        ("Le", ("Dr Le",), ("Dr Leblanc",)),
        ("Müller", ("Mueller", "muller", "MÜLLER"), ("Miller",)),
        ("d'Ormesson", ("dOrmesson", "Ormesson"), ("Dr d'Or",)),
        ("Lœuvre", ("Loeuvre", "L'œuvre"), ("Manœuvre",)),
        ("O'Brien", ("Brien", "Obrien"), ("Dr O",)),
        ("N'Guyen", ("Nguyen 2", "N. Guyen"), ("Dr Guy",)),
    ],
)
def test_short_and_compound_names(family: str, told: tuple[str, ...], free: tuple[str, ...]) -> None:
    name = CivilName(family, "Xan")
    assert [pseudonym for pseudonym in told if not tells_name(pseudonym, name)] == []
    assert [pseudonym for pseudonym in free if tells_name(pseudonym, name)] == []


def test_an_account_gets_another_pseudonym_unless_it_is_suspended() -> None:
    account = Account.register(
        email="a@b.example", password_hash="h", pseudonym="Saule", profession=Profession.NURSE, now=START
    )
    renamed = account.rename("Noisetier")
    assert (renamed.pseudonym, renamed.version) == ("Noisetier", account.version + 1)
    assert account.rename("Saule") is account
    with pytest.raises(MoveRefused):
        account.suspend("insults").rename("Noisetier")
