"""The datasets, as the writers of `keras_emotion.synthetic` write them, in each of their file formats."""

from __future__ import annotations

import functools
import itertools
from pathlib import Path
from typing import Any

from keras_emotion.datasets import READERS
from keras_emotion.datasets.reader import describe_trial
from keras_emotion.synthetic import WRITERS
from tests.fuzz.formats import Format

MOST_TRIALS = 3
"""Trials of each subject whose signals are read, besides the description of all."""


def read_dataset(root: Path, name: str, **options: Any) -> list[Any]:
    """Describe a dataset, and read the first trials of each subject."""
    reader = READERS[name](root, **options)
    found: list[Any] = [reader.describe(), reader.notes(), dict(reader.genders()), dict(reader.stimulus_starts())]
    for subject in reader.subjects:
        for trial in itertools.islice(reader.trials([subject]), MOST_TRIALS):
            found += [describe_trial(trial), trial]
            if trial.released_features is not None:
                found += [trial.released_features.read(array) for array in trial.released_features.names[:2]]
            if trial.eye_movements is not None:
                readers = (trial.eye_movements.read_features, trial.eye_movements.read_events)
                found += [read() for read in readers if read is not None]
    return found


def _dataset(
    dataset: str, damaged: tuple[str, ...], kind: str = "", options: dict[str, Any] | None = None, **written: Any
) -> Format:
    return Format(
        f"{dataset}{f', {kind}' if kind else ''}",
        functools.partial(_write, dataset, written),
        functools.partial(read_dataset, name=dataset, **(options or {})),
        damaged,
    )


def _write(dataset: str, written: dict[str, Any], folder: Path) -> None:
    WRITERS[dataset](folder, **written)


SHORT = {"n_subjects": 1, "n_sessions": 1, "clip_seconds": 8}
FEATURES = {"file_format": "features"}
RAW = {"file_format": "raw"}
AS_RECORDED = {"file_format": "raw", "sampling_rate_hz": None}

FORMATS = (
    _dataset("deap", ("**/*.dat",), "python", n_subjects=1, n_trials=1),
    _dataset("deap", ("**/*.mat",), "matlab", {"file_format": "matlab"}, n_subjects=1, n_trials=1, files=("matlab",)),
    _dataset(
        "deap", ("**/*.bdf",), "original", {"file_format": "original"}, n_subjects=1, n_trials=1, files=("original",)
    ),
    _dataset("deap", ("*.csv", "**/*.csv", "*.json"), "tables", n_subjects=1, n_trials=2),
    _dataset("sam40", ("**/*",), n_subjects=1),
    _dataset("seed", ("**/*.mat",), "preprocessed", **SHORT, files=("preprocessed",)),
    _dataset("seed", ("**/*.mat",), "features", FEATURES, **SHORT, files=("features",)),
    _dataset("seed_iv", ("eeg_raw_data/**/*", "eye_*/**/*", "*.*"), "raw", RAW, **SHORT),
    _dataset("seed_iv", ("eeg_feature*/**/*", "eye_*/**/*"), "features", FEATURES, **SHORT),
    _dataset("seed_v", ("EEG_raw/*", "*.*"), "raw", AS_RECORDED, **SHORT),
    _dataset("seed_v", ("EEG_DE*/*", "Eye*/*"), "features", FEATURES, **SHORT),
    _dataset("seed_vii", ("EEG_pre*/*", "EYE*/*", "cont*/*", "*.*"), "preprocessed", **SHORT),
    _dataset("seed_vii", ("EEG_features/*", "EYE*/*"), "features", FEATURES, **SHORT),
    _dataset("seed_vii", ("EEG_raw/*", "save_info/*"), "raw", AS_RECORDED, **SHORT, files=("raw",)),
    _dataset("seed_multimodal", ("**/*",), **SHORT),
    _dataset("dreamer", ("*.mat",), "5", n_subjects=1, clip_seconds=10),
    _dataset("dreamer", ("*.mat",), "7.3", n_subjects=1, clip_seconds=10, version="7.3"),
    _dataset("amigos", ("**/*.mat",), n_subjects=1, clip_seconds=20),
    _dataset("faced", ("**/*.pkl",), "processed", n_subjects=1, files=("processed",)),
    _dataset("faced", ("**/*.pkl",), "features", FEATURES, n_subjects=1, files=("features",)),
    _dataset("faced", ("**/*",), "raw", RAW, n_subjects=1, clip_seconds=4, files=("raw",)),
    _dataset("eav", ("**/*",), n_subjects=1, n_conversations=1, media=False),
    _dataset("mahnob_hci", ("**/*",), n_subjects=1, n_trials=1, stimulus_seconds=10, neutral_clips=False),
    _dataset("afew_va", ("**/*",), n_clips=2, n_actors=1, frames_per_clip=3, frame_size=(96, 96)),
    _dataset("affectnet", ("**/*",), "lists", n_training=6, n_validation=4),
    _dataset("affectnet", ("**/*",), "arrays", n_training=6, n_validation=4, generation="arrays"),
    _dataset("ravdess", ("**/*",), n_subjects=1, n_emotions=2, n_statements=1, clip_seconds=1),
    _dataset("crema_d", ("**/*",), n_subjects=1, n_emotions=2, n_sentences=1, clip_seconds=1),
    _dataset("recordings", ("**/*",), "edf", n_subjects=1, n_trials=2, trial_seconds=4),
    _dataset("recordings", ("**/*",), "fif", n_subjects=1, n_trials=2, trial_seconds=4, file_format="fif"),
)
