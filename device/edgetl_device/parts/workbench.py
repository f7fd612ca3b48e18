"""The bench under the parts: surfaces seen by the same camera, and the litter on them."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from .raster import View

# uint8; OpenCV's stubs do not say so.
Bytes = NDArray[Any]
Floats = NDArray[Any]
Rng = np.random.Generator
_SIDE = 768


def workbench(rng: Rng, view: View, size: tuple[int, int]) -> tuple[Bytes, Bytes]:
    """A bench's colours (h, w, 3) uint8 BGR before light, and the litter's hard shadow (h, w) uint8."""
    name = SURFACES[int(rng.integers(len(SURFACES)))]
    colours = _ramp(rng, name)
    # Texture pixels a picture pixel, chosen so that the surface looks the same at any picture size.
    density = rng.uniform(0.55, 1.5) * 224 / min(size)
    level = int(np.clip(np.floor(np.log2(max(density, 1.0))), 0, 3))
    turn = rng.uniform(0, 2 * np.pi)
    zoom = density * view.scale / 2**level
    c, s = np.cos(turn) * zoom, np.sin(turn) * zoom
    x, y = rng.uniform(0, _SIDE, 2)
    onto_texture = np.array([[c, -s, x], [s, c, y], [0, 0, 1]])
    grey = cv2.warpPerspective(
        _texture(name, int(rng.integers(2)), level),
        onto_texture @ np.linalg.inv(view.ground()),
        (size[1], size[0]),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REFLECT,
    )
    picture = cv2.LUT(cv2.merge([grey, grey, grey]), colours[None])
    cast = np.zeros(size, np.uint8)
    for _ in range(int(rng.choice([0, 0, 1, 2, 3, 4, 6]))):
        LITTER[int(rng.integers(len(LITTER)))](rng, picture, cast)
    return picture, cast


def _noise(rng: Rng, octaves: tuple[tuple[int, int, float], ...]) -> Floats:
    """Sum of smooth noises, each (cells down, cells across, strength)."""
    total = np.zeros((_SIDE, _SIDE), np.float32)
    for down, across, strength in octaves:
        cells = rng.standard_normal((down, across)).astype(np.float32)
        total += strength * cv2.resize(cells, (_SIDE, _SIDE), interpolation=cv2.INTER_CUBIC)
    return total


def _wood(rng: Rng) -> Floats:
    grain = _noise(rng, ((48, 4, 10), (160, 6, 9), (512, 14, 7), (768, 40, 5)))
    bend = _noise(rng, ((3, 3, 26), (6, 4, 9)))
    rows = np.arange(_SIDE, dtype=np.float32)[:, None]
    value = 140 + grain + 13 * np.sin((rows + bend) / 5.5) + 10 * np.sin((rows + 1.7 * bend) / 17)
    for seam in range(0, _SIDE, 192):
        value[seam : seam + 192] += rng.normal(0, 14)
        value[seam : seam + 3] -= 70
    return np.asarray(value)


def _concrete(rng: Rng) -> Floats:
    value = 140 + _noise(rng, ((6, 6, 9), (20, 20, 8), (80, 80, 7), (300, 300, 8), (768, 768, 9)))
    pits = _noise(rng, ((200, 200, 1),))
    return np.asarray(value - 60 * np.clip(pits - 2.1, 0, 1))


def _fabric(rng: Rng) -> Floats:
    rows, columns = np.mgrid[0:_SIDE, 0:_SIDE].astype(np.float32)
    bend = _noise(rng, ((20, 20, 0.5),))
    over = np.sin(rows * 0.9 + bend) * np.sin(columns * 0.45)
    over += np.sin(columns * 0.9 + bend) * np.sin(rows * 0.45)
    return np.asarray(135 + 22 * over + _noise(rng, ((5, 5, 8), (200, 200, 7), (768, 768, 8))))


def _mat(rng: Rng) -> Floats:
    value = 75 + _noise(rng, ((5, 5, 4), (768, 768, 5), (300, 300, 3)))
    value[::48] = value[:, ::48] = 165
    for offset in (0, 1, 2):
        value[offset::240] = value[:, offset::240] = 215
    return value


def _paper(rng: Rng) -> Floats:
    return np.asarray(175 + _noise(rng, ((4, 4, 6), (60, 60, 3), (400, 400, 4), (768, 768, 4))))


def _speckle(rng: Rng) -> Floats:
    value = 140 + _noise(rng, ((768, 768, 7),))
    for cells, step in ((130, 55), (170, -60), (260, 40), (260, -45)):
        value += step * (_noise(rng, ((cells, cells, 1),)) > 1.6)
    return value


def _sheet(rng: Rng) -> Floats:
    value = 150 + _noise(rng, ((768, 5, 13), (768, 40, 6), (4, 4, 12)))
    for _ in range(70):
        a, b = rng.integers(0, _SIDE, 2), rng.integers(-90, 90, 2)
        end = (int(a[0] + b[0]), int(a[1] + b[1]))
        cv2.line(value, (int(a[0]), int(a[1])), end, float(rng.uniform(90, 230)), 1)
    return value


def _cardboard(rng: Rng) -> Floats:
    rows = np.arange(_SIDE, dtype=np.float32)[:, None]
    return np.asarray(150 + 5 * np.sin(rows / 3.2) + _noise(rng, ((5, 5, 6), (300, 60, 7), (768, 300, 6))))


def _studs(rng: Rng) -> Floats:
    rows, columns = np.mgrid[0:_SIDE, 0:_SIDE].astype(np.float32)
    ribs = np.sin((rows + columns) * 0.32)
    return np.asarray(110 + 45 * np.clip(ribs, -0.3, 1) + _noise(rng, ((5, 5, 8), (768, 768, 7))))


_TEXTURES: MappingProxyType[str, Callable[[Rng], Floats]] = MappingProxyType(
    {
        "wood": _wood,
        "concrete": _concrete,
        "fabric": _fabric,
        "mat": _mat,
        "paper": _paper,
        "speckle": _speckle,
        "sheet": _sheet,
        "cardboard": _cardboard,
        "studs": _studs,
    }
)
SURFACES = ("wood", "wood", "concrete", "fabric", "mat", "paper", "speckle", "sheet", "cardboard", "studs")

# (dark, light) sRGB in BGR; a surface takes one pair and drifts from it.
_COLOURS = MappingProxyType(
    {
        "wood": [
            ((40, 75, 110), (130, 175, 210)),
            ((25, 42, 66), (70, 105, 145)),
            ((80, 110, 135), (175, 200, 215)),
        ],
        "concrete": [((70, 72, 75), (190, 192, 195)), ((45, 46, 48), (120, 122, 124))],
        "fabric": [
            ((70, 35, 20), (150, 95, 70)),
            ((40, 40, 42), (110, 110, 112)),
            ((35, 35, 110), (90, 85, 190)),
        ],
        "mat": [
            ((45, 62, 18), (150, 190, 130)),
            ((75, 50, 20), (200, 180, 150)),
            ((25, 25, 25), (160, 160, 160)),
        ],
        "paper": [((150, 155, 160), (245, 248, 250)), ((110, 150, 165), (200, 232, 240))],
        "speckle": [
            ((40, 40, 42), (230, 230, 232)),
            ((60, 80, 95), (225, 235, 240)),
            ((25, 25, 28), (130, 128, 125)),
        ],
        "sheet": [((70, 68, 66), (215, 212, 208)), ((50, 52, 52), (150, 150, 148))],
        "cardboard": [((60, 100, 135), (130, 175, 205))],
        "studs": [
            ((12, 12, 12), (75, 75, 75)),
            ((70, 30, 10), (160, 100, 60)),
            ((10, 10, 50), (60, 60, 160)),
        ],
    }
)


def _ramp(rng: Rng, name: str) -> Bytes:
    """(256, 3) uint8: the colour of each grey of a texture."""
    pairs = _COLOURS[name]
    dark, light = (np.array(end, np.float64) for end in pairs[int(rng.integers(len(pairs)))])
    drift = rng.normal(0, 5, 3) + rng.normal(0, 14)
    grey = np.linspace(0, 1, 256)[:, None]
    return np.clip(dark + (light - dark) * grey + drift, 2, 252).astype(np.uint8)


@lru_cache(maxsize=64)
def _texture(name: str, variant: int, level: int) -> Bytes:
    """A square grey texture, halved `level` times so that far surfaces do not flicker."""
    if level:
        return cv2.pyrDown(_texture(name, variant, level - 1))
    rng = np.random.default_rng([sum(name.encode()), variant])
    return np.clip(_TEXTURES[name](rng), 0, 255).astype(np.uint8)


# Paper, kraft, sticky note, masking and insulating tape, foil, black, offcuts of plastic: BGR.
_SCRAPS = np.array(
    [
        (235, 238, 240),
        (120, 160, 190),
        (110, 215, 235),
        (150, 195, 215),
        (150, 80, 40),
        (50, 45, 170),
        (70, 120, 50),
        (165, 165, 168),
        (35, 35, 36),
        (90, 140, 200),
    ],
    np.float64,
)


def _colour(rng: Rng) -> tuple[int, int, int]:
    scrap = _SCRAPS[int(rng.integers(len(_SCRAPS)))] + rng.normal(0, 14, 3)
    b, g, r = np.clip(scrap, 8, 250).astype(int).tolist()
    return b, g, r


def _scrap(rng: Rng, picture: Bytes, cast: Bytes) -> None:
    """A cut-off of paper, tape or sheet."""
    h, w = cast.shape
    unit = min(h, w)
    centre = rng.uniform(-0.1, 1.1, 2) * (w, h)
    corner = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(3, 6))))
    reach = unit * rng.uniform(0.05, 0.3)
    spokes = np.stack([np.cos(corner), np.sin(corner)], 1) * reach
    points = centre + spokes * rng.uniform(0.6, 1, (len(corner), 1))
    _solid(picture, cast, points, _colour(rng), unit / 60)


def _strip(rng: Rng, picture: Bytes, cast: Bytes) -> None:
    """A long strip: tape, ruler edge, a batten."""
    h, w = cast.shape
    unit = min(h, w)
    a, b = rng.uniform(-0.2, 1.2, 2) * (w, h), rng.uniform(-0.2, 1.2, 2) * (w, h)
    along = (b - a) / (np.linalg.norm(b - a) + 1e-6)
    across = np.array([-along[1], along[0]]) * unit * rng.uniform(0.01, 0.06)
    _solid(picture, cast, np.stack([a - across, b - across, b + across, a + across]), _colour(rng), unit / 70)


def _solid(picture: Bytes, cast: Bytes, points: Floats, colour: tuple[int, int, int], drop: float) -> None:
    fixed = np.rint(points * 16).astype(np.int32)
    cv2.fillPoly(cast, [fixed + np.int32(drop * 16)], 150, cv2.LINE_AA, 4)
    cv2.fillPoly(cast, [fixed], 0, cv2.LINE_AA, 4)
    cv2.fillPoly(picture, [fixed], colour, cv2.LINE_AA, 4)


def _wire(rng: Rng, picture: Bytes, cast: Bytes) -> None:
    """A piece of wire or thread lying in a curve."""
    h, w = cast.shape
    unit = min(h, w)
    heading = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, 0.35, 24))
    steps = np.stack([np.cos(heading), np.sin(heading)], 1) * unit * rng.uniform(0.015, 0.04)
    points = rng.uniform(0, 1, 2) * (w, h) + np.cumsum(steps, 0)
    fixed = np.rint(points * 16).astype(np.int32)[None]
    thick = max(1, round(unit * rng.uniform(0.004, 0.014)))
    colour = _colour(rng)
    cv2.polylines(cast, fixed + np.int32(16 * thick), False, 150, thick, cv2.LINE_AA, 4)
    cv2.polylines(picture, fixed, False, colour, thick, cv2.LINE_AA, 4)
    shine = tuple(min(255, c + 70) for c in colour)
    cv2.polylines(picture, fixed - np.int32(4 * thick), False, shine, max(1, thick // 3), cv2.LINE_AA, 4)


def _pencil(rng: Rng, picture: Bytes, cast: Bytes) -> None:
    """A few drawn or scratched lines."""
    h, w = cast.shape
    tone = int(rng.choice([40, 70, 215]))
    for _ in range(int(rng.integers(1, 5))):
        ends = rng.uniform(-0.1, 1.1, (2, 2)) * (w, h)
        a, b = ((int(x * 16), int(y * 16)) for x, y in ends)
        cv2.line(picture, a, b, (tone, tone, tone), max(1, round(min(h, w) / 220)), cv2.LINE_AA, 4)


def _crumbs(rng: Rng, picture: Bytes, cast: Bytes) -> None:
    """Swarf and dust: many small flecks."""
    h, w = cast.shape
    unit = min(h, w)
    centre, spread = rng.uniform(0, 1, 2) * (w, h), unit * rng.uniform(0.05, 0.35)
    tone = int(rng.choice([30, 90, 225]))
    for _ in range(int(rng.integers(8, 30))):
        x, y = centre + rng.normal(0, spread, 2)
        dx, dy = rng.normal(0, unit * 0.008, 2)
        grey = int(np.clip(tone + rng.normal(0, 25), 0, 255))
        start, end = (int(x * 16), int(y * 16)), (int((x + dx) * 16), int((y + dy) * 16))
        cv2.line(picture, start, end, (grey, grey, grey), max(1, round(unit / 200)), cv2.LINE_AA, 4)


def _stain(rng: Rng, picture: Bytes, cast: Bytes) -> None:
    """Oil or damp: a soft darker patch."""
    h, w = cast.shape
    patch = np.zeros((max(h // 4, 1), max(w // 4, 1)), np.uint8)
    centre = (int(rng.uniform(0, w / 4)), int(rng.uniform(0, h / 4)))
    long, short = (int(min(h, w) / 4 * reach) + 1 for reach in rng.uniform(0.05, 0.25, 2))
    axes = (long, short)
    cv2.ellipse(patch, centre, axes, float(rng.uniform(0, 180)), 0, 360, int(rng.integers(40, 110)), -1)
    patch = cv2.blur(patch, (7, 7))
    keep = 255 - cv2.resize(patch, (w, h), interpolation=cv2.INTER_LINEAR)
    cv2.multiply(picture, cv2.merge([keep, keep, keep]), picture, 1 / 255)


Litter = Callable[[Rng, Bytes, Bytes], None]
LITTER: tuple[Litter, ...] = (_scrap, _strip, _wire, _pencil, _crumbs, _stain, _scrap, _wire)
