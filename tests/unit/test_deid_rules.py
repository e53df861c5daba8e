"""What is pointed out and what is left alone, rule by rule."""

import pytest

from shared.deid import MAX_CHARACTERS, Kind, find
from shared.deid.finding import Finding, without_overlaps


def found(text: str, language: str = "fr") -> list[tuple[str, str]]:
    return [(one.kind.value, text[one.start : one.end]) for one in find(text, language)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Vue avec Mme Lambert ce matin.", ("name", "Lambert")),
        ("Adressé par le Dr Kerguelen.", ("name", "Kerguelen")),
        ("vu par mme durand hier", ("name", "durand")),
        ("Sa fille Rose est inquiète.", ("name", "Rose")),
        ("On a revu Zbigniew au bloc.", ("name", "Zbigniew")),
        ("Patient DUPONT Jean, plaie.", ("name", "DUPONT Jean")),
        ("M. B. tousse depuis un mois.", ("name", "B.")),
        ("Mme O'Brien est là.", ("name", "O'Brien")),
        ("Opéré par J.-P. Marchandeau hier.", ("name", "J.-P. Marchandeau")),
        ("Vu le 12/03/2024 au bloc.", ("date", "12/03/2024")),
        ("Vu le 24/12 au bloc.", ("date", "24/12")),
        ("Opéré le 1er mai dernier.", ("date", "1er mai")),
        ("Suivi depuis mars 2023.", ("date", "mars 2023")),
        ("Homme de 92 ans, chute.", ("age", "92 ans")),
        ("Il habite Bordeaux depuis.", ("place", "Bordeaux")),
        ("Suivie au CHU de Rennes.", ("place", "CHU de Rennes")),
        ("Il vit 12 bis rue du Docteur Martin.", ("place", "12 bis rue du Docteur Martin")),
        ("Hospitalisé chambre 214.", ("place", "chambre 214")),
        ("Son téléphone : 06 39 98 12 34.", ("phone", "06 39 98 12 34")),
        ("NIR 2 68 05 75 116 042 25", ("nir", "2 68 05 75 116 042 25")),
        ("RPPS 99900000011", ("rpps", "99900000011")),
        ("IPP : 8004517732", ("record_number", "8004517732")),
        ("Écrire à a.b@example.fr merci", ("email", "a.b@example.fr")),
        ("Photos : https://example.org/a/1.", ("url", "https://example.org/a/1")),
        ("Poste 192.168.1.12", ("ip", "192.168.1.12")),
        ("Voiture AB-123-CD.", ("plate", "AB-123-CD")),
    ],
)
def test_french_words_that_identify_are_pointed_out(text: str, expected: tuple[str, str]) -> None:
    assert expected in found(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Mr. Smith came back.", ("name", "Smith")),
        ("Her husband Mark is well.", ("name", "Mark")),
        ("Seen on March 12, 2024.", ("date", "March 12, 2024")),
        ("A 93-year-old man.", ("age", "93-year-old")),
        ("He lives in Leeds.", ("place", "Leeds")),
        ("From St Mary's Hospital.", ("place", "St Mary's Hospital")),
        ("Lives in LS2 9JT.", ("place", "LS2 9JT")),
        ("Call (212) 555-0123.", ("phone", "(212) 555-0123")),
        ("SSN 219-09-9999.", ("ssn", "219-09-9999")),
        ("NPI 1234567893.", ("npi", "1234567893")),
        ("NHS number 943 476 5919.", ("nhs", "943 476 5919")),
        ("MRN 00482917.", ("record_number", "00482917")),
    ],
)
def test_english_words_that_identify_are_pointed_out(text: str, expected: tuple[str, str]) -> None:
    assert expected in found(text, "en")


@pytest.mark.parametrize(
    "text",
    [
        "Maladie de Crohn, Parkinson débutant, pied de Charcot, maladie de Horton.",
        "Signe de Babinski, syndrome de Tietze, Cushing, ganglion de Virchow.",
        "Un Horton ? Un Basedow ? Un Kawasaki ?",
        "Maladie de Kikuchi-Fujimoto, score de Mirels, fracture de Tillaux.",
        "TA 12/8, T12-L1, 1/2 cp, 3/6 au foyer aortique, 10/10, 24/7.",
        "Le 1/3 moyen du tibia, le 2/3 inférieur.",
        "Doliprane 1 g, Kardegic 75 mg, Augmentin, Xarelto 15 mg, Zorglumab 40 mg.",
        "Escherichia coli, Staphylococcus aureus, Pseudomonas aeruginosa.",
        "Nerf sciatique, Os naviculaire, ligament croisé, IRM, ECG, CRP 120, SpO2 97 %.",
        "Homme de 87 ans, d'origine marocaine, revenu du Sénégal en 2019.",
        "Mme X et M. Y consultent.",
        "Glasgow 15, NIHSS 8, score de Glasgow à 13.",
        "NFS : plaquettes 250 000, GB 12 000/mm3, ferritine 12 400.",
        "FIÈVRE AU RETOUR DE VOYAGE CHEZ UNE JEUNE FEMME ENCEINTE",
    ],
)
def test_medical_words_doses_and_regions_are_left_alone(text: str) -> None:
    assert found(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "Crohn disease, Parkinson's, Charcot joint, Horton headache, Virchow node.",
        "Positive McMurray test, Smith fracture, Wells score 4.5, Murphy's sign.",
        "BP 120/80, L4-L5, 1/2 tablet, 6/6, grade 3/6 murmur.",
        "Unusual Rash After Amoxicillin in a Teenager With Epstein-Barr Virus",
        "She may march on; he will mark the spot. Hope this helps.",
        "E. coli and S. aureus grew. Type 2 diabetes, stage III.",
    ],
)
def test_english_medical_words_are_left_alone(text: str) -> None:
    assert found(text, "en") == []


def test_a_title_outweighs_an_eponym() -> None:
    assert ("name", "Parkinson") in found("Vue avec Mme Parkinson.")


def test_offsets_count_code_points_beyond_the_basic_plane() -> None:
    text = "🩺🩺 Vue avec Mme Lambert."
    (one,) = find(text, "fr")
    assert text[one.start : one.end] == "Lambert"


def test_what_lies_within_a_longer_finding_is_left_to_it() -> None:
    street, doctor = Finding(Kind.PLACE, 0, 20, 0.9, "street"), Finding(Kind.NAME, 12, 20, 0.97, "title")
    assert without_overlaps([doctor, street], "1 rue du Dr Lambertx") == (street,)


def test_what_is_left_of_a_finding_beside_a_surer_one_stays_pointed_out() -> None:
    name, date = Finding(Kind.NAME, 0, 9, 0.6, "capital"), Finding(Kind.DATE, 6, 14, 0.9, "numeric")
    kept = without_overlaps([name, date], "Abcde fghijklm")
    assert [(one.kind, one.start, one.end) for one in kept] == [(Kind.NAME, 0, 5), (Kind.DATE, 6, 14)]


def test_a_number_with_a_wrong_key_is_still_pointed_out_but_less_surely() -> None:
    (right,) = find("2 68 05 75 116 042 25", "fr")
    (wrong,) = find("2 68 05 75 116 042 03", "fr")
    assert right.kind is wrong.kind is Kind.NIR
    assert right.score > wrong.score


def test_the_check_digit_of_an_rpps_only_raises_its_score() -> None:
    (right,) = find("numéro 10002345675 ou", "fr")
    (wrong,) = find("numéro 10002345674 ou", "fr")
    assert right.kind is wrong.kind is Kind.RPPS
    assert right.score != wrong.score


def test_a_text_above_the_limit_is_refused() -> None:
    with pytest.raises(ValueError, match="too long"):
        find("a" * (MAX_CHARACTERS + 1), "fr")
