"""A DICOM data set without the patient: painted pixels, and of the header what shows them and holds no free text.

Two sieves, one behind the other. An allow-list builds a new data set: numbers, and codes of a few letters, of elements
that show the picture; no free text, no private element, no sequence but those that hold a window, a table or a
position. dicom-anonymizer then applies the Basic Application Level Confidentiality Profile (DICOM PS3.15 table E.1-1)
to what is left: UIDs change, the same one always to the same new one within a run. On its own it would keep text that
the profile's table does not list.
"""

import hashlib
import hmac
import secrets
import uuid
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from dicomanonymizer import simpledicomanonymizer as profile
from pydicom._uid_dict import UID_dictionary
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

from services.redactor.pixels.header import header_words, matched
from shared.events import Box

METHOD = (
    "DICOM PS3.15 Basic Application Level Confidentiality Profile",
    "Allow-list of elements without free text",
    "Pixels painted where text, codes, faces or tattoos were found",
)
_TABLE = "dicomfields_2026c"

_NUMBERS = frozenset((
    "CineRate", "ColumnPosition", "EchoTime", "EchoTrainLength", "Exposure", "ExposureTime", "FlipAngle",
    "FrameTime", "GantryDetectorTilt", "ImageOrientationPatient", "ImagePositionPatient", "ImagerPixelSpacing",
    "InstanceNumber", "InversionTime", "KVP", "MagneticFieldStrength", "PixelAspectRatio", "PixelSpacing",
    "ReconstructionDiameter", "RepetitionTime", "RescaleIntercept", "RescaleSlope", "SeriesNumber",
    "SliceLocation", "SliceThickness", "SpacingBetweenSlices", "WindowCenter", "WindowWidth", "XRayTubeCurrent",
))  # fmt: skip


def _terms(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


_SIDES = _terms("L R U B")
_CODES = {
    "BodyPartExamined": _terms(
        "ABDOMEN ANKLE AORTA ARM BRAIN BREAST CALCANEUS CHEST CLAVICLE COCCYX COLON CSPINE ELBOW EYE FEMUR FINGER FOOT "
        "FOREARM HAND HEAD HEART HIP HUMERUS JAW KIDNEY KNEE LEG LIVER LSPINE LUNG MANDIBLE MAXILLA NECK NOSE ORBIT "
        "PANCREAS PATELLA PELVIS PROSTATE RADIUS RIB SACRUM SCAPULA SHOULDER SKIN SKULL SPINE SPLEEN SSPINE STERNUM "
        "STOMACH TESTIS THIGH THUMB THYROID TIBIA TOE TSPINE ULNA UTERUS WRIST"
    ),
    "FieldOfViewShape": _terms("RECTANGLE ROUND HEXAGONAL"),
    "ImageLaterality": _SIDES,
    "Laterality": _SIDES,
    "LossyImageCompression": _terms("00 01"),
    "Modality": _terms(
        "BI CR CT DG DX ECG EPS ES GM HD IO IVOCT IVUS LS MG MR NM OCT OP OPM OPT OT PT PX RF RG SM TG US XA XC"
    ),
    "PatientPosition": _terms("HFP HFS HFDR HFDL FFP FFS FFDR FFDL LFP LFS RFP RFS AFDR AFDL PFDR PFDL"),
    "PresentationLUTShape": _terms("IDENTITY INVERSE"),
    "RescaleType": _terms("OD HU US MGML Z_EFF ED EDW HU_MOD PCT"),
    "ScanningSequence": _terms("SE IR GR EP RM"),
    "SequenceVariant": _terms("SK MTC SS TRSS SP MP OSP NONE"),
    "VOILUTFunction": _terms("LINEAR LINEAR_EXACT SIGMOID"),
    "ViewPosition": _terms("AP PA LL RL RLD LLD RLO LLO CC MLO ML LM LMO XCC XCCL XCCM FB ISO SIO CV AT"),
}
"""The terms that PS3.3 and PS3.16 annex L define for these elements (the usual ones): what is none of them may be
anything that somebody typed."""
_UIDS = frozenset({"FrameOfReferenceUID", "SeriesInstanceUID", "StudyInstanceUID"})
_SEQUENCES = frozenset((
    "FrameVOILUTSequence", "PerFrameFunctionalGroupsSequence", "PixelMeasuresSequence",
    "PixelValueTransformationSequence", "PlaneOrientationSequence", "PlanePositionSequence",
    "SharedFunctionalGroupsSequence",
))  # fmt: skip
_TABLES = frozenset({"ModalityLUTSequence", "VOILUTSequence"})
_EMPTY_IF_UNKNOWN = (
    "AccessionNumber",
    "PatientBirthDate",
    "PatientID",
    "PatientName",
    "PatientSex",
    "ReferringPhysicianName",
    "StudyDate",
    "StudyID",
    "StudyTime",
)
_DEPTH = 3
_VALUES = 64


def new_run() -> bytes:
    """The secret of one run, which makes its new UIDs: for its processes only, and forgotten with it. Without it nobody
    can tell whether a new UID comes from an old one that they know."""
    return secrets.token_bytes(32)


def deidentified(source: Dataset, pixels: npt.NDArray[Any], *, boxes_clear: bool, run: bytes) -> FileDataset:
    """A new file with these pixels, uncompressed, and an empty preamble.

    `pixels`: frames x height x width of stored samples, or frames x height x width x 3 bytes RGB; already painted.
    `boxes_clear`: the last look found nothing more, so that no burned-in text is known of. `run`: see `new_run`.
    """
    words = header_words(source)
    kept = _allowed(source, words, _DEPTH)
    # The profile would draw new UIDs at random and remember them in this process, of which a run may have several.
    profile.dictionary.clear()
    profile.dictionary.update(
        (element.value, _uid(element.value, run)) for element in kept.iterall() if element.VR == "UI"
    )
    profile.anonymize_dataset(kept, base_rules_gen=lambda: profile.initialize_actions(_TABLE))
    result = FileDataset("", kept, file_meta=FileMetaDataset(), preamble=b"\0" * 128)
    for keyword in _EMPTY_IF_UNKNOWN:
        setattr(result, keyword, "")
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID"):
        if keyword not in result:
            setattr(result, keyword, generate_uid(prefix=None))
    if "Modality" not in result:
        result.Modality = "OT"
    result.SOPInstanceUID = generate_uid(prefix=None)
    result.SOPClassUID = _known_class(source)
    result.ImageType = ["DERIVED", "SECONDARY" if "SECONDARY" in str(source.get("ImageType")) else "PRIMARY"]
    result.PatientIdentityRemoved = "YES"
    result.DeidentificationMethod = list(METHOD)
    result.DeidentificationMethodCodeSequence = [_method("113100", "Basic Application Confidentiality Profile")]
    if boxes_clear:
        result.DeidentificationMethodCodeSequence.append(_method("113101", "Clean Pixel Data Option"))
    result.BurnedInAnnotation = "NO" if boxes_clear else "YES"
    result.LongitudinalTemporalInformationModified = "REMOVED"
    _put(result, source, pixels)
    result.file_meta.MediaStorageSOPClassUID = result.SOPClassUID
    result.file_meta.MediaStorageSOPInstanceUID = result.SOPInstanceUID
    result.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return result


def fill(samples: npt.NDArray[Any], boxes: Sequence[Box], *, inverted: bool) -> None:
    """Paint boxes into stored grey samples, in place, with what is darkest outside them (brightest if `inverted`).

    The value comes from outside, so that it tells nothing of what was covered.
    """
    outside = np.ones(samples.shape, bool)
    for left, top, width, height in boxes:
        outside[top : top + height, left : left + width] = False
    seen = samples[outside]
    dark = (seen.max() if inverted else seen.min()) if seen.size else samples.dtype.type(0)
    samples[~outside] = dark


def _allowed(source: Dataset, words: frozenset[str], depth: int) -> Dataset:
    kept = Dataset()
    for keyword in sorted((_NUMBERS | set(_CODES) | _UIDS | _SEQUENCES | _TABLES) & set(source.dir())):
        element = source[keyword]
        if element.is_empty:
            continue
        values = (list(element.value) if element.VM > 1 else [element.value])[:_VALUES]
        if keyword in _NUMBERS:
            numbers = [_number(value) for value in values]
            # A study's or patient's number may be typed in as a series number.
            named = element.VR == "IS" and any(matched(str(value), words) for value in values)
            if None not in numbers and not named:
                setattr(kept, keyword, numbers if element.VM > 1 else numbers[0])
        elif keyword in _CODES:
            codes = [str(value) for value in values]
            if all(code in _CODES[keyword] for code in codes) and not any(matched(code, words) for code in codes):
                setattr(kept, keyword, codes if element.VM > 1 else codes[0])
        elif keyword in _UIDS:
            setattr(kept, keyword, str(values[0]))
        elif keyword in _TABLES:
            setattr(kept, keyword, [_table(item) for item in element.value[:1]])
        elif depth:
            setattr(kept, keyword, [_allowed(item, words, depth - 1) for item in element.value])
    return kept


def _number(value: Any) -> Any:
    """As a number, which holds no letters: what a decimal string says beside its value is gone."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    if not np.isfinite(number):
        return None
    return int(number) if number.is_integer() and abs(number) < 2**31 else float(f"{number:.9g}")


def _table(item: Dataset) -> Dataset:
    """A look-up table without its explanation, which is free text, and without what its data hold behind the last
    entry. Raises ValueError where it is malformed."""
    entries, first, depth = (int(value) for value in item.LUTDescriptor)
    length, data = entries or 65536, item.LUTData
    if isinstance(data, bytes):
        # 8-bit tables come packed, two to a word, or one to a word: see `levels`.
        size = length if depth <= 8 and len(data) < 2 * length else 2 * length
        data = data[:size] + b"\0" * (size % 2)
    else:
        data = [int(value) for value in (data if item["LUTData"].VM > 1 else [data])][:length]
    kept = Dataset()
    kept.add_new("LUTDescriptor", item["LUTDescriptor"].VR, [entries, first, depth])
    kept.add_new("LUTData", item["LUTData"].VR, data)
    if "ModalityLUTType" in item:
        kept.ModalityLUTType = item.ModalityLUTType if item.ModalityLUTType in ("HU", "OD", "US") else "US"
    return kept


def _uid(old: str, run: bytes) -> str:
    """The new UID of an old one: the form of PS3.5 B.2, a UUID as a number."""
    digest = hmac.digest(run, old.encode(), hashlib.sha256)
    return f"2.25.{uuid.UUID(bytes=digest[:16], version=4).int}"


def _known_class(source: Dataset) -> str:
    """A private SOP class would tell the maker, and could tell more."""
    named = str(source.get("SOPClassUID") or "")
    return named if named in UID_dictionary else str(SecondaryCaptureImageStorage)


def _method(code: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code, "DCM", meaning
    return item


def _put(result: Dataset, source: Dataset, pixels: npt.NDArray[Any]) -> None:
    colour = pixels.ndim == 4
    bits = 8 * pixels.dtype.itemsize
    result.SamplesPerPixel = 3 if colour else 1
    if colour:
        result.PhotometricInterpretation, result.PlanarConfiguration = "RGB", 0
        _drop(result, ("WindowCenter", "WindowWidth", "VOILUTFunction", "VOILUTSequence", "ModalityLUTSequence"))
    else:
        result.PhotometricInterpretation = str(source.PhotometricInterpretation)
    if pixels.shape[0] > 1:
        result.NumberOfFrames = pixels.shape[0]
    result.Rows, result.Columns = pixels.shape[1:3]
    stored = min(bits, int(source.BitsStored)) if not colour and int(source.BitsAllocated) > 1 else bits
    result.BitsAllocated, result.BitsStored, result.HighBit = bits, stored, stored - 1
    result.PixelRepresentation = int(pixels.dtype.kind == "i")
    data = pixels.astype(pixels.dtype.newbyteorder("<"), copy=False).tobytes()
    result.add_new("PixelData", "OB" if bits == 8 else "OW", data + b"\0" * (len(data) % 2))


def _drop(dataset: Dataset, keywords: Iterable[str]) -> None:
    for keyword in keywords:
        if keyword in dataset:
            del dataset[keyword]
