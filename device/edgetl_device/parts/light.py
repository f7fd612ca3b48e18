"""Light and finish: what a surface sends to the camera, looked up in small maps of all directions.

Colours are linear BGR. Light is scaled so that the open bench receives 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

import cv2
import numpy as np
from numpy.typing import NDArray

from .mesh import Floats
from .raster import Fragments

_MAP = 64
Rng = np.random.Generator


@dataclass(frozen=True)
class Light:
    """One of the four lights.

    key: range of the main lamp's share of the bench's light. height_deg: range of its elevation.
    softness: shadow blur in units of the part's radius. exposure: range of the camera's gain.
    tint: BGR of the light. noise: sensor noise, 1 = a well-lit photo.
    """

    key: tuple[float, float]
    height_deg: tuple[float, float]
    softness: tuple[float, float]
    exposure: tuple[float, float]
    tint: tuple[float, float, float]
    noise: float


LIGHTS: MappingProxyType[str, Light] = MappingProxyType(
    {
        "normal": Light((0.35, 0.65), (40, 75), (0.05, 0.16), (0.85, 1.2), (1.0, 1.0, 1.0), 1.0),
        "dim": Light((0.3, 0.6), (35, 70), (0.08, 0.2), (0.14, 0.24), (1.04, 1.0, 0.96), 2.6),
        "warm": Light((0.4, 0.7), (35, 70), (0.05, 0.16), (0.75, 1.05), (0.36, 0.74, 1.18), 1.2),
        "harsh": Light((0.9, 0.96), (24, 50), (0.006, 0.02), (1.25, 1.75), (0.97, 1.0, 1.0), 0.8),
    }
)


@dataclass(frozen=True)
class Finish:
    """A surface. albedo, mirror: BGR; roughness 0–1; grain: strength of scratches and stains; gloss: rim."""

    name: str
    albedo: tuple[float, float, float]
    mirror: tuple[float, float, float]
    roughness: float
    grain: float
    gloss: float


FINISHES = (
    *("steel", "steel", "zinc", "brass", "copper", "black oxide"),
    *("plastic", "plastic", "rubber", "paint"),
)


def finishes(rng: Rng) -> tuple[Finish, Finish]:
    """A part's body and, of another material, its insert (a nut's ring, a bearing's cage)."""
    body = str(rng.choice(FINISHES))
    return finish(rng, body), finish(rng, str(rng.choice([name for name in FINISHES if name != body])))


def finish(rng: Rng, name: str) -> Finish:
    """A variation of the named finish."""
    wear = rng.uniform(0.85, 1.1)
    rough = float(rng.uniform(0.0, 1.0))
    if name in ("plastic", "paint", "rubber"):
        colour = _hue(rng, dark=name == "rubber")
        if name == "rubber":
            return Finish(name, colour, (0.02, 0.02, 0.02), 0.75 + 0.25 * rough, 0.12, 0.05)
        if name == "paint":
            return Finish(name, colour, (0.05, 0.05, 0.05), 0.1 + 0.2 * rough, 0.2, 0.5)
        return Finish(name, colour, (0.04, 0.04, 0.04), 0.3 + 0.4 * rough, 0.08, 0.35)
    mirror, albedo = {
        "steel": ((0.60, 0.58, 0.57), 0.09),
        "zinc": ((0.66, 0.62, 0.57), 0.14),
        "brass": ((0.22, 0.52, 0.72), 0.10),
        "copper": ((0.26, 0.38, 0.74), 0.08),
        "black oxide": ((0.075, 0.07, 0.068), 0.016),
    }[name]
    b, g, r = (m * wear for m in mirror)
    grain = 0.2 + 0.3 * rough
    return Finish(name, (b * albedo, g * albedo, r * albedo), (b, g, r), 0.15 + 0.5 * rough, grain, 0.3)


def _hue(rng: Rng, dark: bool) -> tuple[float, float, float]:
    """A dyed material's colour: any hue, or black, grey or white as often as in a drawer of parts."""
    pick = rng.random()
    if pick < (0.6 if dark else 0.3):
        grey = rng.uniform(0.012, 0.05) if dark or rng.random() < 0.5 else rng.uniform(0.3, 0.75)
        return (grey, grey, grey)
    hsv = np.array([[[rng.uniform(0, 180), rng.uniform(90, 215), rng.uniform(100, 225)]]], np.uint8)
    b, g, r = (cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)[0, 0] / 255.0) ** 2.2
    fade = 0.35 if dark else 0.8
    return (float(b) * fade + 0.01, float(g) * fade + 0.01, float(r) * fade + 0.01)


@dataclass(frozen=True)
class Lighting:
    """A lit scene: unit vector to the main lamp, its share on the bench, and radiance by direction.

    diffuse, sharp: (map², 3) float32. blur: shadow blur in part radii.
    """

    sun: Floats
    key: float
    blur: float
    diffuse: Floats
    sharp: Floats


def lighting(light: Light, rng: Rng, ground: Floats) -> Lighting:
    """Lamps placed at random; ground: mean BGR of the bench, which every underside reflects."""
    sun = _direction(rng.uniform(0, 360), rng.uniform(*light.height_deg))
    fill = _direction(rng.uniform(0, 360), rng.uniform(15, 60))
    window = _direction(rng.uniform(0, 360), rng.uniform(30, 80))
    key = float(rng.uniform(*light.key))
    rest = 1 - key
    direction = _directions()
    to_sun, to_fill, to_window = direction @ sun, direction @ fill, direction @ window
    up = direction[:, 2]
    # Diffuse: the lamp, a weaker second one; what is missing to 1 on the bench comes from the room.
    second = 0.35 * rest * np.maximum(to_fill, 0) / fill[2] * min(1.0, float(fill[2]) * 1.5)
    spread = rest * (1 - 0.35 * min(1.0, float(fill[2]) * 1.5))
    diffuse = (key * np.maximum(to_sun, 0) / sun[2] + second + spread * np.maximum(0.5 + 0.5 * up, 0.02))[:, None]
    diffuse = diffuse + ground * (0.55 * np.maximum(0.5 - 0.5 * up, 0))[:, None]
    # Mirror images: a lamp (small when the light is hard), a window, a dark horizon, the bench below.
    wide = np.cos(np.radians(rng.uniform(6, 10) + 170 * light.softness[1]))
    lamp = _step(to_sun, wide - 0.01, wide + 0.3 * (1 - wide)) * key * rng.uniform(0.8, 1.3) / (1 - wide)
    # Even under one hard lamp the room is there to be mirrored.
    room = max(rest, 0.3)
    pane = _step(to_window, 0.86, 0.92) * room * rng.uniform(2, 4)
    glow = 0.5 * room * np.maximum(to_fill, 0) ** 3
    sky = room * (0.35 + 1.0 * np.maximum(up, 0) ** 1.5) * (0.8 + 0.2 * np.sin(direction[:, 0] * 5 + rng.uniform(0, 6)))
    above = _step(up, -0.06, 0.1)[:, None]
    sharp = (lamp + pane + glow + sky)[:, None] * above + ground * (0.6 * (1 - above))
    return Lighting(
        sun,
        key,
        float(rng.uniform(*light.softness)),
        diffuse.astype(np.float32),
        sharp.astype(np.float32),
    )


def shade(visible: Fragments, surfaces: tuple[Finish, Finish], lit: Lighting, towards: Floats, grain: Floats) -> Floats:
    """(n, 3) linear BGR radiance of each sample; grain: (n, 2) noise around 0, scratches and stains."""
    normal, sky = visible.normal, np.clip(visible.openness, 0, 1)
    streak = grain[:, 0] * np.float32(surfaces[0].grain * 0.1)
    facing = np.clip(normal @ towards, 0, 1)
    # Scratches tip the mirror image, sideways only.
    mirrored = (2 * facing)[:, None] * normal - towards
    mirrored[:, 0] += streak
    mirrored[:, 1] -= streak
    toward_light, toward_room = _lookup(normal), _lookup(mirrored)
    square = (1 - facing) ** 2
    edge = square * square * (1 - facing)
    blot = np.clip(grain[:, 1] - 0.3, 0, 2)
    out = _surface(surfaces[0], lit, sky, blot, edge, toward_light, toward_room)
    insert = np.flatnonzero(visible.tone > 0.5)
    if len(insert):
        chosen = (a[insert] for a in (sky, blot, edge, toward_light, toward_room))
        out[insert] = _surface(surfaces[1], lit, *chosen)  # type: ignore[arg-type]
    return out


def _surface(
    surface: Finish,
    lit: Lighting,
    sky: Floats,
    blot: Floats,
    edge: Floats,
    toward_light: NDArray[np.intp],
    toward_room: NDArray[np.intp],
) -> Floats:
    """(n, 3) radiance of samples of one finish: diffuse, mirror image, rim."""
    room = _blurred(lit.sharp, surface.roughness)
    mirror = np.array(surface.mirror, np.float32)
    clean = 1 - blot * np.float32(min(0.45, surface.grain))
    colour = np.take(lit.diffuse * np.array(surface.albedo, np.float32), toward_light, axis=0)
    colour *= (sky * clean)[:, None]
    reflected = np.take(room, toward_room, axis=0)
    reflected *= mirror + (edge * np.float32(surface.gloss))[:, None]
    reflected *= (sky * sky * (0.5 + 0.5 * clean))[:, None]
    colour += reflected
    return colour


def _blurred(radiance: Floats, roughness: float) -> Floats:
    side = 2 * round(roughness * _MAP * 0.17) + 1
    picture = radiance.reshape(_MAP, _MAP, 3)
    for _ in range(2):  # Two box filters are a fast stand-in for a Gaussian.
        picture = cv2.blur(picture, (side, side), borderType=cv2.BORDER_REPLICATE)
    return picture.reshape(-1, 3)


def _lookup(direction: Floats) -> NDArray[np.intp]:
    """Directions (n, 3) to their place in a map: Lambert's azimuthal projection, up in the middle."""
    spread = np.float32(_MAP / 2 - 0.51) / np.sqrt(2 * np.maximum(1 + direction[:, 2], 1e-3))
    column = direction[:, 0] * spread + np.float32(_MAP / 2)
    row = direction[:, 1] * spread + np.float32(_MAP / 2)
    place = np.clip(row, 0, _MAP - 1).astype(np.intp) * _MAP
    return np.asarray(place + np.clip(column, 0, _MAP - 1).astype(np.intp))


@lru_cache(maxsize=1)
def _directions() -> Floats:
    """(map², 3) unit vectors of the map's cells; beyond the disc: straight down."""
    line = (np.arange(_MAP, dtype=np.float32) + 0.5) / (_MAP / 2) - 1
    x, y = np.meshgrid(line, line)
    radius2 = np.minimum(x * x + y * y, 0.9999)
    up = 1 - 2 * radius2
    shrink = np.sqrt((1 - up * up) / np.maximum(x * x + y * y, 1e-6))
    return np.stack([x * shrink, y * shrink, up], 2).reshape(-1, 3).astype(np.float32)


def _direction(azimuth_deg: float, height_deg: float) -> Floats:
    a, h = np.radians(azimuth_deg), np.radians(height_deg)
    return np.array([np.cos(a) * np.cos(h), np.sin(a) * np.cos(h), np.sin(h)], np.float32)


def _step(value: Floats, low: float, high: float) -> Floats:
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)
