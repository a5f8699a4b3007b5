"""Figures of the papers that need trained networks, drawn when a run is finished."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from keras_emotion import experiment, reports
from keras_emotion.datasets import Reader
from keras_emotion.file_names import word_file_name
from keras_emotion.pipelines import FaceFeatures
from keras_emotion.pipelines.features import UNUSABLE
from keras_emotion.systems import Experiment


def draw_features(wanted: Experiment, dataset: Reader, folder: Path) -> str:
    """Draw what the networks hand to their heads, as `features_<protocol>.png`; what `main` does `afterwards`.

    Args:
        wanted: the experiment; its networks have a `feature_model()`.
        dataset: a reader (see `keras_emotion.datasets`).
        folder: the run folder.
    """
    if wanted.system.members():
        return "no picture of features: networks that are trained apart have none in common"
    files = []
    # A legend for all targets: the one with the most classes names them.
    class_names = max((wanted.rule(name, dataset.class_names).class_names for name in wanted.targets), key=len)
    for protocol, features in experiment.window_features(wanted, dataset).items():
        title = f"{dataset.name.replace('_', '-').upper()}: features of the first fold, {protocol}"
        mark = reports.SYNTHETIC_MARK if dataset.synthetic else ""
        file = folder / f"features_{protocol}.png"
        file.write_bytes(reports.draw_features(features, class_names, title, mark).png)
        files.append(str(file))
    return f"features: {', '.join(files)}"


def draw_priors(wanted: Experiment, dataset: Reader, folder: Path) -> str:
    """Draw the prior of each electrode in some windows of a trial, as `prior_<target>.png` (see `word_file_name`).

    Args:
        wanted: the experiment; its networks have a `prior_model()` unless its system has no prior.
        dataset: a reader (see `keras_emotion.datasets`).
        folder: the run folder.
    """
    if wanted.system.prior == "none":
        return "no picture of the prior: there is none"
    (maps_of_targets, *_) = experiment.channel_priors(wanted, dataset).values()
    files = []
    for target, (maps, table) in maps_of_targets.items():
        row = table.iloc[0]
        place = row["session"], row["trial"]
        trial = next(one for one in dataset.trials([row["subject"]]) if (one.session, one.trial) == place)
        part = wanted.system.features
        chosen = np.linspace(0, part.n_windows - 1, min(5, part.n_windows)).round().astype(int)
        crops, seen = FaceFeatures(window_seconds=part.sample_seconds, steps=part.n_windows, image_size=96).extract(
            [trial]
        )
        has_faces = not str(seen[UNUSABLE].iloc[0])
        picture = reports.draw_scalp_maps(
            maps[0, chosen],
            trial.eeg.channel_names,
            [f"{window * part.window_seconds:g} s" for window in chosen],
            f"{dataset.name.upper()}, {target}: prior for subject {row['subject']}, trial {row['trial']}",
            reports.SYNTHETIC_MARK if dataset.synthetic else "",
            crops["faces"][0, chosen] if has_faces else (),
        )
        file = folder / f"prior_{word_file_name(target)}.png"
        file.write_bytes(picture.png)
        files.append(str(file))
    return f"prior: {', '.join(files)}"
