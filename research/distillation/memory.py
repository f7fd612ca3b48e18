"""What teachers said of views seen before: a student looks faster than its teachers, and again at each view."""

from __future__ import annotations

import torch
from torch import Tensor

Lessons = dict[str, tuple[Tensor, Tensor | None]]
"""Name of the teacher → standardised embeddings (n, 1280) and logits (n, 1000) or None."""


class Memory:
    """The last `capacity` views and what was said of them, on the GPU: 32 kB a view and teacher."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.stored: dict[str, Tensor] = {}
        self.count = 0

    def add(self, views: Tensor, lessons: Lessons) -> None:
        """Views (n, 3, h, w) float32 in [−1, 1], kept as bytes; the oldest are forgotten."""
        pieces = {"views": ((views + 1) * 127.5).round().to(torch.uint8)}
        for name, (embeddings, logits) in lessons.items():
            pieces[f"{name}/embedding"] = embeddings.half()
            if logits is not None:
                pieces[f"{name}/logits"] = logits.half()
        places = torch.arange(self.count, self.count + len(views), device=views.device) % self.capacity
        for name, values in pieces.items():
            if name not in self.stored:
                self.stored[name] = values.new_empty((self.capacity, *values.shape[1:]))
            self.stored[name][places] = values
        self.count += len(views)

    def draw(self, count: int) -> tuple[Tensor, Lessons]:
        """`count` views at random, as they were added up to rounding."""
        device = self.stored["views"].device
        places = torch.randint(min(self.count, self.capacity), (count,), device=device)
        found = {name: values[places].float() for name, values in self.stored.items()}
        views = (found.pop("views") / 127.5 - 1).contiguous(memory_format=torch.channels_last)
        names = {name.partition("/")[0] for name in found}
        return views, {name: (found[f"{name}/embedding"], found.get(f"{name}/logits")) for name in names}
