"""The words of the platform: professions, roles, specialties, kinds. Every service has the same."""

from enum import StrEnum


class Profession(StrEnum):
    PHYSICIAN = "physician"
    STUDENT = "student"
    NURSE = "nurse"
    MIDWIFE = "midwife"
    PHARMACIST = "pharmacist"
    DENTIST = "dentist"
    PHYSIOTHERAPIST = "physiotherapist"
    PSYCHOLOGIST = "psychologist"
    PODIATRIST = "podiatrist"


class MemberStatus(StrEnum):
    """`left`: the person has gone for good; only the id is left, and what becomes of what they wrote."""

    UNVERIFIED = "unverified"
    VERIFIED = "verified"
    SUSPENDED = "suspended"
    LEFT = "left"


class Contributions(StrEnum):
    """What becomes of what a member wrote when they leave: it stays without a name, or goes."""

    KEPT = "kept"
    ERASED = "erased"


class Role(StrEnum):
    """What an account may be. `member` is a health professional or a student of these professions: nobody else takes
    part. Patients and their relatives may have accounts, without any right on professional routes."""

    MEMBER = "member"
    MODERATOR = "moderator"
    CREDENTIAL_REVIEWER = "credential_reviewer"
    PRIVACY_OFFICER = "privacy_officer"
    PATIENT = "patient"
    RELATIVE = "relative"


STAFF_ROLES = frozenset({Role.MODERATOR, Role.CREDENTIAL_REVIEWER, Role.PRIVACY_OFFICER})
"""Who decides about others: such an account signs in with two factors."""


class Specialty(StrEnum):
    """Names in French and English, other spellings and foreign codes: services/identity/specialties/."""

    ALLERGOLOGY = "allergology"
    ANAESTHESIOLOGY = "anaesthesiology"
    CARDIOLOGY = "cardiology"
    CARDIOTHORACIC_SURGERY = "cardiothoracic_surgery"
    CHILD_PSYCHIATRY = "child_psychiatry"
    CRITICAL_CARE = "critical_care"
    DENTISTRY = "dentistry"
    DERMATOLOGY = "dermatology"
    EMERGENCY_MEDICINE = "emergency_medicine"
    ENDOCRINOLOGY = "endocrinology"
    FORENSIC_MEDICINE = "forensic_medicine"
    GASTROENTEROLOGY = "gastroenterology"
    GENERAL_PRACTICE = "general_practice"
    GERIATRICS = "geriatrics"
    GYNAECOLOGY_OBSTETRICS = "gynaecology_obstetrics"
    HAEMATOLOGY = "haematology"
    INFECTIOUS_DISEASES = "infectious_diseases"
    INTERNAL_MEDICINE = "internal_medicine"
    MEDICAL_BIOLOGY = "medical_biology"
    MEDICAL_GENETICS = "medical_genetics"
    MIDWIFERY = "midwifery"
    NEPHROLOGY = "nephrology"
    NEUROLOGY = "neurology"
    NEUROSURGERY = "neurosurgery"
    NUCLEAR_MEDICINE = "nuclear_medicine"
    NURSING = "nursing"
    OCCUPATIONAL_MEDICINE = "occupational_medicine"
    ONCOLOGY = "oncology"
    OPHTHALMOLOGY = "ophthalmology"
    ORAL_MAXILLOFACIAL_SURGERY = "oral_maxillofacial_surgery"
    ORTHOPAEDICS = "orthopaedics"
    OTORHINOLARYNGOLOGY = "otorhinolaryngology"
    PAEDIATRICS = "paediatrics"
    PATHOLOGY = "pathology"
    PHARMACY = "pharmacy"
    PHYSIOTHERAPY = "physiotherapy"
    PLASTIC_SURGERY = "plastic_surgery"
    PODIATRY = "podiatry"
    PSYCHIATRY = "psychiatry"
    PSYCHOLOGY = "psychology"
    PUBLIC_HEALTH = "public_health"
    PULMONOLOGY = "pulmonology"
    RADIOLOGY = "radiology"
    REHABILITATION_MEDICINE = "rehabilitation_medicine"
    RHEUMATOLOGY = "rheumatology"
    SURGERY = "surgery"
    UROLOGY = "urology"
    VASCULAR_MEDICINE = "vascular_medicine"
    WOUND_CARE = "wound_care"


class QuestionKind(StrEnum):
    DIAGNOSIS = "diagnosis"
    TREATMENT = "treatment"
    MANAGEMENT = "management"
    POSOLOGY = "posology"
    ADMINISTRATIVE = "administrative"
    MEDICO_LEGAL = "medico_legal"
    OPINION = "opinion"
    TEACHING = "teaching"
    PRACTICE = "practice"


class PictureKind(StrEnum):
    PHOTO = "photo"
    WOUND = "wound"
    XRAY = "xray"
    ECG = "ecg"
    SCAN = "scan"
    ECHO = "echo"
    LAB = "lab"
    HISTOLOGY = "histology"


class CommentKind(StrEnum):
    DIAGNOSIS = "diagnosis"
    TREATMENT = "treatment"
    QUESTION = "question"
    REMARK = "remark"


SKIN_KINDS = frozenset({PictureKind.PHOTO, PictureKind.WOUND})
"""Pictures that may show skin: author and moderator say of each whether a mark on it could tell who the patient is."""


class MarkAnswer(StrEnum):
    """What a person says of a tattoo, scar, piece of jewellery or birthmark: there is none, it is covered, or it stays.

    Of a proposal the only answers are `covered` and `left`.
    """

    NONE = "none"
    COVERED = "covered"
    LEFT = "left"


class LeftReason(StrEnum):
    """Why a mark stays visible, or why a proposal is not covered. Stable codes."""

    SCAR = "scar"
    BIRTHMARK = "birthmark"
    JEWELLERY = "jewellery"
    LESION = "lesion"
    NOT_IDENTIFYING = "not_identifying"
    NO_MARK = "no_mark"


class Sex(StrEnum):
    """A patient's sex, where the author says it; `withheld`: it plays no part, or would single the patient out."""

    FEMALE = "female"
    MALE = "male"
    OTHER = "other"
    WITHHELD = "withheld"


class AgeBand(StrEnum):
    """A patient's age, never more exactly: months below two years, five years after that, and 90 and above as one."""

    MONTHS_0_2 = "months_0_2"
    MONTHS_3_5 = "months_3_5"
    MONTHS_6_11 = "months_6_11"
    MONTHS_12_17 = "months_12_17"
    MONTHS_18_23 = "months_18_23"
    YEARS_2_4 = "years_2_4"
    YEARS_5_9 = "years_5_9"
    YEARS_10_14 = "years_10_14"
    YEARS_15_19 = "years_15_19"
    YEARS_20_24 = "years_20_24"
    YEARS_25_29 = "years_25_29"
    YEARS_30_34 = "years_30_34"
    YEARS_35_39 = "years_35_39"
    YEARS_40_44 = "years_40_44"
    YEARS_45_49 = "years_45_49"
    YEARS_50_54 = "years_50_54"
    YEARS_55_59 = "years_55_59"
    YEARS_60_64 = "years_60_64"
    YEARS_65_69 = "years_65_69"
    YEARS_70_74 = "years_70_74"
    YEARS_75_79 = "years_75_79"
    YEARS_80_84 = "years_80_84"
    YEARS_85_89 = "years_85_89"
    YEARS_90_UP = "years_90_up"


class Timing(StrEnum):
    """How long before it is asked the case happened: what is said instead of a date."""

    WEEKS = "weeks"
    MONTHS = "months"
    ONE_TO_FIVE_YEARS = "one_to_five_years"
    OVER_FIVE_YEARS = "over_five_years"


class IdentifierKind(StrEnum):
    """What words that may identify somebody may be. Stable codes: they travel in events (`TextFinding`).

    `name`: of a person, with initials; `date`: any date more exact than the year; `age`: above 89; `place`: smaller
    than a region, with streets, postcodes, hospitals, wards and rooms; `record_number`: IPP, MRN, stay and file
    numbers; `nir`, `ssn`: social security in France and the USA; `nhs`: the British health number; `rpps`, `npi`: a
    carer's number in France and the USA; `url`: with handles of social networks; `plate`: of a vehicle.
    """

    NAME = "name"
    DATE = "date"
    AGE = "age"
    PLACE = "place"
    PHONE = "phone"
    EMAIL = "email"
    NIR = "nir"
    RPPS = "rpps"
    RECORD_NUMBER = "record_number"
    SSN = "ssn"
    NHS = "nhs"
    NPI = "npi"
    URL = "url"
    IP = "ip"
    PLATE = "plate"


class RegionKind(StrEnum):
    FACE = "face"
    TEXT = "text"
    TATTOO = "tattoo"
    CODE = "code"
    MANUAL = "manual"


class RenditionSize(StrEnum):
    FULL = "full"
    LARGE = "large"
    SMALL = "small"


class RedactionOutcome(StrEnum):
    REDACTED = "redacted"
    UNREADABLE = "unreadable"


class RejectOutcome(StrEnum):
    REJECTED = "rejected"
    CHANGES = "changes"


class Audience(StrEnum):
    """To whom a patient lets a case be shown. All are verified; students are in the first only where it says so."""

    PROFESSIONALS = "professionals"
    PROFESSIONALS_AND_STUDENTS = "professionals_and_students"
    SPECIALTY = "specialty"


class WithdrawalCause(StrEnum):
    """Why a case is gone: its author or the patient took it back, the consent ended, the author left, or a restore has
    lost the record of it, with the consent.
    """

    AUTHOR = "author"
    PATIENT = "patient"
    EXPIRED = "expired"
    MEMBER_LEFT = "member_left"
    RECORD_LOST = "record_lost"
