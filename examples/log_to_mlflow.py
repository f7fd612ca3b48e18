"""Fine-tune, and log every epoch to MLflow (or, in two lines, to Weights & Biases).

    python log_to_mlflow.py PHOTOS RUN [EPOCHS]

Needs MLflow beside edgetl: pip install mlflow-skinny. Without it the facts are printed.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from edgetl import train

try:
    import mlflow
except ImportError:
    mlflow = None


def watch(facts: Mapping[str, Any]) -> None:
    """Facts of one epoch, or the accuracy at the end. For Weights & Biases: ``wandb.log(dict(facts))``."""
    numbers = {name: value for name, value in facts.items() if isinstance(value, int | float)}
    if mlflow is None:
        print(numbers)
    else:
        mlflow.log_metrics(numbers, step=facts.get("epoch"))


def main(photos: str, run: str, epochs: str = "12") -> None:
    """Train the top of the built-in backbone."""
    train(photos, run, weights="builtin", strategy="top", epochs=int(epochs), watch=watch)


if __name__ == "__main__":
    main(*sys.argv[1:4])
