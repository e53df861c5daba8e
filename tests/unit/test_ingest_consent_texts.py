"""Published consent texts are for ever: somebody signed exactly these bytes."""

from services.ingest import consent_texts
from services.ingest.domain.consent import Purpose

PUBLISHED = {
    ("2026-11", "en"): "8a66a3c4e15090449059f572a96c3c766946b9a883ec78ac8503e4b623108984",
    ("2026-11", "fr"): "077d951c2ede35d04cc5a5569646b5705b903322d8d6d3320c3b29b76da03b10",
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
