"""One photo: a bench, a part on it, light, shadow, lens, sensor and JPEG."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from zlib import crc32

import cv2
import numpy as np
from numpy.typing import NDArray

from .light import LIGHTS, Finish, Light, Lighting, finishes, lighting, shade
from .mesh import Floats, Mesh, moved
from .raster import Fragments, View, rasterise, shadow
from .shapes import build, resting
from .workbench import workbench

# uint8; OpenCV's stubs do not say so.
Bytes = NDArray[Any]
Rng = np.random.Generator


@dataclass(frozen=True)
class Scene:
    """A lit, empty bench as a camera sees it.

    size: (height, width). ground: (h, w, 3) float32 linear BGR under full light. cast: (h // 2, w // 2)
    uint8, the litter's shadow, 255 darkest.
    """

    view: View
    size: tuple[int, int]
    light: Light
    lit: Lighting
    ground: Floats
    cast: Bytes


def photo(kind: str | None, light: str, size: int, entropy: tuple[int, ...]) -> Bytes:
    """(size, size, 3) uint8 BGR; kind None: the bench alone."""
    # Light draws from a generator of its own, so that the four lights show the same part in the same place.
    rng = np.random.default_rng([*entropy, crc32((kind or "").encode())])
    lamp = np.random.default_rng([*entropy, crc32((kind or "").encode()), 1])
    scale = rng.uniform(0.25, 0.43)
    away = (0.48 - scale) * rng.uniform(-1, 1, 2)
    view = View(
        tilt_deg=float(abs(rng.normal(18, 20))) % 56,
        scale=size * scale,
        distance=rng.uniform(5, 9),
        centre=(size * (0.5 + away[0]), size * (0.52 + away[1])),
    )
    picture = scene(rng, lamp, light, view, (size, size))
    if kind is None:
        linear = empty(picture)
    else:
        part = moved(build(kind, rng), resting(kind, rng, view.towards))
        part = moved(part, shift=(0, 0, -part.corners[..., 2].min()))
        linear = with_part(picture, part, finishes(rng), (int(rng.integers(1024)), int(rng.integers(1024))))
    return develop(linear, picture, lamp)


def scene(rng: Rng, lamp: Rng, light: str, view: View, size: tuple[int, int]) -> Scene:
    """A bench drawn from `rng` under lamps drawn from `lamp`."""
    colours, cast = workbench(rng, view, size)
    ground = cv2.LUT(colours, _to_linear())
    mean = np.array(cv2.mean(ground)[:3], np.float32)
    lit = lighting(LIGHTS[light], lamp, mean)
    return Scene(view, size, LIGHTS[light], lit, ground, _soft(_halved(cast), lit.blur * 0.1 * view.scale))


def empty(picture: Scene) -> Floats:
    """The scene's linear picture (h, w, 3) with nothing but litter on the bench."""
    return _darkened(picture, 1 - picture.cast * np.float32(picture.lit.key / 255))


def with_part(picture: Scene, part: Mesh, surfaces: tuple[Finish, Finish], grain_at: tuple[int, int]) -> Floats:
    """The scene's linear picture (h, w, 3) with a part on the bench (its lowest point at z = 0).

    grain_at: which piece of the bank of scratches and stains the part wears.
    """
    view, lit, size = picture.view, picture.lit, picture.size
    visible = rasterise(part, view, size)
    if visible is None:
        return empty(picture)
    top, left, height, width = visible.box
    colour = shade(visible, surfaces, lit, view.towards, _grain(visible, grain_at))
    count = height * width
    np.minimum(colour, 4, out=colour)
    over = np.zeros((count, 3), np.float32)
    over[visible.pixel[: visible.whole]] = colour[: visible.whole]
    cover = np.zeros(count, np.float32)
    cover[visible.pixel[: visible.whole]] = 1
    edge = visible.pixel[visible.whole :]
    if len(edge):
        first = np.flatnonzero(np.diff(edge, prepend=-1))
        over[edge[first]] = np.add.reduceat(colour[visible.whole :] * visible.share[:, None], first, axis=0)
        cover[edge[first]] = np.add.reduceat(visible.share, first)
    part_over, cover_over = over.reshape(height, width, 3), cover.reshape(height, width)
    dark = shadow(part, view, lit.sun, size, 2)
    dark = _soft(dark, lit.blur * view.scale / 2)
    # Where part and bench nearly touch, the room's light does not reach either.
    mask = np.zeros(size, np.uint8)
    mask[top : top + height, left : left + width] = cover_over * 255
    near = _soft(cv2.resize(mask, None, fx=0.25, fy=0.25), 0.025 * view.scale)
    near = cv2.resize(near, dark.shape[::-1], interpolation=cv2.INTER_LINEAR)
    fall = 1 - np.maximum(dark, picture.cast) * np.float32(lit.key / 255)
    fall *= 1 - near * np.float32(0.6 * (1 - lit.key) / 255)
    out = _darkened(picture, fall)
    region = out[top : top + height, left : left + width]
    through = 1 - cover_over
    region *= cv2.merge([through, through, through])
    region += part_over
    return out


def _soft(mask: Bytes, sigma: float) -> Bytes:
    """A mask with a soft edge, never a jagged one: two box filters."""
    side = 2 * max(1, round(1.2 * sigma)) + 1
    return np.asarray(cv2.blur(cv2.blur(mask, (side, side)), (side, side)), np.uint8)


def _halved(mask: Bytes) -> Bytes:
    return np.ascontiguousarray(mask[: mask.shape[0] // 2 * 2 : 2, : mask.shape[1] // 2 * 2 : 2])


def _darkened(picture: Scene, fall: Floats) -> Floats:
    """The ground times a half-size map of light."""
    full = cv2.resize(fall.astype(np.float32), picture.size[::-1], interpolation=cv2.INTER_LINEAR)
    return cv2.multiply(picture.ground, cv2.merge([full, full, full]))


def develop(linear: Floats, picture: Scene, rng: Rng) -> Bytes:
    """A still: exposure, lens, sensor and JPEG; linear BGR (h, w, 3) to uint8 BGR."""
    unit = min(picture.size) / 224
    linear = cv2.transform(linear, np.diag(white_balance(linear, picture.light, rng)))
    if rng.random() < 0.5:
        linear = cv2.GaussianBlur(linear, (0, 0), rng.uniform(0.35, 1.1 if rng.random() < 0.8 else 1.9) * unit)
    if rng.random() < 0.22:
        linear = cv2.filter2D(linear, -1, _smear(rng.uniform(2.5, 8) * unit, rng.uniform(0, 180)))
    shot = expose(linear, picture.light.noise * float(rng.uniform(0.6, 1.5)), rng)
    coded = cv2.imencode(".jpg", shot, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(55, 96))])[1]
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)


def shoot(linear: Floats, balance: tuple[float, float, float], noise: float, rng: Rng) -> Bytes:
    """A frame of a camera whose exposure and white balance stay as they are."""
    return expose(cv2.transform(linear, np.diag(balance)), noise, rng)


def white_balance(linear: Floats, light: Light, rng: Rng) -> tuple[float, float, float]:
    """Gains for B, G, R: the light's tint and exposure.

    Half of what an automatic exposure would do: dark benches stay darker than light ones.
    """
    mean = float(np.mean(cv2.mean(linear)[:3]))
    gain = float(rng.uniform(*light.exposure)) * (0.2 / (mean + 0.02)) ** 0.5
    b, g, r = (tint * gain * float(rng.normal(1, 0.03)) for tint in light.tint)
    return b, g, r


def expose(linear: Floats, noise: float, rng: Rng) -> Bytes:
    """Vignette, tone curve and sensor noise; noise 1 is about 2 grey levels."""
    height, width = linear.shape[:2]
    level = cv2.multiply(linear, _vignette(height, width), scale=(_LEVELS - 1) / _BRIGHTEST)
    index = np.clip(level, 0, _LEVELS - 1, out=level).astype(np.intp)
    bank = _noise_bank()
    if max(height, width) > len(bank):
        bank = np.tile(bank, (-(-height // len(bank)), -(-width // len(bank)), 1))
    y, x = rng.integers(0, np.array(bank.shape[:2]) - (height, width) + 1)
    grain = cv2.multiply(bank[y : y + height, x : x + width], np.take(_spread(), index), scale=noise)
    return np.asarray(cv2.add(np.take(_tone(), index), grain, dtype=cv2.CV_8U), np.uint8)


# The tone curve is tabulated for this many levels of light, up to this multiple of white.
_LEVELS, _BRIGHTEST = 8192, 2.5


@lru_cache(maxsize=1)
def _to_linear() -> Floats:
    code = np.arange(256, dtype=np.float32) / 255
    return np.where(code < 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4).astype(np.float32)


def _light_levels() -> Floats:
    return np.linspace(0, _BRIGHTEST, _LEVELS, dtype=np.float32)


@lru_cache(maxsize=1)
def _tone() -> Floats:
    """sRGB after a soft shoulder that keeps shape in highlights: 0–255 by level."""
    x = _light_levels()
    x = np.where(x < 0.55, x, 1 - 0.45 * np.exp((0.55 - x) / 0.45))
    return np.asarray(255 * np.where(x < 0.0031308, 12.92 * x, 1.055 * x ** (1 / 2.4) - 0.055), np.float32)


@lru_cache(maxsize=1)
def _spread() -> Floats:
    """Noise in grey levels by linear level: shot and read noise through the tone curve."""
    x = _light_levels()
    slope = np.gradient(_tone(), x)
    return np.asarray(np.sqrt((0.006**2 * x + 0.0012**2) * slope**2 + 0.5), np.float32)


@lru_cache(maxsize=1)
def _noise_bank() -> Floats:
    """(1024, 1024, 3) noise of unit spread, slightly correlated as after demosaicing; drawn once."""
    raw = np.random.default_rng(1).standard_normal((1024, 1024, 3), dtype=np.float32)
    soft = cv2.GaussianBlur(raw, (3, 3), 0.6)
    return np.asarray(soft / soft.std(), np.float32)


@lru_cache(maxsize=1)
def _grain_bank() -> Floats:
    """(1024, 1024, 2): brushed streaks, blotches; both of unit spread."""
    rng = np.random.default_rng(2)
    streaks = cv2.GaussianBlur(rng.standard_normal((1024, 1024), dtype=np.float32), (0, 0), 9, sigmaY=0.7)
    blotch = sum(
        cv2.resize(rng.standard_normal((n, n), dtype=np.float32), (1024, 1024), interpolation=cv2.INTER_CUBIC) * s
        for n, s in ((20, 1.0), (60, 0.6), (250, 0.5))
    )
    return np.stack([streaks / streaks.std(), blotch / np.std(blotch)], 2).astype(np.float32)


def _grain(visible: Fragments, at: tuple[int, int]) -> Floats:
    """(n, 2) of the bank under each sample; the first coordinate also turns the streaks."""
    row, column = visible.row.astype(np.intp) + at[0], visible.column.astype(np.intp) + at[1]
    if at[0] & 1:
        row, column = column, row
    if at[0] & 2:
        row, column = row + column, row - column
    return np.take(_grain_bank().reshape(-1, 2), (row & 1023) * 1024 + (column & 1023), axis=0)


@lru_cache(maxsize=8)
def _vignette(height: int, width: int) -> Floats:
    y = (np.arange(height, dtype=np.float32) / height - 0.5)[:, None]
    x = np.arange(width, dtype=np.float32) / width - 0.5
    fall = (1 - 0.35 * (x * x + y * y)).astype(np.float32)
    return cv2.merge([fall, fall, fall])


def _smear(length: float, degrees: float) -> Floats:
    """Motion blur: a line kernel."""
    half = int(np.ceil(length / 2))
    kernel = np.zeros((2 * half + 1, 2 * half + 1), np.uint8)
    a = np.radians(degrees)
    dx, dy = np.cos(a) * length / 2, np.sin(a) * length / 2
    ends = [(round((half + s * dx) * 16), round((half + s * dy) * 16)) for s in (-1, 1)]
    cv2.line(kernel, ends[0], ends[1], 255, 1, cv2.LINE_AA, 4)
    return np.asarray(kernel / kernel.sum(), np.float32)
