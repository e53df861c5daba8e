"""DICOM export: nothing planted in a header survives, pixels keep their meaning, and the labels tell the truth."""

import io
import traceback
from pathlib import Path

import cv2
import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileDataset
from pydicom.pixels.utils import pixel_array
from pydicom.sequence import Sequence
from pydicom.tag import Tag
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from typer.testing import CliRunner

from services.redactor import export
from services.redactor.__main__ import app
from services.redactor.domain import Reason, Unreadable
from services.redactor.export import Exporter, painted_samples
from services.redactor.pixels import dicom
from services.redactor.pixels.decode import open_picture
from services.redactor.pixels.deidentify import deidentified, fill, new_run
from services.redactor.pixels.redact import Redactor
from services.redactor.weights import DEFAULT_DIRECTORY, missing
from shared.events import Box

SECRET = b"QUIXADA"
NAME = "Quixada^Ines"
BOX: Box = (16, 16, 32, 16)
SAMPLES = Path(__file__).parents[1] / "samples" / "pictures"
with_weights = pytest.mark.skipif(
    bool(missing(DEFAULT_DIRECTORY)), reason="the model weights are not there: make weights"
)


def header_of(data: bytes) -> dicom.Header:
    return dicom.read_header(data, max_pixels=60_000_000, longest_side_px=32_000)


RUN = new_run()


def exported(data: bytes, boxes: list[list[Box]] | None = None, *, clear: bool = True, run: bytes = RUN) -> FileDataset:
    """What comes out, read back from its bytes."""
    header = header_of(data)
    pixels = painted_samples(header, boxes or [[] for _ in range(header.frame_count)])
    made = deidentified(header.dataset, pixels, boxes_clear=clear, run=run)
    return pydicom.dcmread(io.BytesIO(dicom.written(made)))


def sample(name: str = "CT_small.dcm") -> FileDataset:
    return pydicom.dcmread(str(get_testdata_file(name)))


def planted() -> bytes:
    """A CT with the name in every kind of place where one has been seen."""
    dataset = sample()
    dataset.preamble = b"QUIXADA " * 16
    dataset.file_meta.SourceApplicationEntityTitle = "QUIXADA_SCP"
    dataset.file_meta.PrivateInformationCreatorUID = generate_uid()
    dataset.file_meta.PrivateInformation = b"QUIXADA "
    dataset.PatientName, dataset.PatientID = NAME, "QUIXADA-77"
    dataset.PatientComments = dataset.ImageComments = "mother of Ines QUIXADA"
    dataset.StudyDescription = dataset.SeriesDescription = dataset.ProtocolName = "CT for Dr QUIXADA"
    dataset.WindowCenterWidthExplanation = "QUIXADA"
    dataset.WindowCenter, dataset.WindowWidth = 40, 400
    dataset.BodyPartExamined = "QUIXADA"
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.private_block(0x0099, "QUIXADA INC", create=True).add_new(1, "LO", "QUIXADA")
    inner = Dataset()
    inner.ScheduledProcedureStepDescription = "QUIXADA again"
    inner.PatientName = NAME
    outer = Dataset()
    outer.RequestedProcedureDescription = "QUIXADA"
    outer.ScheduledProtocolCodeSequence = Sequence([inner])
    dataset.RequestAttributesSequence = Sequence([outer])
    table = Dataset()
    table.LUTDescriptor, table.LUTData, table.LUTExplanation = [4, 0, 8], [0, 80, 160, 255], "QUIXADA"
    table["LUTDescriptor"].VR = table["LUTData"].VR = "US"
    words = Dataset()  # as stored: two bytes an entry, and more bytes than entries
    words.LUTDescriptor = [2, 0, 16]
    words["LUTDescriptor"].VR = "US"
    words.add_new("LUTData", "OW", b"\x00\x00\xff\xff" + SECRET + b"\0")
    dataset.VOILUTSequence, dataset.ModalityLUTSequence = Sequence([table]), Sequence([words])
    icon = Dataset()
    icon.Rows = icon.Columns = 4
    icon.BitsAllocated, icon.SamplesPerPixel, icon.PixelRepresentation = 8, 1, 0
    icon.PixelData = SECRET * 2 + b"\0\0"
    dataset.IconImageSequence = Sequence([icon])
    for element, vr, value in (
        (0x0010, "US", 8),
        (0x0011, "US", 8),
        (0x0022, "LO", "QUIXADA"),
        (0x3000, "OW", SECRET + b"\0"),
    ):
        dataset.add_new(Tag(0x6000, element), vr, value)
    dataset.add_new(Tag(0x0008, 0x0005), "CS", "ISO_IR 192")
    dataset.TextValue = "QUIXADA"
    dataset.DigitalSignaturesSequence = Sequence([inner])
    return dicom.written(dataset) + b"QUIXADA behind the last element"


class TestHeader:
    def test_nothing_that_was_planted_is_left_in_the_bytes(self) -> None:
        data = planted()
        assert data.count(SECRET) >= 18
        header = header_of(data)
        pixels = painted_samples(header, [[]])
        out = dicom.written(deidentified(header.dataset, pixels, boxes_clear=True, run=RUN)).upper()
        assert SECRET not in out
        assert b"INES" not in out
        assert out[:128] == bytes(128)

    def test_a_word_typed_into_a_coded_element_is_no_term_and_goes(self) -> None:
        dataset = sample()
        dataset.BodyPartExamined, dataset.Laterality, dataset.Modality = "ZYBORSKI", "ZYBORSKI", ["CT", "ZYBORSKI"]
        header = header_of(dicom.written(dataset))
        out = deidentified(header.dataset, painted_samples(header, [[]]), boxes_clear=True, run=RUN)
        assert b"ZYBORSKI" not in dicom.written(out)
        assert out.Modality == "OT"

    def test_defined_terms_stay(self) -> None:
        dataset = sample()
        dataset.BodyPartExamined, dataset.Laterality = "CHEST", "L"
        header = header_of(dicom.written(dataset))
        out = deidentified(header.dataset, painted_samples(header, [[]]), boxes_clear=True, run=RUN)
        assert (out.BodyPartExamined, out.Laterality, out.Modality) == ("CHEST", "L", "CT")

    def test_a_table_keeps_its_entries(self) -> None:
        found = exported(planted())
        assert found.VOILUTSequence[0].LUTData == [0, 80, 160, 255]
        assert found.ModalityLUTSequence[0].LUTData == b"\x00\x00\xff\xff"

    @pytest.mark.parametrize("data", [b"\1\2\3\0", b"\1\0\2\0\3\0"])
    def test_a_table_of_bytes_is_cut_where_it_ends_however_it_is_packed(self, data: bytes) -> None:
        dataset, table = sample(), Dataset()
        table.LUTDescriptor = [3, 0, 8]
        table["LUTDescriptor"].VR = "US"
        table.add_new("LUTData", "OW", data)
        dataset.VOILUTSequence = Sequence([table])
        assert exported(dicom.written(dataset)).VOILUTSequence[0].LUTData == data

    def test_what_identified_the_study_is_gone_or_empty(self) -> None:
        before, after = sample(), exported(Path(str(get_testdata_file("CT_small.dcm"))).read_bytes())
        for keyword in ("PatientName", "PatientID", "PatientBirthDate", "StudyDate", "AccessionNumber", "StudyID"):
            assert after[keyword].is_empty
        kept = {element.keyword for element in after}
        assert not kept & {"InstitutionName", "Manufacturer", "SeriesDate", "OperatorsName", "SpecificCharacterSet"}
        assert not any(element.tag.is_private or 0x6000 <= element.tag.group < 0x6100 for element in after)
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID"):
            assert after[keyword].value != before[keyword].value
        assert after.file_meta.MediaStorageSOPInstanceUID == after.SOPInstanceUID
        assert before.SOPInstanceUID.encode() not in dicom.written(after)

    def test_the_profile_and_its_options_are_named(self) -> None:
        found = exported(planted())
        assert found.PatientIdentityRemoved == "YES"
        assert [item.CodeValue for item in found.DeidentificationMethodCodeSequence] == ["113100", "113101"]
        assert {item.CodingSchemeDesignator for item in found.DeidentificationMethodCodeSequence} == {"DCM"}
        assert all(len(line) <= 64 for line in found.DeidentificationMethod)
        assert found.LongitudinalTemporalInformationModified == "REMOVED"
        assert found.ImageType[0] == "DERIVED"

    def test_clean_pixels_are_claimed_only_where_the_last_look_found_nothing(self) -> None:
        assert exported(planted()).BurnedInAnnotation == "NO"
        unsure = exported(planted(), clear=False)
        assert unsure.BurnedInAnnotation == "YES"
        assert [item.CodeValue for item in unsure.DeidentificationMethodCodeSequence] == ["113100"]

    def test_files_of_one_study_stay_together_within_a_run_and_part_in_the_next(self) -> None:
        one, other = exported(planted()), exported(planted())
        assert one.StudyInstanceUID == other.StudyInstanceUID
        assert one.FrameOfReferenceUID == other.FrameOfReferenceUID
        assert one.SOPInstanceUID != other.SOPInstanceUID
        assert exported(planted(), run=new_run()).StudyInstanceUID != one.StudyInstanceUID


class TestPixels:
    @pytest.mark.parametrize(
        "name",
        [
            "CT_small.dcm",
            "MR_small_RLE.dcm",
            "MR_small_bigendian.dcm",
            "JPEG2000.dcm",
            "JPGExtended.dcm",
            "image_dfl.dcm",
            "RG1_J2KR.dcm",
            "emri_small_jpeg_ls_lossless.dcm",
            "eCT_Supplemental.dcm",
            "rtdose_rle.dcm",
            "J2K_pixelrep_mismatch.dcm",
            "vlut_04.dcm",
            "mlut_18.dcm",
            "examples_palette.dcm",
            "examples_ybr_color.dcm",
            "SC_rgb_rle_16bit.dcm",
            "liver_1frame.dcm",
            "SC_rgb_small_odd.dcm",
            "OT-PAL-8-face.dcm",
        ],
    )
    def test_an_export_looks_as_the_original_does(self, name: str) -> None:
        data = Path(str(get_testdata_file(name))).read_bytes()
        found = exported(data)
        assert found.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
        before = [frame.shown() for frame in open_picture(data, max_pixels=60_000_000).frames]
        again = [frame.shown() for frame in open_picture(dicom.written(found), max_pixels=60_000_000).frames]
        assert len(before) == len(again)
        for one, other in zip(before, again, strict=True):
            assert np.abs(one.astype(int) - other).max() <= 1

    def test_stored_samples_and_their_meaning_stay_outside_the_boxes(self) -> None:
        data = Path(str(get_testdata_file("CT_small.dcm"))).read_bytes()
        found, before = exported(data, [[BOX]]), sample()
        samples, original = pixel_array(found), pixel_array(before)
        left, top, width, height = BOX
        inside = np.zeros(samples.shape, bool)
        inside[top : top + height, left : left + width] = True
        assert (samples[~inside] == original[~inside]).all()
        assert (samples[inside] == original[~inside].min()).all()
        for keyword in ("BitsStored", "PixelRepresentation", "RescaleSlope", "RescaleIntercept", "PixelSpacing"):
            assert found[keyword].value == before[keyword].value

    @pytest.mark.parametrize("inverted", [False, True])
    def test_what_lies_under_a_box_does_not_choose_its_colour(self, inverted: bool) -> None:
        one = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64) + 5
        other = one.copy()
        other[16:32, 16:48] = 0 if not inverted else 65_535
        fill(one, [BOX], inverted=inverted)
        fill(other, [BOX], inverted=inverted)
        assert (one == other).all()
        assert one[20, 20] == (one.max() if inverted else 5)

    def test_every_frame_is_painted_with_its_own_boxes(self) -> None:
        data = Path(str(get_testdata_file("examples_ybr_color.dcm"))).read_bytes()
        boxes: list[list[Box]] = [[] for _ in range(30)]
        boxes[7] = [BOX]
        pixels = painted_samples(header_of(data), boxes)
        painted = pixels[7, 16:32, 16:48]
        assert len(np.unique(painted.reshape(-1, 3), axis=0)) == 1
        assert len(np.unique(pixels[8, 16:32, 16:48].reshape(-1, 3), axis=0)) > 1


def radiograph(samples: np.ndarray, bits: int = 16, window: tuple[int, int] | None = None) -> bytes:
    """A file of one frame with these samples (height x width, unsigned)."""
    dataset = sample()
    dataset.Rows, dataset.Columns = samples.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, bits, bits - 1, 0
    dataset.RescaleSlope, dataset.RescaleIntercept = 1, 0
    for keyword in ("WindowCenter", "WindowWidth", "PixelPaddingValue"):
        if keyword in dataset:
            delattr(dataset, keyword)
    if window:
        dataset.WindowCenter, dataset.WindowWidth = window
    dataset.PixelData = samples.tobytes()
    return dicom.written(dataset)


@pytest.fixture(scope="module")
def redactor() -> Redactor:
    return Redactor(DEFAULT_DIRECTORY)


@with_weights
class TestCommand:
    def test_burned_in_text_is_covered_in_what_comes_out(self, redactor: Redactor) -> None:
        data = (SAMPLES / "dicom.dcm").read_bytes()
        out = Exporter(redactor).export(data)
        assert out.boxes > 0
        found = pydicom.dcmread(io.BytesIO(out.data))
        assert found.SOPInstanceUID == out.uid
        assert (pixel_array(found) != pixel_array(pydicom.dcmread(io.BytesIO(data)))).any()

    def test_text_that_only_another_window_shows_is_covered(self, redactor: Redactor) -> None:
        """The stored samples go out, and a viewer may window them as it likes."""
        samples = np.full((480, 640), 1000, np.uint16)
        letters = np.zeros((480, 640), np.uint8)
        cv2.putText(letters, "QUIXADA INES 1961", (60, 240), cv2.FONT_HERSHEY_SIMPLEX, 1.4, 255, 3)
        samples[letters > 127] = 1900
        samples[:40] = 0
        out = Exporter(redactor).export(radiograph(samples, bits=12, window=(200, 400)))
        left = pixel_array(pydicom.dcmread(io.BytesIO(out.data)))
        assert (left[letters > 127] == 1900).mean() < 0.02
        assert out.boxes > 0

    def test_text_that_one_extreme_sample_hides_is_covered(self, redactor: Redactor) -> None:
        """Over the whole range the letters and the rest are the same level of 256."""
        samples = np.full((480, 640), 1000, np.uint16)
        letters = np.zeros((480, 640), np.uint8)
        cv2.putText(letters, "QUIXADA INES 1961", (60, 240), cv2.FONT_HERSHEY_SIMPLEX, 1.4, 255, 3)
        samples[letters > 127] = 1100
        samples[400, 320] = 65_535
        out = Exporter(redactor).export(radiograph(samples))
        left = pixel_array(pydicom.dcmread(io.BytesIO(out.data)))
        assert (left[letters > 127] == 1100).mean() < 0.02

    def test_a_frame_without_extremes_is_not_searched_once_more(self) -> None:
        levels = np.random.default_rng(1).integers(0, 4096, (64, 64)).astype(np.int16)
        assert export._without_extremes(levels) == []
        assert export._without_extremes(np.full((64, 64), 7, np.uint8)) == []

    @pytest.mark.parametrize("text_share", [0.0004, 0.02])
    def test_what_little_differs_from_a_flat_ground_keeps_its_levels(self, text_share: float) -> None:
        samples = np.zeros((100, 100), np.int16)
        samples.reshape(-1)[: int(text_share * samples.size)] = 40
        samples[99, 99] = 32_000
        (view,) = export._without_extremes(samples)
        assert (view[50, 50], view[0, 0], view[99, 99]) == (0, 40, 40)

    def test_a_file_that_nobody_foresaw_is_refused_and_nothing_of_it_is_quoted(
        self, redactor: Redactor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(*_: object, **__: object) -> None:
            raise ValueError("could not convert QUIXADA")

        monkeypatch.setattr(export, "deidentified", broken)
        with pytest.raises(Unreadable) as refused:
            Exporter(redactor).export((SAMPLES / "dicom.dcm").read_bytes())
        assert (refused.value.reason, refused.value.detail) == (Reason.DECODER_FAILED, "ValueError")
        assert "QUIXADA" not in "".join(traceback.format_exception(refused.value))

    def test_a_photo_is_no_dicom(self, redactor: Redactor) -> None:
        with pytest.raises(Unreadable) as refused:
            Exporter(redactor).export(b"\xff\xd8\xff and so on")
        assert refused.value.reason is Reason.UNSUPPORTED_FORMAT

    def test_a_folder_is_written_under_names_that_tell_nothing_and_a_failure_is_told(self, tmp_path: Path) -> None:
        source, out = tmp_path / "in", tmp_path / "out"
        source.mkdir()
        (source / "Quixada.dcm").write_bytes(planted())
        (source / "letter.txt").write_text("Dear colleague")
        done = CliRunner().invoke(app, ["export-dicom", str(source), "--out", str(out)])
        assert done.exit_code == 1
        assert "letter.txt: a format that is not supported (unsupported_format: not a DICOM file)" in done.stderr
        (written,) = out.iterdir()
        assert pydicom.dcmread(written).SOPInstanceUID == written.stem
        assert SECRET not in written.read_bytes().upper()

    def test_what_cannot_be_done_is_said(self, tmp_path: Path) -> None:
        runner = CliRunner()
        (tmp_path / "one.dcm").write_bytes(planted())
        for arguments, words in (
            ([str(tmp_path / "none"), "--out", "x"], "not there"),
            ([str(tmp_path / "one.dcm"), "--out", str(tmp_path / "one.dcm")], "overwrite"),
            ([str(tmp_path / "one.dcm"), "--out", str(tmp_path)], "is a folder"),
        ):
            done = runner.invoke(app, ["export-dicom", *arguments])
            assert done.exit_code == 1
            assert words in done.stderr
