import cv2
import numpy as np
import pytest

from edgetl_device.errors import PhotoError
from edgetl_device.photos import decode_photo, is_photo_name, photo_size, read_photo


def encoded(suffix: str, image: np.ndarray, *options: int) -> bytes:
    return cv2.imencode(suffix, image, list(options))[1].tobytes()


@pytest.fixture
def image() -> np.ndarray:
    gradient = np.linspace(0, 255, 60 * 80 * 3).reshape(60, 80, 3)
    return gradient.astype(np.uint8)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".webp"])
def test_every_format_is_read(suffix: str, image: np.ndarray) -> None:
    found = decode_photo(encoded(suffix, image))
    assert found.shape == image.shape and found.dtype == np.uint8
    assert np.abs(found.astype(int) - image).mean() < 4


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".webp"])
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


def test_names_of_photos(tmp_path) -> None:
    names = ("a.JPG", "b.jpeg", "c.PnG", "d.webp", "e.bmp", "f.txt", "._g.jpg", "h")
    assert [is_photo_name(tmp_path / name) for name in names] == [True] * 5 + [False] * 3


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


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".webp"])
def test_the_size_is_read_from_the_header_as_opencv_finds_it(suffix: str, image: np.ndarray) -> None:
    for shot in (image, image[:33, :7]):
        assert photo_size(encoded(suffix, shot)) == shot.shape[:2]


def test_the_size_of_other_kinds_of_jpeg_and_webp_is_read_too(image: np.ndarray) -> None:
    assert photo_size(encoded(".jpg", image, cv2.IMWRITE_JPEG_PROGRESSIVE, 1)) == (60, 80)
    assert photo_size(encoded(".webp", image, cv2.IMWRITE_WEBP_QUALITY, 101)) == (60, 80)  # lossless
    assert photo_size(encoded(".webp", np.dstack([image, image[:, :, 0]]))) == (60, 80)  # extended: it has alpha


def test_a_small_file_that_claims_to_be_huge_is_refused_before_it_is_decoded(image, monkeypatch) -> None:
    bomb = bytearray(encoded(".png", image))
    bomb[16:24] = (30_000).to_bytes(4, "big") * 2
    monkeypatch.setattr(cv2, "imdecode", None)  # would be a TypeError
    with pytest.raises(PhotoError, match="30000x30000 pixels is over the limit of 25 megapixels"):
        decode_photo(bytes(bomb), 25_000_000)


def test_other_formats_that_opencv_knows_are_no_photos(image: np.ndarray) -> None:
    for suffix in (".tiff", ".ppm"):
        with pytest.raises(PhotoError, match="expected JPEG, PNG, BMP or WebP"):
            decode_photo(encoded(suffix, image))
