"""The words of pages and forms for patients, equally in French and English. Plain words; no names."""

from collections.abc import Mapping
from datetime import date
from enum import StrEnum
from typing import Final

from services.ingest.domain.signers import Capacity, LegalGround, Relation, Subject, View, ViewNote
from shared.events import Audience, Language, Specialty
from shared.web import Text

AUDIENCES: Final[Mapping[Audience, Text]] = {
    Audience.PROFESSIONALS: Text(
        en="verified health professionals, without students",
        fr="les professionnels de santé vérifiés, sans les étudiants",
    ),
    Audience.PROFESSIONALS_AND_STUDENTS: Text(
        en="verified health professionals and students of these professions",
        fr="les professionnels de santé vérifiés et les étudiants de ces professions",
    ),
    Audience.SPECIALTY: Text(
        en="verified health professionals and students of one specialty only: {specialty}",
        fr="les professionnels de santé vérifiés et les étudiants d’une seule spécialité\u00a0: {specialty}",
    ),
}
CAPACITIES: Final[Mapping[Capacity, Text]] = {
    Capacity.SELF: Text(
        en="I am the adult in the pictures.",
        fr="Je suis la personne adulte qui figure sur les images.",
    ),
    Capacity.PARENT_A: Text(
        en="I hold parental authority over the child in the pictures. The other holder signs as well.",
        fr="J’exerce l’autorité parentale sur l’enfant qui figure sur les images. L’autre titulaire signe aussi.",
    ),
    Capacity.PARENT_B: Text(
        en="I hold parental authority over the child in the pictures. The other holder signs as well.",
        fr="J’exerce l’autorité parentale sur l’enfant qui figure sur les images. L’autre titulaire signe aussi.",
    ),
    Capacity.SOLE_HOLDER: Text(
        en="I alone may decide for the child in the pictures. Reason: {ground}.",
        fr="Je peux décider sans autre signature pour l’enfant qui figure sur les images. Motif\u00a0: {ground}.",
    ),
    Capacity.REPRESENTATIVE: Text(
        en="I represent the adult in the pictures. By what right: {ground}.",
        fr="Je représente la personne adulte qui figure sur les images. À quel titre\u00a0: {ground}.",
    ),
    Capacity.RELATIVE: Text(
        en="I am close to the person in the pictures, who has died. I am or was their: {relation}.",
        fr="Je suis proche de la personne décédée qui figure sur les images. Lien\u00a0: {relation}.",
    ),
}
SUBJECTS: Final[Mapping[Subject, Text]] = {
    Subject.ADULT: Text(en="an adult, who signs", fr="une personne adulte, qui signe"),
    Subject.MINOR: Text(en="a child (under 18)", fr="un enfant (moins de 18 ans)"),
    Subject.PROTECTED_ADULT: Text(
        en="an adult under a measure of protection", fr="une personne adulte protégée (mesure de protection)"
    ),
    Subject.DECEASED: Text(en="somebody who has died", fr="une personne décédée"),
}
GROUNDS: Final[Mapping[LegalGround, Text]] = {
    LegalGround.ONE_PARENT_KNOWN: Text(en="only one parent in law", fr="un seul parent en droit"),
    LegalGround.OTHER_PARENT_DECEASED: Text(en="the other parent has died", fr="l’autre parent est décédé"),
    LegalGround.OTHER_PARENT_UNABLE: Text(
        en="the other parent is absent or unable to say what they want",
        fr="l’autre parent est absent ou hors d’état de manifester sa volonté",
    ),
    LegalGround.SOLE_BY_COURT: Text(
        en="a judge gave parental authority to one parent",
        fr="un juge a confié l’exercice de l’autorité parentale à un seul parent",
    ),
    LegalGround.AUTHORITY_WITHDRAWN: Text(
        en="parental authority was taken from the other parent",
        fr="l’autorité parentale a été retirée à l’autre parent",
    ),
    LegalGround.AUTHORITY_DELEGATED: Text(
        en="parental authority was delegated to me by a judge",
        fr="un juge m’a délégué l’autorité parentale",
    ),
    LegalGround.GUARDIAN_OF_MINOR: Text(en="guardian of the child", fr="tutelle du mineur"),
    LegalGround.GUARDIAN: Text(
        en="guardian, for decisions about the person", fr="tutelle, pour les décisions relatives à la personne"
    ),
    LegalGround.FAMILY_AUTHORISATION: Text(en="family authorisation", fr="habilitation familiale"),
    LegalGround.FUTURE_MANDATE: Text(
        en="mandate for future protection, in force", fr="mandat de protection future mis en œuvre"
    ),
    LegalGround.COURT_ORDER: Text(en="another decision of a judge", fr="autre décision d’un juge"),
}
RELATIONS: Final[Mapping[Relation, Text]] = {
    Relation.SPOUSE_OR_PARTNER: Text(en="husband, wife or partner", fr="conjoint, partenaire ou concubin"),
    Relation.CHILD: Text(en="son or daughter", fr="fils ou fille"),
    Relation.PARENT: Text(en="father or mother", fr="père ou mère"),
    Relation.SIBLING: Text(en="brother or sister", fr="frère ou sœur"),
    Relation.TRUSTED_PERSON: Text(
        en="trusted person, named in life", fr="personne de confiance, désignée de son vivant"
    ),
    Relation.OTHER_RELATIVE: Text(en="another relative", fr="autre membre de la famille"),
}
VIEWS: Final[Mapping[View, Text]] = {
    View.AGREED: Text(en="agrees ({note})", fr="d’accord ({note})"),
    View.OBJECTED: Text(en="does not want it ({note})", fr="ne le souhaite pas ({note})"),
    View.UNABLE: Text(en="could not be asked ({note})", fr="n’a pas pu être interrogée ({note})"),
    View.NOT_KNOWN: Text(en="no objection is known from life", fr="aucune opposition connue de son vivant"),
}
NOTES: Final[Mapping[ViewNote, Text]] = {
    ViewNote.SPOKEN: Text(en="said so", fr="l’a dit"),
    ViewNote.GESTURE: Text(en="showed it by a gesture", fr="l’a montré par un geste"),
    ViewNote.WRITTEN: Text(en="in writing", fr="par écrit"),
    ViewNote.TOO_YOUNG: Text(en="too young", fr="trop jeune"),
    ViewNote.STATE_OF_HEALTH: Text(en="state of health", fr="état de santé"),
    ViewNote.CANNOT_COMMUNICATE: Text(en="cannot make themselves understood", fr="ne peut pas se faire comprendre"),
}
SPECIALTIES: Final[Mapping[Specialty, Text]] = {
    Specialty.ANAESTHESIOLOGY: Text(en="anaesthesiology", fr="anesthésie-réanimation"),
    Specialty.CARDIOLOGY: Text(en="cardiology", fr="cardiologie"),
    Specialty.DENTISTRY: Text(en="dentistry", fr="odontologie"),
    Specialty.DERMATOLOGY: Text(en="dermatology", fr="dermatologie"),
    Specialty.EMERGENCY_MEDICINE: Text(en="emergency medicine", fr="médecine d’urgence"),
    Specialty.ENDOCRINOLOGY: Text(en="endocrinology", fr="endocrinologie"),
    Specialty.GASTROENTEROLOGY: Text(en="gastroenterology", fr="gastro-entérologie"),
    Specialty.GENERAL_PRACTICE: Text(en="general practice", fr="médecine générale"),
    Specialty.GERIATRICS: Text(en="geriatrics", fr="gériatrie"),
    Specialty.GYNAECOLOGY_OBSTETRICS: Text(en="gynaecology and obstetrics", fr="gynécologie-obstétrique"),
    Specialty.HAEMATOLOGY: Text(en="haematology", fr="hématologie"),
    Specialty.INFECTIOUS_DISEASES: Text(en="infectious diseases", fr="maladies infectieuses"),
    Specialty.INTERNAL_MEDICINE: Text(en="internal medicine", fr="médecine interne"),
    Specialty.NEPHROLOGY: Text(en="nephrology", fr="néphrologie"),
    Specialty.NEUROLOGY: Text(en="neurology", fr="neurologie"),
    Specialty.NURSING: Text(en="nursing", fr="soins infirmiers"),
    Specialty.ONCOLOGY: Text(en="oncology", fr="oncologie"),
    Specialty.OPHTHALMOLOGY: Text(en="ophthalmology", fr="ophtalmologie"),
    Specialty.ORTHOPAEDICS: Text(en="orthopaedics", fr="orthopédie"),
    Specialty.OTORHINOLARYNGOLOGY: Text(en="ear, nose and throat", fr="oto-rhino-laryngologie"),
    Specialty.PAEDIATRICS: Text(en="paediatrics", fr="pédiatrie"),
    Specialty.PHARMACY: Text(en="pharmacy", fr="pharmacie"),
    Specialty.PHYSIOTHERAPY: Text(en="physiotherapy", fr="kinésithérapie"),
    Specialty.PODIATRY: Text(en="podiatry", fr="pédicurie-podologie"),
    Specialty.PSYCHIATRY: Text(en="psychiatry", fr="psychiatrie"),
    Specialty.PULMONOLOGY: Text(en="pulmonology", fr="pneumologie"),
    Specialty.RADIOLOGY: Text(en="radiology", fr="radiologie"),
    Specialty.RHEUMATOLOGY: Text(en="rheumatology", fr="rhumatologie"),
    Specialty.SURGERY: Text(en="surgery", fr="chirurgie"),
    Specialty.UROLOGY: Text(en="urology", fr="urologie"),
    Specialty.WOUND_CARE: Text(en="wound care", fr="plaies et cicatrisation"),
    Specialty.ALLERGOLOGY: Text(en="allergology", fr="allergologie"),
    Specialty.CARDIOTHORACIC_SURGERY: Text(en="cardiothoracic surgery", fr="chirurgie thoracique et cardiovasculaire"),
    Specialty.CHILD_PSYCHIATRY: Text(
        en="child and adolescent psychiatry", fr="psychiatrie de l’enfant et de l’adolescent"
    ),
    Specialty.CRITICAL_CARE: Text(en="critical care", fr="médecine intensive-réanimation"),
    Specialty.FORENSIC_MEDICINE: Text(en="forensic medicine", fr="médecine légale"),
    Specialty.MEDICAL_BIOLOGY: Text(en="laboratory medicine", fr="biologie médicale"),
    Specialty.MEDICAL_GENETICS: Text(en="medical genetics", fr="génétique médicale"),
    Specialty.MIDWIFERY: Text(en="midwifery", fr="maïeutique"),
    Specialty.NEUROSURGERY: Text(en="neurosurgery", fr="neurochirurgie"),
    Specialty.NUCLEAR_MEDICINE: Text(en="nuclear medicine", fr="médecine nucléaire"),
    Specialty.OCCUPATIONAL_MEDICINE: Text(en="occupational medicine", fr="médecine du travail"),
    Specialty.ORAL_MAXILLOFACIAL_SURGERY: Text(
        en="oral and maxillofacial surgery", fr="chirurgie maxillo-faciale et stomatologie"
    ),
    Specialty.PATHOLOGY: Text(en="pathology", fr="anatomie et cytologie pathologiques"),
    Specialty.PLASTIC_SURGERY: Text(en="plastic surgery", fr="chirurgie plastique, reconstructrice et esthétique"),
    Specialty.PSYCHOLOGY: Text(en="clinical psychology", fr="psychologie clinique"),
    Specialty.PUBLIC_HEALTH: Text(en="public health", fr="santé publique"),
    Specialty.REHABILITATION_MEDICINE: Text(en="rehabilitation medicine", fr="médecine physique et de réadaptation"),
    Specialty.VASCULAR_MEDICINE: Text(en="vascular medicine and surgery", fr="médecine et chirurgie vasculaires"),
}


class Label(StrEnum):
    """What stands beside the values of a form."""

    FORM = "form"
    LEAFLET = "leaflet"
    RECEIPT = "receipt"
    PATIENT_CODE = "patient_code"
    SUBJECT = "subject"
    OWN_VIEW = "own_view"
    AUDIENCE = "audience"
    DURATION = "duration"
    CONTACT = "contact"
    CONTROLLER = "controller"
    OFFICER = "officer"
    INFORMED = "informed"
    PICTURES = "pictures"
    PURPOSES = "purposes"
    NEEDED = "needed"
    CAPACITY = "capacity"
    SIGNATURE = "signature"
    PLACE_AND_DATE = "place_and_date"
    NO_NAME = "no_name"
    CODE = "code"
    CODE_HOW = "code_how"
    CODE_LATER = "code_later"
    KEEP = "keep"
    PHOTOGRAPH = "photograph"
    SIGNED_ON = "signed_on"
    UNTIL = "until"
    TEXT_HASH = "text_hash"
    PAGE = "page"


LABELS: Final[Mapping[Label, Text]] = {
    Label.FORM: Text(en="Consent form", fr="Formulaire de consentement"),
    Label.LEAFLET: Text(en="Information leaflet, for you to keep", fr="Notice d’information, à conserver"),
    Label.RECEIPT: Text(en="Receipt, for you to keep", fr="Reçu, à conserver"),
    Label.PATIENT_CODE: Text(en="Code that stands for the patient", fr="Code qui désigne le patient"),
    Label.SUBJECT: Text(en="In the pictures", fr="Sur les images"),
    Label.OWN_VIEW: Text(en="What this person says", fr="Avis de cette personne"),
    Label.AUDIENCE: Text(en="Who sees them", fr="Qui les voit"),
    Label.DURATION: Text(en="For how long", fr="Pendant combien de temps"),
    Label.CONTACT: Text(en="Whom to ask", fr="À qui s’adresser"),
    Label.CONTROLLER: Text(en="Responsible organisation", fr="Organisme responsable"),
    Label.OFFICER: Text(en="Data protection officer", fr="Délégué à la protection des données"),
    Label.INFORMED: Text(en="Informed on", fr="Information donnée le"),
    Label.PICTURES: Text(
        en="The pictures that would be shown, covered as you see them here",
        fr="Les images qui seraient montrées, recouvertes comme vous les voyez ici",
    ),
    Label.PURPOSES: Text(en="What I agree to", fr="Ce que j’accepte"),
    Label.NEEDED: Text(en="needed, or nothing is shown", fr="nécessaire, sinon rien n’est montré"),
    Label.CAPACITY: Text(en="I sign as", fr="Je signe en qualité de"),
    Label.SIGNATURE: Text(en="Signature", fr="Signature"),
    Label.PLACE_AND_DATE: Text(en="Date", fr="Date"),
    Label.NO_NAME: Text(
        en="Do not write a name on this sheet. Your carer knows whom the code stands for.",
        fr="N’écrivez pas de nom sur cette feuille. Votre soignant sait qui le code désigne.",
    ),
    Label.CODE: Text(en="Withdrawal code", fr="Code de retrait"),
    Label.CODE_HOW: Text(
        en="With this code alone you can end everything, at any time and without giving a reason, on {url} or through "
        "your carer. Keep it: nobody can read it to you again.",
        fr="Avec ce seul code, vous pouvez mettre fin à tout, à tout moment et sans donner de raison, sur {url} ou par "
        "votre soignant. Conservez-le\u00a0: personne ne peut vous le relire.",
    ),
    Label.CODE_LATER: Text(
        en="You get the code when you have signed.", fr="Vous recevez ce code une fois que vous avez signé."
    ),
    Label.KEEP: Text(
        en="Cut here: this part stays with whoever signs.", fr="À découper\u00a0: cette partie reste à qui signe."
    ),
    Label.PHOTOGRAPH: Text(
        en="To be photographed for the record: from here on only, without the pictures, once the part with the "
        "withdrawal code is cut off.",
        fr="À photographier pour le dossier\u00a0: à partir d’ici seulement, sans les images, une fois découpée la "
        "partie qui porte le code de retrait.",
    ),
    Label.SIGNED_ON: Text(en="Signed on", fr="Signé le"),
    Label.UNTIL: Text(en="Shown until, at the latest", fr="Montré au plus tard jusqu’au"),
    Label.TEXT_HASH: Text(en="Proof of the text (SHA-256)", fr="Preuve du texte (SHA-256)"),
    Label.PAGE: Text(en="Page {number}", fr="Page {number}"),
}
_MONTHS: Final[Mapping[Language, tuple[str, ...]]] = {
    "en": (
        "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
        "December",
    ),
    "fr": (
        "janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre", "octobre", "novembre",
        "décembre",
    ),
}  # fmt: skip


def said(text: Text, language: Language, **values: object) -> str:
    """The sentence in one language, with its places filled."""
    return text.said_in(language, values)


def day(of: date, language: Language) -> str:
    """`22 November 2026`, `22 novembre 2026`, `1er mars 2026`; the spaces do not break."""
    number = "1er" if language == "fr" and of.day == 1 else str(of.day)
    return f"{number}\u00a0{_MONTHS[language][of.month - 1]}\u00a0{of.year}"


def years(number: int, language: Language) -> str:
    """`2 years`, `1 an`."""
    unit = ("an" if number == 1 else "ans") if language == "fr" else ("year" if number == 1 else "years")
    return f"{number}\u00a0{unit}"
