"""A student, what it is taught with, and one step of it."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from research.distillation.networks import EMBEDDING, Backbone, Teacher, convolutions

TEMPERATURE = 2.0
AVERAGE_DECAY = 0.9995


@dataclass(frozen=True)
class Recipe:
    """What a student is asked for.

    Attributes:
        logits: weight of the divergence from a teacher's softened classes.
        embedding: weight of the squared error of a teacher's standardised embedding.
        rate: highest learning rate.
        decay: weight decay of filters.
    """

    logits: float = 1.0
    embedding: float = 2.0
    rate: float = 2e-3
    decay: float = 0.05

    @classmethod
    def parse(cls, text: str) -> Recipe:
        """From "logits=1,embedding=2": what is not named keeps its default."""
        pairs = (piece.split("=") for piece in text.split(",") if piece)
        return cls(**{name: float(value) for name, value in pairs})

    def rate_at(self, progress: float) -> float:
        """Learning rate at a fraction of the run: up over the first 2 %, then down to zero as a cosine."""
        return self.rate * min(progress / 0.02, 0.5 * (1 + math.cos(math.pi * progress))) if progress > 0 else 0.0


class Standardiser(nn.Module):
    """Square roots of embeddings, to mean zero and variance one by the first views seen.

    Square roots, because the device's heads learn from them, and because they even out long tails.
    """

    def __init__(self, teacher_embeddings: Tensor) -> None:
        super().__init__()
        roots = teacher_embeddings.sqrt()
        self.register_buffer("mean", roots.mean(0))
        self.register_buffer("scale", roots.std(0) + 0.05 * roots.std(0).mean())

    def forward(self, embeddings: Tensor) -> Tensor:
        """(n, d) in [0, 6] → (n, d)."""
        return (embeddings.sqrt() - self.mean) / self.scale


class Apprentice(nn.Module):
    """The student's backbone with what is only there to learn: linear maps to what each teacher says."""

    def __init__(self, backbone: Backbone, teachers: dict[str, Teacher]) -> None:
        super().__init__()
        self.backbone = backbone
        self.norm = nn.BatchNorm1d(EMBEDDING, affine=False)
        self.embeddings = nn.ModuleDict({name: nn.Linear(EMBEDDING, EMBEDDING) for name in teachers})
        self.logits = nn.ModuleDict(
            {name: nn.Linear(EMBEDDING, 1000) for name in teachers if teachers[name].classifier}
        )

    def forward(self, views: Tensor) -> dict[str, tuple[Tensor, Tensor | None]]:
        """(n, 3, h, w) → for every teacher a guess at its standardised embedding and its logits."""
        # The slope of a square root is infinite at zero: a little is added.
        features = self.norm((self.backbone(views) + 0.01).sqrt())
        return {
            name: (layer(features), self.logits[name](features) if name in self.logits else None)
            for name, layer in self.embeddings.items()
        }


class Learner:
    """An apprentice, its optimizer, and the moving average of its weights, which is what is kept."""

    def __init__(self, recipe: Recipe, backbone: Backbone, teachers: dict[str, Teacher], device: str) -> None:
        self.recipe = recipe
        self.apprentice = Apprentice(backbone, teachers).to(device, memory_format=torch.channels_last).train()
        self.average = copy.deepcopy(self.apprentice.backbone).eval().requires_grad_(False)
        filters = [p for p in self.apprentice.parameters() if p.ndim > 1]
        others = [p for p in self.apprentice.parameters() if p.ndim <= 1]
        groups = [{"params": filters, "weight_decay": recipe.decay}, {"params": others, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=0.0, fused=device == "cuda")
        self.steps = 0
        self.run = self.apprentice.forward

    def compile(self) -> None:
        """Fuses batch norm, activations and their gradients."""
        self.run = torch.compile(self.apprentice)

    def step(
        self, views: Tensor, lessons: dict[str, tuple[Tensor, Tensor | None]], progress: float
    ) -> dict[str, Tensor]:
        """One step on views and what the teachers say of them; returns the parts of the loss."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.rate_at(progress)
        with torch.autocast(views.device.type, torch.bfloat16):
            guesses = self.run(views)
        losses = {}
        for name, (embedding, logits) in lessons.items():
            guess, guessed_logits = guesses[name]
            losses[f"{name}/embedding"] = functional.mse_loss(guess.float(), embedding)
            if logits is not None and guessed_logits is not None:
                losses[f"{name}/logits"] = _divergence(guessed_logits.float(), logits.float())
        weights = {"embedding": self.recipe.embedding, "logits": self.recipe.logits}
        total = sum(weights[name.partition("/")[2]] * loss for name, loss in losses.items())
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()
        self.optimizer.step()
        self._follow()
        return {name: loss.detach() for name, loss in losses.items()}

    @torch.no_grad()
    def _follow(self) -> None:
        self.steps += 1
        keep = min(AVERAGE_DECAY, (1 + self.steps) / (10 + self.steps))
        theirs, ours = _floating(self.apprentice.backbone), _floating(self.average)
        torch._foreach_lerp_(ours, theirs, 1 - keep)

    @torch.no_grad()
    def settle(self, batches: list[Tensor]) -> None:
        """Estimates the batch norm statistics of the averaged weights anew, on `batches` of views.

        What a moving average of weights makes of statistics averaged beside it is only nearly right
        (Izmailov et al. 2018, https://arxiv.org/abs/1803.05407, section 3.2).
        """
        self.average.train()
        for layer in convolutions(self.average):
            layer.norm.reset_running_stats()
            layer.norm.momentum = None  # the plain mean over batches
        for views in batches:
            self.average(views)
        self.average.eval()


def _floating(module: nn.Module) -> list[Tensor]:
    return [tensor for tensor in module.state_dict().values() if tensor.is_floating_point()]


def _divergence(guess: Tensor, truth: Tensor) -> Tensor:
    """Of softened classes, Hinton et al. 2015 (https://arxiv.org/abs/1503.02531)."""
    guess, truth = (functional.log_softmax(logits / TEMPERATURE, 1) for logits in (guess, truth))
    return functional.kl_div(guess, truth, log_target=True, reduction="batchmean") * TEMPERATURE**2
