"""Published consent texts are for ever: somebody signed exactly these bytes."""

from services.ingest import consent_texts
from services.ingest.domain.consent import FACES_COVERED, Purpose

PUBLISHED = {
    ("2026-11", "en"): "8a66a3c4e15090449059f572a96c3c766946b9a883ec78ac8503e4b623108984",
    ("2026-11", "fr"): "077d951c2ede35d04cc5a5569646b5705b903322d8d6d3320c3b29b76da03b10",
    ("2026-11b", "en"): "1998d4126fdaaf329b28cd129a59a3399bbe27c43b16a82a0d4df13d8c8ac9db",
    ("2026-11b", "fr"): "c3c88176b617b7654f971c2c751f943dbe0f3cfeb00ac98ddab48fb32bdffcfa",
    ("2026-12", "en"): "9515adc5608dc6f4f65682dbe2a18093c4192b098070e7544f5031567a70b460",
    ("2026-12", "fr"): "f4d25975944ed2cdb5ba8efbe9206dda5a73e4fd159952f688266b9664d57616",
}


def test_no_published_text_was_ever_edited_or_removed() -> None:
    assert {(text.version, text.language): text.sha256 for text in consent_texts.published()} == PUBLISHED


def test_every_version_exists_in_both_languages() -> None:
    versions = {text.version for text in consent_texts.published()}
    assert {(text.version, text.language) for text in consent_texts.published()} == {
        (version, language) for version in versions for language in ("fr", "en")
    }


def test_each_text_names_every_purpose_and_what_nobody_can_promise() -> None:
    purposes = {
        "en": {"Publication", "Teaching", "Similar cases", "Model training"},
        "fr": {"Publication", "Enseignement", "Cas semblables", "Entraînement de modèles"},
    }
    for text in consent_texts.published():
        named = {line.split("*")[1] for line in text.text.splitlines() if line.startswith("- *")}
        assert named == purposes[text.language]
        assert len(named) == len(Purpose)
        assert {"en": "What nobody can promise", "fr": "Ce que personne ne peut promettre"}[text.language] in text.text


def test_the_current_text_says_what_the_machine_does_about_tattoos_and_faces() -> None:
    texts = {
        str(text.language): text.text for text in consent_texts.published() if text.version == consent_texts.current()
    }
    assert consent_texts.current() == max(version for version, _ in PUBLISHED)
    for language, said in (
        ("en", ["looks for tattoos", "misses some", "part of your face", "two more people"]),
        ("fr", ["cherche aussi les tatouages", "laisse échapper", "partie de votre visage", "deux autres personnes"]),
    ):
        assert all(words in texts[language] for words in said)


def test_the_texts_that_allow_no_open_face_are_those_that_name_no_exception() -> None:
    assert {sha256 for (version, _), sha256 in PUBLISHED.items() if version == "2026-11"} == FACES_COVERED
    for text in consent_texts.published():
        exception = {"en": "part of your face", "fr": "partie de votre visage"}[text.language]
        assert (text.sha256 in FACES_COVERED) is (exception not in text.text)


def test_a_text_that_was_signed_before_stays_valid() -> None:
    for text in consent_texts.published():
        assert text.sha256 in consent_texts.hashes()[text.language]
