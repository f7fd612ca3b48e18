import io
import struct
import sys
import zlib

import cv2
import numpy as np
import pytest

from edgetl_device import photos
from edgetl_device.errors import PhotoError
from edgetl_device.photo_headers import PhotoHeader, read_header
from edgetl_device.photos import MAX_BYTES, decode_photo, decoded, photo_file, read_photo
from edgetl_device.pillow_decoder import decode_apart


def encoded(suffix: str, image: np.ndarray, *options: int) -> bytes:
    return cv2.imencode(suffix, image, list(options))[1].tobytes()


def size_of(data: bytes) -> tuple[int, int]:
    header: PhotoHeader = read_header(data)
    return header.height, header.width


@pytest.fixture
def image() -> np.ndarray:
    gradient = np.linspace(0, 255, 60 * 80 * 3).reshape(60, 80, 3)
    return gradient.astype(np.uint8)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".webp", ".tiff"])
def test_every_format_is_read(suffix: str, image: np.ndarray) -> None:
    found = decode_photo(encoded(suffix, image))
    assert found.shape == image.shape and found.dtype == np.uint8
    assert np.abs(found.astype(int) - image).mean() < 4


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".webp", ".tiff"])
def test_a_truncated_file_is_refused(suffix: str, image: np.ndarray) -> None:
    data = encoded(suffix, image)
    with pytest.raises(PhotoError):
        decode_photo(data[: len(data) * 2 // 3])


def test_a_truncated_jpeg_is_refused_whatever_opencv_makes_of_it(image: np.ndarray) -> None:
    data = encoded(".jpg", image)[:-300]
    with pytest.raises(PhotoError, match="truncated"):
        decode_photo(data)


def test_bytes_behind_the_end_of_a_jpeg_do_no_harm(image: np.ndarray) -> None:
    assert decode_photo(encoded(".jpg", image) + b"\x00" * 40).shape == image.shape


def test_greyscale_rgba_and_16_bit_become_8_bit_bgr(image: np.ndarray) -> None:
    grey = image[:, :, 0]
    assert (decode_photo(encoded(".png", grey))[:, :, 1] == grey).all()
    assert decode_photo(encoded(".png", np.dstack([image, grey]))).shape == image.shape
    deep = decode_photo(encoded(".png", image.astype(np.uint16) * 257))
    assert deep.dtype == np.uint8 and np.abs(deep.astype(int) - image).max() <= 1


def test_a_rotation_in_exif_is_applied(image: np.ndarray) -> None:
    # APP1 with one IFD0 entry: orientation (0x0112) = 6, "rotate 90° clockwise to show".
    tiff = b"MM\x00\x2a\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00\x00\x00\x00\x00"
    body = b"Exif\x00\x00" + tiff
    data = encoded(".jpg", image)
    rotated = decode_photo(data[:2] + b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body + data[2:])
    assert rotated.shape == (80, 60, 3)
    assert np.abs(rotated.astype(int) - cv2.rotate(decode_photo(data), cv2.ROTATE_90_CLOCKWISE)).max() == 0


def tiff_of_one_strip(rows: int) -> bytes:
    numbers = ((256, 16), (257, 16), (258, 8), (259, 1), (262, 1), (273, 122), (277, 1), (278, rows), (279, 256))
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in numbers)
    return b"II*\0" + struct.pack("<IH", 8, len(numbers)) + entries + bytes(4) + bytes(range(256))


@pytest.mark.parametrize("rows", [16, 65_535, (1 << 32) - 1])
def test_a_tiff_may_say_that_a_strip_has_more_rows_than_there_are(rows: int) -> None:
    assert (decode_photo(tiff_of_one_strip(rows))[:, :, 1] == np.arange(256).reshape(16, 16)).all()


def test_text_named_jpg_is_refused_with_its_name(tmp_path) -> None:
    path = tmp_path / "note.jpg"
    path.write_text("not a photo")
    with pytest.raises(PhotoError, match=r"note\.jpg: not a photo"):
        read_photo(path)


def test_an_empty_and_a_missing_file_are_refused(tmp_path) -> None:
    (tmp_path / "empty.jpg").touch()
    with pytest.raises(PhotoError, match="empty"):
        read_photo(tmp_path / "empty.jpg")
    with pytest.raises(PhotoError, match="No such file"):
        read_photo(tmp_path / "missing.jpg")


def test_a_photo_over_the_limit_is_refused(image: np.ndarray) -> None:
    with pytest.raises(PhotoError, match="megapixels"):
        decode_photo(encoded(".png", image), max_pixels=1000)


def test_a_film_behind_the_photo_does_no_harm_whatever_bytes_it_holds(image: np.ndarray) -> None:
    whole = encoded(".jpg", image)
    for seed in range(40):
        film = np.random.default_rng(seed).integers(0, 256, 200_000, dtype=np.uint8).tobytes()
        assert decode_photo(whole + film).shape == image.shape


def test_a_thumbnail_inside_does_not_hide_that_the_photo_is_truncated(image: np.ndarray) -> None:
    whole, thumbnail = encoded(".jpg", image), encoded(".jpg", image[:16, :16])
    inside = b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail
    assert decode_photo(whole[:2] + inside + whole[2:]).shape == image.shape
    with pytest.raises(PhotoError, match="truncated"):
        decode_photo((whole[:2] + inside + whole[2:])[:-100])


def test_a_progressive_jpeg_is_read_whole_and_refused_truncated(image: np.ndarray) -> None:
    data = encoded(".jpg", image, cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    assert decode_photo(data).shape == image.shape
    with pytest.raises(PhotoError, match="truncated"):
        decode_photo(data[: len(data) * 3 // 4])


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".webp", ".tiff"])
def test_the_size_is_read_from_the_header_as_opencv_finds_it(suffix: str, image: np.ndarray) -> None:
    for shot in (image, image[:33, :7]):
        assert size_of(encoded(suffix, shot)) == shot.shape[:2]


def test_the_size_of_other_kinds_of_jpeg_and_webp_is_read_too(image: np.ndarray) -> None:
    assert size_of(encoded(".jpg", image, cv2.IMWRITE_JPEG_PROGRESSIVE, 1)) == (60, 80)
    assert size_of(encoded(".webp", image, cv2.IMWRITE_WEBP_QUALITY, 101)) == (60, 80)  # lossless
    assert size_of(encoded(".webp", np.dstack([image, image[:, :, 0]]))) == (60, 80)  # extended: it has alpha


def test_a_small_file_that_claims_to_be_huge_is_refused_before_it_is_decoded(image, monkeypatch) -> None:
    bomb = bytearray(encoded(".png", image))
    bomb[16:24] = (30_000).to_bytes(4, "big") * 2
    bomb[29:33] = zlib.crc32(bomb[12:29]).to_bytes(4, "big")
    monkeypatch.setattr(cv2, "imdecode", None)  # would be a TypeError
    with pytest.raises(PhotoError, match="30000x30000 pixels is over the limit of 25 megapixels"):
        decode_photo(bytes(bomb), 25_000_000)


def test_other_formats_that_opencv_knows_are_no_photos(image: np.ndarray) -> None:
    # A GIF of one pixel, written out: OpenCV before 4.12, as beside tflite-runtime, reads none and writes none.
    gif = bytes.fromhex("47494638396101000100800000000000ffffff2c00000000010001000002024401003b")
    others = [encoded(suffix, image) for suffix in (".ppm", ".jp2", ".ras")]
    for data in (*others, encoded(".hdr", image.astype(np.float32)), gif):
        with pytest.raises(PhotoError, match="expected JPEG, PNG, BMP, WebP, TIFF, HEIC or AVIF"):
            decode_photo(data)


@pytest.fixture(scope="module")
def scene() -> np.ndarray:
    """A picture with something to see everywhere, large enough to lose a cluster of 4 KB."""
    noise = np.random.default_rng(0).integers(0, 256, (120, 160, 3), dtype=np.uint8)
    return cv2.resize(noise, (640, 480), interpolation=cv2.INTER_CUBIC)


def with_exif(data: bytes) -> bytes:
    """The same JPEG with EXIF data that turns it."""
    body = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    return data[:2] + b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body + data[2:]


DAMAGES = {
    "the second half is zeros": lambda data: data[: len(data) // 2] + bytes(len(data) // 2 - 2) + b"\xff\xd9",
    "a cluster is zeros": lambda data: data[:8192] + bytes(4096) + data[12288:],
    "a cluster is of another file": lambda data: data[:8192] + np.random.default_rng(1).bytes(4096) + data[12288:],
    "a cluster is missing": lambda data: data[:8192] + data[12288:],
    "the second half is missing": lambda data: data[: len(data) // 2],
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("kind", ["sequential", "progressive", "turned"])
def test_a_jpeg_that_lost_a_part_is_refused_and_nothing_is_printed(kind: str, damage: str, scene, capfd) -> None:
    data = encoded(".jpg", scene, cv2.IMWRITE_JPEG_PROGRESSIVE, int(kind == "progressive"))
    data = with_exif(data) if kind == "turned" else data
    assert decode_photo(data).shape[:2] in ((480, 640), (640, 480))
    with pytest.raises(PhotoError, match=r"damaged|truncated"):
        decode_photo(DAMAGES[damage](data))
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("damage", ["the second half is zeros", "a cluster is zeros", "the second half is missing"])
def test_a_webp_that_lost_a_part_is_refused(damage: str, scene) -> None:
    data = encoded(".webp", scene, cv2.IMWRITE_WEBP_QUALITY, 95)
    with pytest.raises(PhotoError, match=r"damaged|truncated"):
        decode_photo(DAMAGES[damage](data))


@pytest.mark.parametrize("damage", ["a cluster is zeros", "a cluster is of another file", "a cluster is missing"])
def test_a_png_that_lost_a_part_is_refused(damage: str, scene) -> None:
    with pytest.raises(PhotoError, match=r"damaged|truncated"):
        decode_photo(DAMAGES[damage](encoded(".png", scene)))


def test_a_few_bytes_that_a_camera_filled_up_with_do_no_harm(scene) -> None:
    data = encoded(".jpg", scene)
    assert (decode_photo(data[:-2] + bytes(8) + data[-2:]) == decode_photo(data)).all()


@pytest.mark.parametrize("sampling", [0x411111, 0x420000 | 0x1111, 0x221111, 0x211111])
def test_jpegs_have_the_pixels_that_opencv_gives_them(sampling: int, scene) -> None:
    for image in (scene, scene[:, :, 0], scene[:37, :53]):
        data = encoded(".jpg", image, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, sampling)
        assert (decode_photo(data) == cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)).all()


def test_a_cmyk_jpeg_is_read(scene) -> None:
    pillow = pytest.importorskip("PIL.Image")
    stream = io.BytesIO()
    pillow.fromarray(scene[:, :, ::-1]).convert("CMYK").save(stream, "JPEG", quality=95)
    assert np.abs(decode_photo(stream.getvalue()).astype(int) - scene).mean() < 12


@pytest.mark.parametrize("bits", [10, 12, 14])
@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_values_of_fewer_bits_in_a_file_of_16_keep_their_brightness_and_it_is_said(
    bits: int, suffix: str, scene
) -> None:
    deep = scene.astype(np.uint16) << (bits - 8)
    with decoded(encoded(suffix, deep)) as photo:
        pass
    assert (photo.image == scene).all()
    assert photo.remark == f"values of {bits} bits in a file of 16, scaled to their range"


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_values_of_16_bits_are_scaled_as_ever_without_a_word(suffix: str, scene) -> None:
    with decoded(encoded(suffix, scene.astype(np.uint16) * 257)) as photo:
        pass
    assert (photo.image == scene).all() and photo.remark == ""


def test_a_png_with_a_colour_profile_that_libpng_dislikes_prints_nothing(scene, capfd) -> None:
    data = encoded(".png", scene)
    profile = b"sRGB\0\0" + zlib.compress(bytes(200))
    chunk = len(profile).to_bytes(4, "big") + b"iCCP" + profile + zlib.crc32(b"iCCP" + profile).to_bytes(4, "big")
    assert (decode_photo(data[:33] + chunk + data[33:]) == scene).all()
    assert capfd.readouterr().err == ""


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "suffix"), [("HEIF", "heic"), ("AVIF", "avif")])
def test_heic_and_avif_are_read_with_the_extra(kind: str, suffix: str, scene) -> None:
    pillow, heif = pytest.importorskip("PIL.Image"), pytest.importorskip("pillow_heif")
    heif.register_heif_opener()
    smooth, stream = cv2.GaussianBlur(scene, (0, 0), 8), io.BytesIO()  # halved colours are lost in it no more
    pillow.fromarray(smooth[:, :, ::-1]).save(stream, kind, quality=95)
    assert np.abs(decode_photo(stream.getvalue()).astype(int) - smooth).mean() < 3
    with pytest.raises(PhotoError, match="640x480 pixels is over the limit"):
        decode_photo(stream.getvalue(), 1000)
    with pytest.raises(PhotoError, match="damaged"):
        decode_photo(stream.getvalue()[:2000])


def test_without_the_extra_heic_is_refused_with_its_name(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(PhotoError, match=r"pip install 'edgetl-device\[heif\]'"):
        decode_photo(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic\0\0\0\x14ispe" + bytes(7) + b"\x08\0\0\0\x08")


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate"])
@pytest.mark.parametrize("damage", ["the second half is missing", "a cluster is zeros"])
def test_a_tiff_that_lost_a_part_is_refused(damage: str, compression: str, scene) -> None:
    pillow = pytest.importorskip("PIL.Image")
    stream = io.BytesIO()
    pillow.fromarray(scene[:, :, ::-1]).save(stream, "TIFF", compression=compression)
    data = stream.getvalue()
    assert (decode_photo(data) == scene).all()
    if (damage, compression) == ("a cluster is zeros", "raw"):
        pytest.skip("in a picture that is not compressed zeros are black")
    with pytest.raises(PhotoError, match=r"damaged|truncated"):
        decode_photo(DAMAGES[damage](data))


@pytest.mark.slow
@pytest.mark.parametrize("claimed", [(16, 16), (64, 48)])
def test_an_avif_that_is_larger_than_it_says_gets_no_more_memory_than_it_says(claimed, monkeypatch) -> None:
    pillow = pytest.importorskip("PIL.Image")
    stream = io.BytesIO()
    pillow.fromarray(np.zeros((5000, 5000, 3), np.uint8)).save(stream, "AVIF", speed=10)
    size = b"\0\0\0\x14ispe\0\0\0\0"
    lying = stream.getvalue().replace(size + struct.pack(">II", 5000, 5000), size + struct.pack(">II", *claimed))
    limits = []

    def decode(data: bytes, max_pixels: int, data_bytes: int) -> object:
        limits.append(data_bytes)
        return decode_apart(data, max_pixels, data_bytes)

    monkeypatch.setattr("edgetl_device.photos.decode_apart", decode)
    try:  # whether that memory suffices for what is cut off anyway is the decoder's business
        assert decode_photo(lying).shape == (*claimed[::-1], 3)
    except PhotoError as error:
        assert "damaged" in str(error)
    assert limits[0] < 130 << 20


def test_photos_that_are_decoded_at_the_same_time_share_the_memory(scene, tmp_path) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(encoded(".png", scene))
    most, data = photos._memory.free, path.read_bytes()
    with decoded(data):
        assert photos._memory.free == most - 6 * scene.shape[0] * scene.shape[1]
        with photo_file(path):
            assert photos._files.free == MAX_BYTES - len(data)
    with pytest.raises(PhotoError), photo_file(path) as whole, decoded(whole[:-20]):
        pass
    assert (photos._memory.free, photos._files.free) == (most, MAX_BYTES)
