"""Random views, made on the GPU: student and teachers see the same crop of the same photos in the same colours.

Consistent teaching and mixing of photos (Beyer et al. 2021, "patient and consistent", https://arxiv.org/abs/2106.05237).
Photos of 64 pixels shown at 96 are blurred, and cameras' are not: a third of the views are of four photos side by side,
shown about as sharp as they are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class Views:
    """How a batch is made up, and how far its views go.

    Attributes:
        quads, parts: fractions of the views that are of four photos side by side, and of rendered parts.
        mixed: fraction of the views that are a weighted sum with another view.
        least_area: smallest crop, of the photo's area; of four photos side by side a quarter of it.
    """

    quads: float = 0.35
    parts: float = 0.08
    mixed: float = 0.35
    least_area: float = 0.3

    def draw(self, photos: Tensor, parts: Tensor, count: int, sizes: list[int]) -> list[Tensor]:
        """`count` random views.

        Args:
            photos, parts: (n, 3, side, side) uint8; the two sides may differ.
            sizes: pixels a side, one for every network that looks.

        Returns:
            For every size the same views, (count, 3, size, size) float32 in [−1, 1].
        """
        of_quads, of_parts = round(count * self.quads), round(count * self.parts)
        groups = [
            (_random_photos(photos, count - of_quads - of_parts), self.least_area),
            (_side_by_side(_random_photos(photos, 4 * of_quads)), self.least_area / 2),
            (_random_photos(parts, of_parts), self.least_area),
        ]
        groups = [(images.float(), _crops(len(images), area, images.device)) for images, area in groups if len(images)]
        colours = _Colours.draw(count, photos.device)
        order, weights = _mixture(count, self.mixed, photos.device)
        found = []
        for size in sizes:
            views = torch.cat([_resampled(images, crops, size) for images, crops in groups])
            views = colours.apply(views / 127.5 - 1)
            found.append(torch.lerp(views[order], views, weights))
        return found


@dataclass(frozen=True)
class _Colours:
    brightness: Tensor
    contrast: Tensor
    saturation: Tensor
    gains: Tensor

    @classmethod
    def draw(cls, count: int, device: torch.device) -> _Colours:
        draws = 2 * torch.rand(count, 6, 1, 1, device=device) - 1
        grey = torch.rand(count, 1, 1, 1, device=device) < 0.05
        saturation = torch.where(grey, 0.0, 1 + 0.5 * draws[:, 2:3])
        return cls(0.3 * draws[:, 0:1], 1 + 0.4 * draws[:, 1:2], saturation, 1 + 0.1 * draws[:, 3:6])

    def apply(self, views: Tensor) -> Tensor:
        """(n, 3, h, w) in about [−1, 1] → the same in [−1, 1]."""
        luma = torch.tensor(LUMA, device=views.device)[:, None, None]
        grey = (views * luma).sum(1, keepdim=True)
        mean = grey.mean((2, 3), keepdim=True)
        views = grey + (views - grey) * self.saturation
        views = mean + (views - mean) * self.contrast + self.brightness
        return ((views + 1) * self.gains - 1).clamp(-1, 1)


def whole(images: Tensor, size: int) -> Tensor:
    """(n, 3, side, side) uint8, resized → (n, 3, size, size) float32 in [−1, 1]."""
    if images.shape[-1] == size:
        return images.float() / 127.5 - 1
    return functional.interpolate(images.float(), (size, size), mode="bilinear", align_corners=False) / 127.5 - 1


def _random_photos(photos: Tensor, count: int) -> Tensor:
    return photos[torch.randint(len(photos), (count,), device=photos.device)]


def _side_by_side(photos: Tensor) -> Tensor:
    """(4 n, 3, s, s) → (n, 3, 2 s, 2 s)."""
    count, channels, side, _ = photos.shape
    tiles = photos.view(count // 4, 2, 2, channels, side, side).permute(0, 3, 1, 4, 2, 5)
    return tiles.reshape(count // 4, channels, 2 * side, 2 * side)


def _crops(count: int, least_area: float, device: torch.device) -> Tensor:
    """Affine maps from the view to the photo, both from −1 to 1: (n, 2, 3).

    Crops of `least_area` or more with sides up to 3 : 4 (Szegedy et al. 2014, https://arxiv.org/abs/1409.4842), turned
    by 10° at most or, one in ten, by any angle, and mirrored one time in two.
    """
    area, aspect, across, down, turn, any_turn, mirror = torch.rand(7, count, device=device)
    length = torch.sqrt(least_area + (1 - least_area) * area)
    stretch = torch.exp((2 * aspect - 1) * math.log(4 / 3) / 2)
    width, height = (length * stretch).clamp(max=1), (length / stretch).clamp(max=1)
    angle = (2 * turn - 1) * torch.where(any_turn < 0.1, math.pi, math.radians(10))
    cos, sin = torch.cos(angle), torch.sin(angle)
    sign = torch.where(mirror < 0.5, -1.0, 1.0)
    rows = [
        torch.stack([sign * width * cos, -height * sin, (2 * across - 1) * (1 - width)], 1),
        torch.stack([sign * width * sin, height * cos, (2 * down - 1) * (1 - height)], 1),
    ]
    return torch.stack(rows, 1)


def _resampled(images: Tensor, crops: Tensor, size: int) -> Tensor:
    grid = functional.affine_grid(crops, [len(images), 3, size, size], align_corners=False)
    found = functional.grid_sample(images, grid, mode="bicubic", padding_mode="reflection", align_corners=False)
    return found.clamp(0, 255)


def _mixture(count: int, mixed: float, device: torch.device) -> tuple[Tensor, Tensor]:
    """Whom every view is mixed with, and the weight of itself, 1 where it is not mixed: (n,) and (n, 1, 1, 1)."""
    weights = torch.where(torch.rand(count, device=device) < mixed, 0.5 + 0.5 * torch.rand(count, device=device), 1.0)
    return torch.randperm(count, device=device), weights[:, None, None, None]
