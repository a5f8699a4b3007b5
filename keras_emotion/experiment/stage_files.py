"""What earlier stages of an unfinished job have trained, on disk: a job that was killed goes on with its next stage."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from keras_emotion.experiment.fit import FitRequest, FitResult
from keras_emotion.files import temporary_path


def save_stage(file: Path, model: Any, result: FitResult) -> None:
    """Write the weights of a stage's network, and which epoch they are of; the file is there whole, or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_path(file.parent)
    weights = {f"weights_{number}": array for number, array in enumerate(model.get_weights())}
    try:
        with temporary.open("wb") as opened:
            np.savez(opened, best_epoch=result.best_epoch, score=result.score, **weights)
        os.replace(temporary, file)
    finally:
        temporary.unlink(missing_ok=True)


def load_stage(file: Path, request: FitRequest) -> FitResult | None:
    """Give the network of a stage its weights, if they are there.

    Returns:
        `None` where the stage is still to be trained: there is no file, or one that is damaged or cannot be read.
    """
    try:
        # NumPy leaves a file open that it cannot read.
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as saved:
            weights = [saved[f"weights_{number}"] for number in range(len(saved.files) - 2)]
            result = FitResult(int(saved["best_epoch"]), float(saved["score"]))
    except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError, KeyError, EOFError, ValueError):
        # All of these come of single bits: the archive then seems to be packed or encrypted, say.
        return None
    request.start()
    shapes = [array.shape for array in request.compiled.model.get_weights()]
    if shapes != [array.shape for array in weights]:
        return None
    request.compiled.model.set_weights(weights)
    return result


def remove_stages(folder: Path, job_name: str) -> None:
    """Remove what the stages of a job have left, when the job is recorded."""
    for file in folder.glob(f"{job_name}-*.npz"):
        file.unlink(missing_ok=True)
