"""The formats that telephones, scanners and print houses send: right colours, right way up, and nothing left unsaid."""

import io
import struct
import zlib

import numpy as np
import numpy.typing as npt
import pi_heif
import pydicom
import pytest
import simplejpeg
from PIL import Image, ImageOps
from pydicom.data import get_testdata_file

from services.redactor.domain import MAX_FRAMES, Reason, Unreadable
from services.redactor.pixels import heif
from services.redactor.pixels.decode import Picture, open_picture
from services.redactor.pixels.frames import STRIP_PIXELS, DeepFrame
from tests.heic import Grid, heic

CAP = 60_000_000
Samples = npt.NDArray[np.uint8]


def opened(data: bytes, cap: int = CAP) -> Picture:
    return open_picture(data, max_pixels=cap)


def only(data: bytes) -> Samples:
    (frame,) = opened(data).frames
    return frame.shown()


def straight_decodes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows with each JPEG that is decoded without Pillow."""
    done: list[int] = []
    decode = simplejpeg.decode_jpeg

    def counted(data: bytes, colours: str) -> Samples:
        pixels: Samples = decode(data, colours)
        done.append(len(data))
        return pixels

    monkeypatch.setattr(simplejpeg, "decode_jpeg", counted)
    return done


def reason(data: bytes, cap: int = CAP) -> Reason:
    with pytest.raises(Unreadable) as refused:
        list(opened(data, cap).frames)
    return refused.value.reason


def slopes(width: int = 210, height: int = 130) -> Samples:
    """Smooth in all three channels, another value in each corner."""
    rows, columns = np.mgrid[0:height, 0:width]
    return np.stack([columns * 255 // width, rows * 255 // height, (rows + columns) // 4], axis=2).astype(np.uint8)


def encoded(image: Image.Image, form: str, **options: object) -> bytes:
    written = io.BytesIO()
    image.save(written, form, **options)
    return written.getvalue()


def png(width: int, height: int, depth: int, colour: int, rows: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG from raw scan lines, for the kinds that Pillow does not write."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = b"".join(chunk(name, data) for name, data in chunks)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + body + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )


class TestHeic:
    @pytest.mark.parametrize("turns", range(4))
    def test_a_photo_comes_out_upright_and_in_its_colours(self, turns: int) -> None:
        found = only(heic([slopes()], quarter_turns=turns))
        assert np.abs(found.astype(int) - np.rot90(slopes(), turns)).max() <= 3

    def test_the_exif_orientation_does_not_turn_it_a_second_time(self) -> None:
        exif = Image.Exif()
        exif[0x0112] = 6
        turned = heic([slopes()], quarter_turns=3, exif=exif.tobytes()[6:])
        assert pi_heif.open_heif(io.BytesIO(turned)).info["exif"]
        assert np.abs(only(turned).astype(int) - np.rot90(slopes(), 3)).max() <= 3

    def test_every_picture_of_the_file_comes_and_is_counted(self) -> None:
        picture = opened(heic([slopes(), slopes(90, 60)], primary=1))
        assert picture.notes == ["all_frames_of:2"]
        assert [frame.shown().shape for frame in picture.frames] == [(130, 210, 3), (60, 90, 3)]

    def test_tiles_become_one_picture_as_the_large_ones_of_telephones_are_stored(self) -> None:
        picture = opened(heic([slopes(192, 128)], grid=Grid(3, 4, 700, 350)))
        (frame,) = picture.frames
        assert picture.notes == []
        assert np.abs(frame.shown()[128:256, 192:384].astype(int) - slopes(192, 128)).max() <= 3

    def test_the_size_is_told_by_the_header_and_nothing_is_unpacked_for_it(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(heif, "_decoded", lambda _: pytest.fail("the decoder was asked"))
        assert reason(heic([slopes()]), cap=210 * 130 - 1) is Reason.TOO_MANY_PIXELS
        bomb = heic([slopes(64, 64)], grid=Grid(30, 30, 16_000, 16_000))
        assert len(bomb) < 100_000
        assert reason(bomb) is Reason.TOO_MANY_PIXELS

    def test_a_header_that_claims_another_size_than_the_pictures_is_refused_or_right(self) -> None:
        for claimed in ((4, 4), (1000, 1000), (130, 210)):
            data = heic([slopes()], claimed=claimed)
            try:
                found = only(data)
            except Unreadable as refused:
                assert refused.reason is Reason.DECODER_FAILED  # noqa: PT017 - either outcome is right
            else:
                assert found.shape[:2] == claimed[::-1]

    def test_its_look_alikes_are_refused_by_name_of_the_reason(self) -> None:
        whole = heic([slopes()])
        assert reason(whole.replace(b"ftypheic", b"ftypavif")) is Reason.UNSUPPORTED_FORMAT
        assert reason(whole.replace(b"hvc1", b"av01")) is Reason.UNSUPPORTED_FORMAT
        assert reason(whole[: len(whole) // 2]) in (Reason.TRUNCATED, Reason.DECODER_FAILED)

    def test_more_pictures_than_frames_are_allowed_are_refused_not_cut(self) -> None:
        assert reason(heic([slopes(32, 32)] * (MAX_FRAMES + 1))) is Reason.TOO_MANY_FRAMES

    def test_what_a_mask_hides_becomes_paper(self) -> None:
        samples = np.array([[[200, 0, 0, 255], [200, 0, 0, 0], [200, 0, 0, 51]]], np.uint8)
        assert heif._on_white(samples, premultiplied=False)[0].tolist() == [[200, 0, 0], [255] * 3, [244, 204, 204]]
        samples[0, 2, 0] = 40  # multiplied already
        assert heif._on_white(samples, premultiplied=True)[0, 2].tolist() == [244, 204, 204]


class TestPng:
    def test_sixteen_bits_of_grey_use_their_whole_range(self) -> None:
        samples = np.linspace(1000, 3000, 200 * 40).reshape(40, 200).astype(np.uint16)
        found = only(encoded(Image.fromarray(samples), "PNG"))
        assert np.abs(found[..., 0] - (samples - 1000.0) / 2000 * 255).max() <= 0.51

    def test_the_grey_that_means_transparent_does_not_come_to_light(self) -> None:
        rows = b"".join(b"\0" + struct.pack(">4H", 500, 9, 9, 700) for _ in range(3))
        found = only(png(4, 3, 16, 0, rows, (b"tRNS", struct.pack(">H", 9))))
        assert (found[:, 1:3] == found[:, 3:4]).all()
        assert found[0, 0, 0] == 0

    def test_sixteen_bits_of_colour_keep_the_upper_eight(self) -> None:
        deep = (slopes(40, 30).astype(int) * 256 + 77).astype(">u2")
        rows = b"".join(b"\0" + row.tobytes() for row in deep)
        assert (only(png(40, 30, 16, 2, rows)) == slopes(40, 30)).all()

    def test_sixteen_bits_with_a_mask_lie_on_white(self) -> None:
        values = np.zeros((2, 4, 4), ">u2")
        values[..., 0], values[:, :2, 3] = 50_000, 65_535
        found = only(png(4, 2, 16, 6, b"".join(b"\0" + row.tobytes() for row in values)))
        assert tuple(found[0, 0]) == (195, 0, 0)
        assert tuple(found[0, 3]) == (255, 255, 255)

    def test_a_palette_with_transparent_entries_lies_on_white(self) -> None:
        image = Image.new("P", (4, 2), 0)
        image.putpalette([10, 20, 30, 200, 100, 50, 1, 2, 3])
        image.putpixel((3, 1), 1)
        image.putpixel((0, 0), 2)
        found = only(encoded(image, "PNG", transparency=b"\xff\xff\x00"))
        assert tuple(found[1, 3]) == (200, 100, 50)
        assert tuple(found[0, 0]) == (255, 255, 255)
        assert tuple(found[1, 0]) == (10, 20, 30)

    def test_of_an_animated_png_the_first_frame_is_taken_and_it_is_said(self) -> None:
        shots = [Image.fromarray(slopes() // part) for part in (1, 2, 3)]
        picture = opened(encoded(shots[0], "PNG", save_all=True, append_images=shots[1:]))
        assert picture.notes == ["first_frame_of:3"]
        assert (next(picture.frames).shown() == slopes()).all()


class TestJpeg:
    @pytest.mark.parametrize(
        "options", [{}, {"progressive": True}, {"subsampling": "4:2:0"}, {"restart_marker_blocks": 5}]
    )
    @pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
    def test_each_pixel_is_the_one_that_pillow_sees(
        self, monkeypatch: pytest.MonkeyPatch, mode: str, options: dict[str, object]
    ) -> None:
        data = encoded(Image.fromarray(slopes(211, 133)).convert(mode), "JPEG", quality=80, **options)
        straight = straight_decodes(monkeypatch)
        assert np.array_equal(only(data), np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))
        assert len(straight) == (mode != "CMYK")

    def test_one_that_lies_on_its_side_is_set_upright(self, monkeypatch: pytest.MonkeyPatch) -> None:
        turned = Image.Exif()
        turned[0x0112] = 6
        data = encoded(Image.fromarray(slopes(211, 133)), "JPEG", quality=80, exif=turned)
        straight = straight_decodes(monkeypatch)
        assert np.array_equal(only(data), np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data)))))
        assert len(straight) == 1

    def test_colour_in_rows_of_four_to_one_is_pillows_to_read(self) -> None:
        data = bytearray(encoded(Image.fromarray(slopes(208, 128)), "JPEG", quality=80, subsampling="4:4:4"))
        data[data.index(b"\xff\xc0") + 11] = 0x14
        with pytest.raises(KeyError):
            simplejpeg.decode_jpeg_header(bytes(data))
        assert only(bytes(data)).shape == (128, 208, 3)

    def test_where_the_decoder_warns_pillow_takes_the_file_or_refuses_it(self) -> None:
        data = encoded(Image.fromarray(slopes()), "JPEG", quality=80)
        scan = data.index(b"\xff\xda")
        strewn = data[:scan] + bytes(3) + data[scan:]
        with pytest.raises(ValueError, match="extraneous"):
            simplejpeg.decode_jpeg(strewn, "RGB")
        assert np.array_equal(only(strewn), only(data))
        assert reason(data[:-2]) is Reason.TRUNCATED

    def test_progressive(self) -> None:
        plain, progressive = (
            only(encoded(Image.fromarray(slopes()), "JPEG", progressive=kind, quality=95)) for kind in (False, True)
        )
        assert (plain == progressive).all()

    def test_four_inks_as_adobe_writes_them(self) -> None:
        inks = Image.fromarray(slopes()).convert("CMYK")
        found = only(encoded(inks, "JPEG", quality=95, subsampling=0))
        assert np.abs(found.astype(int) - np.asarray(inks.convert("RGB"))).mean() < 3

    def test_four_inks_as_luma_chroma_and_black(self) -> None:
        """YCCK: the three colours of an inverted CMYK picture as YCbCr, told by the Adobe segment's last byte."""
        inks = Image.fromarray(slopes()).convert("CMYK")
        cyan, magenta, yellow, black = inks.split()
        # Adobe stores inks inverted, and so does Pillow: the reader's inversion of Y, Cb, Cr has to be undone first.
        as_colours = Image.merge("RGB", (cyan, magenta, yellow)).convert("YCbCr")
        planes = [band.point(lambda value: 255 - value) for band in as_colours.split()]
        data = bytearray(encoded(Image.merge("CMYK", (*planes, black)), "JPEG", quality=98, subsampling=0))
        adobe = data.find(b"Adobe")
        assert adobe > 0
        data[adobe + 11] = 2
        found = only(bytes(data))
        assert np.abs(found.astype(int) - np.asarray(inks.convert("RGB"))).mean() < 3

    def test_of_several_pictures_in_one_the_first_is_taken_and_it_is_said(self) -> None:
        second = Image.fromarray(slopes(90, 60))
        data = encoded(Image.fromarray(slopes()), "MPO", save_all=True, append_images=[second])
        picture = opened(data)
        assert picture.notes == ["first_frame_of:2"]
        assert np.array_equal(next(picture.frames).shown(), np.asarray(Image.open(io.BytesIO(data))))


class TestTiff:
    def pages(self, count: int, *, turn: int = 1) -> bytes:
        shots = [Image.new("L", (40 + page, 30), 5 * page) for page in range(count)]
        return encoded(shots[0], "TIFF", save_all=True, append_images=shots[1:], tiffinfo={0x0112: turn})

    def test_every_page_comes_and_is_counted(self) -> None:
        picture = opened(self.pages(4))
        assert picture.notes == ["all_pages_of:4"]
        assert picture.frame_count == 4
        found = [frame.shown() for frame in picture.frames]
        assert [pixels.shape[1] for pixels in found] == [40, 41, 42, 43]
        assert [int(pixels[0, 0, 0]) for pixels in found] == [0, 5, 10, 15]

    def test_too_many_pages_are_refused_not_cut(self) -> None:
        assert opened(self.pages(MAX_FRAMES)).frame_count == MAX_FRAMES
        assert reason(self.pages(MAX_FRAMES + 1)) is Reason.TOO_MANY_FRAMES

    def test_a_later_page_is_measured_before_the_first_is_unpacked(self) -> None:
        assert reason(self.pages(4), cap=42 * 30) is Reason.TOO_MANY_PIXELS

    def test_the_orientation_counts(self) -> None:
        assert next(opened(self.pages(1, turn=6)).frames).shown().shape == (40, 30, 3)

    @pytest.mark.parametrize("kind", ["I;16", "I;16B", "F", "I", "1", "LAB", "CMYK", "YCbCr"])
    def test_each_kind_of_samples_is_read(self, kind: str) -> None:
        if kind in ("I;16", "I;16B", "F", "I"):
            samples = slopes(100, 80)[..., 0].astype({"I;16": "<u2", "I;16B": ">u2", "F": "<f4", "I": "<i4"}[kind]) * 50
            image = Image.fromarray(samples)
        else:
            image = Image.new(kind, (100, 80))
        assert only(encoded(image, "TIFF")).shape == (80, 100, 3)


class TestStrips:
    """Pictures larger than one strip are put together from several."""

    SIDE = 1400

    def test_flat_and_deep_pictures_of_several_strips_are_whole(self) -> None:
        assert self.SIDE * self.SIDE > STRIP_PIXELS
        flat = np.random.default_rng(1).integers(0, 256, (self.SIDE, self.SIDE, 3), np.uint8)
        assert (only(encoded(Image.fromarray(flat), "PNG", compress_level=1)) == flat).all()
        deep = flat[..., 0].astype(np.uint16) * 3
        found = only(encoded(Image.fromarray(deep), "PNG", compress_level=1))
        assert np.abs(found[..., 1] - flat[..., 0].astype(float)).max() <= 1

    def test_a_box_hides_its_samples_from_the_range_in_whichever_strip_it_lies(self) -> None:
        samples = np.full((self.SIDE, self.SIDE), 100, np.uint16)
        samples[0, 0], samples[1200, 700] = 50, 60_000
        assert DeepFrame(samples).shown([(690, 1190, 20, 20)])[5, 5, 0] == 255
        assert DeepFrame(samples).shown([(690, 1000, 20, 20)])[5, 5, 0] < 5

    def test_padding_does_not_count_for_the_range(self) -> None:
        samples = np.array([[-2000, 0, 100]], np.int16)
        assert DeepFrame(samples, padding=(-2000, -2000)).shown()[0, :, 0].tolist() == [0, 0, 255]
        assert DeepFrame(samples).shown()[0, 1, 0] > 200


class TestWords:
    def test_a_dicom_header_gives_words_and_hides_them(self) -> None:
        dataset = pydicom.dcmread(str(get_testdata_file("CT_small.dcm")))
        dataset.PatientName = "Quixada^Ines"
        written = io.BytesIO()
        dataset.save_as(written, enforce_file_format=True)
        picture = opened(written.getvalue())
        assert "quixada" in picture.words
        assert "quixada" not in repr(picture).casefold()

    def test_other_pictures_give_none(self) -> None:
        assert opened(encoded(Image.fromarray(slopes()), "JPEG")).words == frozenset()
