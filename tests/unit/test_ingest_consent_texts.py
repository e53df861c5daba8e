"""Published consent texts are for ever: somebody signed exactly these bytes."""

from services.ingest import consent_texts
from services.ingest.domain.consent import Purpose

PUBLISHED = {
    ("2026-11", "en"): "33132d3a7d7d22a6a92074c67ad3c55b010f2c967264d8dd12ddd1c5fa5826e8",
    ("2026-11", "fr"): "257f9ffe299bd9560c46e6c7f297b7dadb376519b7519d1a57d19ce1875df795",
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
