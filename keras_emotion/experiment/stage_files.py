"""Results of earlier stages of an unfinished job on disk: an interrupted job continues with its next stage."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np

from keras_emotion.array_files import parse_npz
from keras_emotion.experiment.fit import FitRequest, FitResult
from keras_emotion.files import write_whole
from keras_emotion.logs import LOGGER
from keras_emotion.refusals import reason_of
from keras_emotion.schema import InputError

_CHECKSUM_BYTES = 32


def save_stage(file: Path, model: Any, result: FitResult) -> None:
    """Write the weights of a stage's network, and their epoch, atomically."""
    file.parent.mkdir(parents=True, exist_ok=True)
    weights = {f"weights_{number}": array for number, array in enumerate(model.get_weights())}
    written = io.BytesIO()
    np.savez(written, best_epoch=result.best_epoch, score=result.score, **weights)
    content = written.getvalue()
    write_whole(file, _checksum(file, content) + content)


def load_stage(file: Path, request: FitRequest) -> FitResult | None:
    """Load the weights of a stage's network, if they exist.

    Returns:
        `None` if the stage must still be trained: there is no file, or a damaged one, which is reported.
    """
    try:
        raw = file.read_bytes()
    except FileNotFoundError:
        return None
    checksum, content = raw[:_CHECKSUM_BYTES], raw[_CHECKSUM_BYTES:]
    if checksum != _checksum(file, content):
        LOGGER.info(f"{file}: damaged (another checksum, or the file of another job); trained again")
        return None
    try:
        saved = parse_npz(content, file)
        weights = [saved[f"weights_{number}"] for number in range(len(saved) - 2)]
        result = FitResult(int(saved["best_epoch"].item()), float(saved["score"].item()))
    except (InputError, LookupError, TypeError, ValueError) as error:
        LOGGER.info(f"{file}: damaged ({reason_of(error, file)}); trained again")
        return None
    request.start()
    shapes = [array.shape for array in request.compiled.model.get_weights()]
    if shapes != [array.shape for array in weights]:
        return None
    request.compiled.model.set_weights(weights)
    return result


def _checksum(file: Path, content: bytes) -> bytes:
    # Including the name of job and stage: weights of another fold have been trained on its test windows.
    return hashlib.blake2b(file.name.encode() + b"\0" + content, digest_size=_CHECKSUM_BYTES).digest()
