"""Everything needed to go on after an interruption, in one `.npz` without pickle."""

from __future__ import annotations

import json
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from research.pretraining.errors import PretrainingError
from research.pretraining.recipe import Recipe

CHECKPOINT_NAME = "checkpoint.npz"


@dataclass(frozen=True)
class Checkpoint:
    """The run after some epochs.

    Attributes:
        epoch: epochs done.
        recipe: that it was made with, as a dict.
        archive_sha256: digest of the photos trained on.
        wall_seconds, cpu_seconds: spent so far, earlier parts of the run included.
        history: one dict an epoch.
        state: variables of the network, by name.
    """

    epoch: int
    recipe: dict[str, Any]
    archive_sha256: str
    wall_seconds: float
    cpu_seconds: float
    history: list[dict[str, Any]]
    state: dict[str, np.ndarray]

    def save(self, folder: Path) -> None:
        """Writes `folder/checkpoint.npz`, at once or not at all."""
        facts = {name: value for name, value in vars(self).items() if name != "state"}
        unfinished = folder / f"unfinished-{CHECKPOINT_NAME}"
        with unfinished.open("wb") as stream:
            np.savez(stream, allow_pickle=False, facts=np.array(json.dumps(facts)), **self.state)
        unfinished.replace(folder / CHECKPOINT_NAME)


def load_checkpoint(folder: Path, recipe: Recipe, archive_sha256: str) -> Checkpoint:
    """Reads `folder/checkpoint.npz` to go on with it.

    Only the number of epochs may differ from the run that wrote it: shorter or longer, the learning rate and
    image size of the epochs to come follow the new number.

    Raises:
        PretrainingError: there is none, it is damaged, or it belongs to another archive or recipe.
    """
    path = folder / CHECKPOINT_NAME
    try:
        # NumPy leaves a damaged file open where it opens it itself.
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            state = {name: file[name] for name in file.files if name != "facts"}
            checkpoint = Checkpoint(**json.loads(str(file["facts"])), state=state)
    except FileNotFoundError as error:
        raise PretrainingError(f"{path}: no such checkpoint; start without --resume") from error
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise PretrainingError(f"{path}: damaged checkpoint ({error}); start without --resume") from error
    if checkpoint.archive_sha256 != archive_sha256:
        raise PretrainingError(f"{path}: made with another archive; give that one, or start without --resume")
    wanted = json.loads(json.dumps(asdict(recipe)))
    for name in wanted:
        if name != "epochs" and checkpoint.recipe.get(name) != wanted[name]:
            raise PretrainingError(
                f"{path}: made with {name} {checkpoint.recipe.get(name)}, received {wanted[name]}; "
                "give the same, or start without --resume"
            )
    return checkpoint
