"""Why a case or a picture is not published: a fixed list of codes, so that no free text about a patient slips in."""

from enum import StrEnum


class ReasonCode(StrEnum):
    """Stable codes: they travel in `case.rejected` and stand in the audit chain; never rename one."""

    PATIENT_RECOGNISABLE = "patient_recognisable"
    IDENTIFIER_IN_PICTURE = "identifier_in_picture"
    IDENTIFIER_IN_TEXT = "identifier_in_text"
    PICTURE_UNREADABLE = "picture_unreadable"
    PICTURE_QUALITY = "picture_quality"
    PICTURE_NOT_NEEDED = "picture_not_needed"
    CLINICAL_PART_COVERED = "clinical_part_covered"
    QUESTION_UNCLEAR = "question_unclear"
    CONSENT_DOUBTFUL = "consent_doubtful"
    WRONG_SPECIALTY = "wrong_specialty"
    NOT_PROFESSIONAL = "not_professional"
    DUPLICATE = "duplicate"


REASONS: dict[ReasonCode, dict[str, str]] = {
    ReasonCode.PATIENT_RECOGNISABLE: {
        "fr": "Le patient pourrait être reconnu.",
        "en": "The patient could be recognised.",
    },
    ReasonCode.IDENTIFIER_IN_PICTURE: {
        "fr": "Une image montre encore un nom, une date de naissance, un numéro ou un code.",
        "en": "A picture still shows a name, a date of birth, a number or a code.",
    },
    ReasonCode.IDENTIFIER_IN_TEXT: {
        "fr": "Le texte contient un élément qui identifie une personne ou un lieu.",
        "en": "The text contains something that identifies a person or a place.",
    },
    ReasonCode.PICTURE_UNREADABLE: {
        "fr": "Une image n'a pas pu être lue ; envoyez-la dans un autre format.",
        "en": "A picture could not be read; send it in another format.",
    },
    ReasonCode.PICTURE_QUALITY: {
        "fr": "La qualité d'une image ne permet pas de répondre.",
        "en": "The quality of a picture does not allow an answer.",
    },
    ReasonCode.PICTURE_NOT_NEEDED: {
        "fr": "L'image n'apporte rien à la question.",
        "en": "The picture adds nothing to the question.",
    },
    ReasonCode.CLINICAL_PART_COVERED: {
        "fr": "La partie utile de l'image est masquée ; corrigez les zones.",
        "en": "The useful part of the picture is covered; correct the boxes.",
    },
    ReasonCode.QUESTION_UNCLEAR: {
        "fr": "La question n'est pas claire ou le contexte manque.",
        "en": "The question is unclear or the context is missing.",
    },
    ReasonCode.CONSENT_DOUBTFUL: {
        "fr": "Le consentement ne couvre pas ce qui serait publié.",
        "en": "The consent does not cover what would be published.",
    },
    ReasonCode.WRONG_SPECIALTY: {
        "fr": "Le cas relève d'une autre spécialité.",
        "en": "The case belongs to another specialty.",
    },
    ReasonCode.NOT_PROFESSIONAL: {
        "fr": "Le contenu ne relève pas d'un échange entre professionnels de santé.",
        "en": "The content is not an exchange between health professionals.",
    },
    ReasonCode.DUPLICATE: {
        "fr": "Ce cas a déjà été publié.",
        "en": "This case has already been published.",
    },
}
"""One sentence a code and language, addressed to the author."""
