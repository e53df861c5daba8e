"""Every format becomes upright 8-bit pixels; everything else gets a reason, before memory is spent on it."""

import contextlib
import io
import resource
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pydicom
import pytest
from PIL import Image, ImageOps
from pydicom.data import get_testdata_file
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut
from pydicom.pixels.utils import pixel_array

from services.redactor.detectors import Pixels
from services.redactor.domain import Reason, Unreadable
from services.redactor.pixels.decode import Picture, open_picture
from services.redactor.pixels.frames import DeepFrame
from tests import pictures

CAP = 60_000_000
DICOM_SAMPLE = Path(__file__).parents[1] / "samples" / "pictures" / "dicom.dcm"


def first(data: bytes) -> Pixels:
    return next(open_picture(data, max_pixels=CAP).frames).shown()


def refusal(data: bytes, cap: int = CAP) -> Reason:
    with pytest.raises(Unreadable) as caught:
        list(open_picture(data, max_pixels=cap).frames)
    return caught.value.reason


def dicom_file(name: str) -> bytes:
    return Path(str(get_testdata_file(name))).read_bytes()


def encoded(image: Image.Image, form: str) -> bytes:
    written = io.BytesIO()
    image.save(written, form)
    return written.getvalue()


class TestRefusals:
    @pytest.mark.parametrize(
        ("data", "reason"),
        [
            (pictures.text_named_jpg(), Reason.NOT_A_PICTURE),
            (b"", Reason.NOT_A_PICTURE),
            (b"%PDF-1.7\n...", Reason.UNSUPPORTED_FORMAT),
            (b"\0\0\0\x18ftypavif" + b"\0" * 40, Reason.UNSUPPORTED_FORMAT),
            (b"\0\0\0\x18ftypheic" + b"\0" * 40, Reason.DECODER_FAILED),
            (pictures.truncated_jpeg(), Reason.TRUNCATED),
            (pictures.sixteen_bit_png()[:200], Reason.TRUNCATED),
            (dicom_file("MR_truncated.dcm"), Reason.TRUNCATED),
            (dicom_file("reportsi.dcm"), Reason.UNSUPPORTED_FORMAT),
            (b"\x08\x00\x05\x00" + b"no dicom after all" * 20, Reason.NOT_A_PICTURE),
        ],
    )
    def test_each_gets_its_reason(self, data: bytes, reason: Reason) -> None:
        assert refusal(data) is reason

    def test_a_bomb_is_refused_by_its_header_and_costs_no_memory(self) -> None:
        bomb = pictures.bomb_png()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        assert refusal(bomb) is Reason.TOO_MANY_PIXELS
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # KiB

    def test_the_cap_is_on_pixels_of_one_frame(self) -> None:
        assert refusal(pictures.plain_jpeg(400, 300), cap=119_999) is Reason.TOO_MANY_PIXELS
        assert open_picture(pictures.plain_jpeg(400, 300), max_pixels=120_000).frame_count == 1

    def test_a_webp_is_measured_before_the_decoder_claims_its_canvas(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("the decoder was started"))
        header = b"RIFF\x40\0\0\0WEBPVP8X\x0a\0\0\0\x02\0\0\0" + b"\xff\x3f\0" * 2 + b"\0" * 40
        assert refusal(header) is Reason.TOO_MANY_PIXELS

    def test_a_dicom_of_too_many_frames_is_refused_not_cut(self) -> None:
        dataset = pydicom.dcmread(str(get_testdata_file("CT_small.dcm")))
        dataset.NumberOfFrames = 51
        written = io.BytesIO()
        dataset.save_as(written, enforce_file_format=True)
        assert refusal(written.getvalue()) is Reason.TOO_MANY_FRAMES

    @pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF"])
    def test_no_mutation_ends_in_anything_but_pixels_or_a_reason(self, form: str) -> None:
        whole = encoded(Image.open(io.BytesIO(pictures.plain_jpeg(64, 48))), form)
        random = np.random.default_rng(len(whole))
        for _ in range(60):
            broken = bytearray(whole)
            for place in random.integers(0, len(broken), 6):
                broken[place] = random.integers(0, 256)
            with contextlib.suppress(Unreadable):
                assert first(bytes(broken[: random.integers(10, len(broken) + 1)])).ndim == 3


class TestPictures:
    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_the_picture_is_turned_upright(self, orientation: int) -> None:
        data = pictures.oriented_jpeg(orientation)
        expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
        assert (first(data) == expected).all()
        assert expected.shape[:2] == ((160, 80) if orientation > 4 else (80, 160))

    def test_of_an_animation_the_first_frame_is_taken_and_the_report_says_so(self) -> None:
        for data in (pictures.animated_gif(), pictures.animated_webp()):
            picture = open_picture(data, max_pixels=CAP)
            assert picture.notes == ["first_frame_of:5"]
            assert abs(int(next(picture.frames).shown()[40, 40, 0]) - 30) <= 2

    def test_a_twelve_bit_scan_in_sixteen_bits_uses_the_whole_range(self) -> None:
        found = first(pictures.sixteen_bit_png())
        assert (found.min(), found.max()) == (0, 255)

    def test_the_range_does_not_depend_on_what_lies_under_a_box(self) -> None:
        samples = np.linspace(0, 4095, 64 * 64, dtype=np.float32).reshape(64, 64)
        bright = samples.copy()
        bright[0:16, 0:16] = 65535
        box = [(0, 0, 16, 16)]
        assert (DeepFrame(samples).shown(box)[20:] == DeepFrame(bright).shown(box)[20:]).all()
        assert (DeepFrame(samples).shown()[20:] != DeepFrame(bright).shown()[20:]).any()

    def test_what_is_transparent_does_not_come_to_light(self) -> None:
        image = Image.new("RGBA", (32, 32), (10, 20, 30, 255))
        image.paste((200, 0, 0, 0), (0, 0, 16, 32))  # a red half that no one could see
        found = first(encoded(image, "PNG"))
        assert (found[:, :16] == 255).all()
        assert tuple(found[5, 20]) == (10, 20, 30)

    def test_a_palette_becomes_colours(self) -> None:
        assert len(np.unique(first(pictures.palette_png()).reshape(-1, 3), axis=0)) > 30

    def test_four_inks_become_three_colours(self) -> None:
        want, found = first(pictures.plain_jpeg()), first(pictures.cmyk_jpeg())
        assert np.abs(want.astype(int) - found).mean() < 12


class TestDicom:
    def shown(self, dataset: pydicom.Dataset) -> Pixels:
        written = io.BytesIO()
        dataset.save_as(written, enforce_file_format=True)
        return first(written.getvalue())

    def rendered_by_pydicom(self, dataset: pydicom.Dataset, low: float, high: float) -> npt.NDArray[np.float64]:
        values = apply_voi_lut(apply_modality_lut(pixel_array(dataset), dataset), dataset).astype(np.float64)
        return np.asarray((values - low) / (high - low) * 255)

    def test_window_and_rescale_are_as_pydicom_renders_them(self) -> None:
        dataset = pydicom.dcmread(str(get_testdata_file("CT_small.dcm")))
        dataset.WindowCenter, dataset.WindowWidth = 100, 900
        slope, intercept = float(dataset.RescaleSlope), float(dataset.RescaleIntercept)
        low, high = -(2**15) * slope + intercept, (2**15 - 1) * slope + intercept
        expected = self.rendered_by_pydicom(dataset, low, high)
        assert np.abs(self.shown(dataset)[..., 0] - expected).max() <= 1

    def test_monochrome1_is_inverted(self) -> None:
        dataset = pydicom.dcmread(str(get_testdata_file("CT_small.dcm")))
        plain = self.shown(dataset)
        dataset.PhotometricInterpretation = "MONOCHROME1"
        assert (self.shown(dataset) == 255 - plain).all()

    def test_a_look_up_table_of_the_values_of_interest_is_applied(self) -> None:
        dataset = pydicom.dcmread(str(get_testdata_file("MR_small.dcm")))
        table = pydicom.Dataset()
        table.LUTDescriptor, table.LUTData = [4096, 0, 8], [value >> 4 for value in range(4096)]
        for name in ("WindowCenter", "WindowWidth"):
            del dataset[name]
        dataset.VOILUTSequence = [table]
        table["LUTDescriptor"].VR = table["LUTData"].VR = "US"
        expected = np.clip(pixel_array(dataset).astype(int), 0, 4095) >> 4
        assert (self.shown(dataset)[..., 0] == expected).all()

    def test_palette_and_ybr_become_rgb(self) -> None:
        for name in ("examples_palette.dcm", "examples_ybr_color.dcm", "examples_jpeg2k.dcm"):
            found = first(dicom_file(name))
            assert found.shape[2] == 3
            assert found.max() > 100

    def test_every_frame_comes_out(self) -> None:
        frames = list(open_picture(dicom_file("examples_ybr_color.dcm"), max_pixels=CAP).frames)
        assert len(frames) == 30
        assert (frames[0].shown() != frames[20].shown()).any()

    @pytest.mark.parametrize(
        "name",
        [
            "CT_small.dcm",
            "MR_small_RLE.dcm",
            "MR_small_bigendian.dcm",
            "MR_small_jp2klossless.dcm",
            "MR_small_jpeg_ls_lossless.dcm",
            "SC_rgb_jpeg_gdcm.dcm",
            "JPEG2000.dcm",
            "image_dfl.dcm",
            "J2K_pixelrep_mismatch.dcm",
            "SC_rgb_rle_2frame.dcm",
            "SC_ybr_full_422_uncompressed.dcm",
        ],
    )
    def test_the_transfer_syntaxes_decode(self, name: str) -> None:
        picture: Picture = open_picture(dicom_file(name), max_pixels=CAP)
        assert all(frame.shown().size for frame in picture.frames)

    def test_overlays_are_not_drawn(self) -> None:
        dataset = pydicom.dcmread(str(get_testdata_file("examples_overlay.dcm")))
        assert any(element.tag.group >> 8 == 0x60 for element in dataset)
        with_overlays = self.shown(dataset)
        for element in [element for element in dataset if element.tag.group >> 8 == 0x60]:
            del dataset[element.tag]
        assert (self.shown(dataset) == with_overlays).all()

    def test_a_file_without_preamble_is_still_read(self) -> None:
        assert first(DICOM_SAMPLE.read_bytes()[132:]).shape == (480, 640, 3)
