"""One fold of an experiment on a continuous rating: train on some trials, predict each step of others."""

from __future__ import annotations

import functools
import io
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from keras_emotion import signals
from keras_emotion.environment import visible_gpus
from keras_emotion.evaluation import RATING
from keras_emotion.files import write_whole
from keras_emotion.pipelines import ChannelSet, StoredFeatures
from keras_emotion.pipelines.study_channels import direction_array
from keras_emotion.schema import TRIAL_KEY, WINDOW_COLUMNS, InputError
from keras_emotion.systems.settings import Configuration
from keras_emotion.tables import read_table

ContinuousModel = Literal["ridge", "facrnn"]

RIDGE_PENALTIES = tuple(10.0**power for power in range(-1, 7))
GRID = "9x9"
_SEQUENCES_AT_ONCE = 256


class ContinuousTraining(Configuration):
    """Training settings of the sequence network; not used by `ridge`.

    Args:
        steps: number of steps of a sequence. Sequences overlap by half, in training and in prediction: the network has
            no information from before the first step of a sequence.
        epochs: maximum number of passes over the training sequences.
        patience: number of epochs without improvement of the validation loss after which training ends; the best
            weights are kept.
        batch_size: number of sequences per step; the loss compares the values of a batch.
        learning_rate: learning rate of Adam.
        width_multiplier: width of the network, see `keras_emotion.models.FACRNNRegressor`.
        units: size of its recurrent states.
    """

    steps: Annotated[int, Field(ge=2)] = 20
    epochs: Annotated[int, Field(ge=1)] = 60
    patience: Annotated[int, Field(ge=0)] = 10
    batch_size: Annotated[int, Field(ge=2)] = 32
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    width_multiplier: Annotated[float, Field(gt=0)] = 0.25
    units: Annotated[int, Field(ge=1)] = 64


class ContinuousData:
    """Features and ratings of the steps of all subjects.

    Args:
        folders: folder of the stored features of each subject (`keras_emotion.pipelines.ChannelEntropies`), in the
            order of the table.
        table: one row per step: the columns of a window table and `rating`, NaN where it is missing.
    """

    def __init__(self, folders: Sequence[Path], table: pd.DataFrame):
        self.folders, self.table = tuple(folders), table

    @functools.cached_property
    def features(self) -> np.ndarray:
        """Return `(steps, channels, bands)` float32 of all subjects.

        Raises:
            InputError: not all recordings have the same channels.
        """
        arrays, channels = [], self._channels
        for folder in self.folders:
            own = StoredFeatures.open(folder)
            if own.channels.names != channels.names or own.channels.n_missing:
                raise InputError(
                    f"subject {own.table['subject'].iloc[0]}: not all of its recordings have the channels "
                    f"{', '.join(channels.names)}; leave the subject out with --subjects"
                )
            arrays.append(np.asarray(own.arrays["entropy"]))
        return np.concatenate(arrays)

    @functools.cached_property
    def cells(self) -> np.ndarray:
        """Return the `(channels, 2)` grid cells of the channels."""
        return signals.grid_positions(self._channels.names, GRID, direction_array(self._channels.directions))

    @functools.cached_property
    def _channels(self) -> ChannelSet:
        found = StoredFeatures.open(self.folders[0]).channels
        if found is None:
            raise InputError(f"{self.folders[0]}: has no channels; expected features of a recording; delete the folder")
        return found


_KINDS = {
    "trial": "integer",
    "presentation": "integer",
    "start_seconds": "number",
    "stop_seconds": "number",
    RATING: "number",
}
"""Types of the columns of `steps.csv`; all others are text."""


def read_steps(path: Path) -> pd.DataFrame:
    """Read the table of steps of a run folder; ids of subjects and sessions are text."""
    return read_table(path, _KINDS, (*WINDOW_COLUMNS, RATING))


@functools.lru_cache(maxsize=1)
def _data(folders: tuple[Path, ...], steps_file: Path, size: int, modified_ns: int) -> ContinuousData:
    """Return the data of a run, cached per process until the file of the steps changes."""
    return ContinuousData(folders, read_steps(steps_file))


def predict_fold(
    file: Path,
    model: ContinuousModel,
    parts: tuple[np.ndarray, np.ndarray, np.ndarray],
    folders: tuple[Path, ...],
    steps_file: Path,
    training: ContinuousTraining,
    scale: tuple[float, float],
    seed: int,
) -> None:
    """Train a model on the steps of some trials, and write its predictions for those of others.

    Args:
        file: .npy file for the predictions of the test steps, float64.
        model: the model.
        parts: `(training, validation, test)` positions of steps in the table, whole trials each.
        folders: folder of the stored features of each subject, in the order of the table.
        steps_file: the table of steps.
        training: how the network is trained.
        scale: lowest and highest value of the rating.
        seed: seed of weights and shuffling, combined with the name of the file.

    Raises:
        InputError: recordings have different channels, or a trial is shorter than a sequence.
    """
    status = steps_file.stat()
    data = _data(folders, steps_file, status.st_size, status.st_mtime_ns)
    # Ratings from -1 to 1, so that one learning rate suits all scales.
    middle, half = (scale[0] + scale[1]) / 2, (scale[1] - scale[0]) / 2
    ratings = (data.table[RATING].to_numpy() - middle) / half
    features = data.features
    known = parts[0][~np.isnan(ratings[parts[0]])]
    # float64, because entropies of many steps are summed.
    mean, deviation = features[known].mean(axis=0, dtype=np.float64), features[known].std(axis=0, dtype=np.float64)
    train = {"ridge": _ridge, "facrnn": _network}[model]
    job_seed = zlib.crc32(f"{seed} {file.stem}".encode())
    predictions = train(data, ratings, parts, (mean, deviation), training, job_seed)
    if not np.isfinite(predictions).all():
        raise InputError(f"{file.stem}: training diverged; choose a smaller --learning-rate")
    buffer = io.BytesIO()
    np.save(buffer, predictions * half + middle)
    write_whole(file, buffer.getvalue())


def _ridge(
    data: ContinuousData,
    ratings: np.ndarray,
    parts: tuple[np.ndarray, np.ndarray, np.ndarray],
    statistics: tuple[np.ndarray, np.ndarray],
    training: ContinuousTraining,
    seed: int,
) -> np.ndarray:
    """Fit a ridge regression of each step independently; the validation steps choose the penalty."""
    from sklearn.linear_model import Ridge

    mean, deviation = statistics
    scaled = (data.features - mean) / np.where(deviation > 0, deviation, 1)
    vectors = scaled.reshape(len(scaled), -1)
    train, validation = (rows[~np.isnan(ratings[rows])] for rows in parts[:2])

    def error(ridge: Ridge) -> float:
        return float(np.mean((ridge.predict(vectors[validation]) - ratings[validation]) ** 2))

    fitted = [Ridge(alpha=penalty).fit(vectors[train], ratings[train]) for penalty in RIDGE_PENALTIES]
    return min(fitted, key=error).predict(vectors[parts[2]])


def _network(
    data: ContinuousData,
    ratings: np.ndarray,
    parts: tuple[np.ndarray, np.ndarray, np.ndarray],
    statistics: tuple[np.ndarray, np.ndarray],
    training: ContinuousTraining,
    seed: int,
) -> np.ndarray:
    """Train the sequence network for its concordance; the validation trials choose the epoch."""
    import keras

    from keras_emotion.losses import ConcordanceLoss
    from keras_emotion.models import FACRNNRegressor

    keras.utils.set_random_seed(seed % 2**31)
    # (steps, channels, bands) -> (steps, rows, columns, bands)
    maps = np.moveaxis(signals.to_grid(np.swapaxes(data.features, 1, 2), data.cells, GRID), 1, -1)
    train, validation, test = (sequences(data.table, rows, training.steps) for rows in parts)
    # Sequences with unrated steps are not usable for training.
    train, validation = (one[~np.isnan(ratings[one]).any(axis=1)] for one in (train, validation))
    for name, found in (("training", train), ("validation", validation)):
        if not len(found):
            raise InputError(f"no sequence of {training.steps} rated steps in the {name} part; choose fewer --steps")
    model = FACRNNRegressor(
        n_steps=training.steps,
        grid_shape=maps.shape[1:3],
        n_bands=maps.shape[-1],
        width_multiplier=training.width_multiplier,
        units=training.units,
    )
    model.feature_scaling.set_statistics(
        *(np.moveaxis(signals.to_grid(one.T, data.cells, GRID), 0, -1) for one in statistics)
    )
    # On a CPU, XLA takes longer to compile than such a network to train.
    model.compile(
        keras.optimizers.Adam(training.learning_rate), loss=ConcordanceLoss(), jit_compile=bool(visible_gpus())
    )
    model.fit(
        {"eeg": maps[train]},
        ratings[train].astype(np.float32),
        validation_data=({"eeg": maps[validation]}, ratings[validation].astype(np.float32)),
        # The loss of two batches is not the mean of their losses.
        validation_batch_size=len(validation),
        epochs=training.epochs,
        batch_size=training.batch_size,
        callbacks=[
            keras.callbacks.TerminateOnNaN(),
            keras.callbacks.EarlyStopping("val_loss", patience=training.patience, restore_best_weights=True),
        ],
        verbose=0,
    )
    # Called directly, because `predict` would be traced again for the network of each fold.
    predicted = np.concatenate(
        [
            keras.ops.convert_to_numpy(model({"eeg": maps[test[start : start + _SEQUENCES_AT_ONCE]]}, training=False))
            for start in range(0, len(test), _SEQUENCES_AT_ONCE)
        ]
    )
    # A step in several sequences gets their mean.
    sums, count = np.zeros(len(ratings)), np.zeros(len(ratings))
    np.add.at(sums, test, predicted)
    np.add.at(count, test, 1)
    return sums[parts[2]] / count[parts[2]]


def sequences(table: pd.DataFrame, rows: np.ndarray, n_steps: int) -> np.ndarray:
    """Divide whole trials into sequences of consecutive steps that overlap by half; the last one ends with the trial.

    Args:
        table: one row per step, consecutive within a trial and in order of time.
        rows: increasing positions of the steps of whole trials.
        n_steps: steps of a sequence.

    Returns:
        `(sequences, n_steps)` positions in `table`; each of `rows` occurs at least once.

    Raises:
        InputError: a trial has fewer steps.
    """
    found = []
    for key, places in table.iloc[rows].groupby(list(TRIAL_KEY), sort=False).indices.items():
        own = rows[places]
        if len(own) < n_steps:
            _, subject, session, trial = key
            raise InputError(
                f"subject {subject}, session {session}, trial {trial}: {len(own)} steps; expected at least the "
                f"{n_steps} of a sequence; choose fewer --steps"
            )
        last = len(own) - n_steps
        starts = np.unique(np.append(np.arange(0, last, n_steps // 2), last))
        found.append(own[starts[:, np.newaxis] + np.arange(n_steps)])
    return np.concatenate(found)
