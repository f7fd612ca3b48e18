"""edgetl: on-device transfer learning for cameras, the workstation's side.

What a program needs of it is here, and is loaded when it is first used::

    from edgetl import convert, evaluate, load_photos, train

    run = train(load_photos("photos"), "run", alpha=0.35)
    convert(run, "pets.edgetl")
    print(evaluate("pets.edgetl", "new-photos").accuracy)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .api import (
        convert,
        convert_embeddings,
        deploy,
        embed,
        evaluate,
        import_photos,
        load_photos,
        predict,
        train,
        train_embeddings,
    )
    from .conversion.convert import Converted
    from .conversion.from_embeddings import ConvertedEmbeddings
    from .data.datasets import Dataset
    from .deployment.deploy import Deployed
    from .embedding.scale import EmbeddedPhotos
    from .evaluation.evaluate import Evaluation
    from .evaluation.predict import Predictions
    from .imports.writing import Imported
    from .training.embedded_run import EmbeddedRun
    from .training.network import Batch, Network, default_step
    from .training.runs import Run

__version__ = "0.2.0"

__all__ = [
    "Batch",
    "Converted",
    "ConvertedEmbeddings",
    "Dataset",
    "Deployed",
    "EmbeddedPhotos",
    "EmbeddedRun",
    "Evaluation",
    "Imported",
    "Network",
    "Predictions",
    "Run",
    "__version__",
    "convert",
    "convert_embeddings",
    "default_step",
    "deploy",
    "embed",
    "evaluate",
    "import_photos",
    "load_photos",
    "predict",
    "train",
    "train_embeddings",
]

_MODULES = {
    "Batch": "training.network",
    "Converted": "conversion.convert",
    "ConvertedEmbeddings": "conversion.from_embeddings",
    "Dataset": "data.datasets",
    "Deployed": "deployment.deploy",
    "EmbeddedPhotos": "embedding.scale",
    "EmbeddedRun": "training.embedded_run",
    "Evaluation": "evaluation.evaluate",
    "Imported": "imports.writing",
    "Network": "training.network",
    "Predictions": "evaluation.predict",
    "Run": "training.runs",
    "convert": "api",
    "convert_embeddings": "api",
    "default_step": "training.network",
    "deploy": "api",
    "embed": "api",
    "evaluate": "api",
    "import_photos": "api",
    "load_photos": "api",
    "predict": "api",
    "train": "api",
    "train_embeddings": "api",
}
"""Where each public name is defined."""


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used (PEP 562)."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
