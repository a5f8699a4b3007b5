"""Figures of the papers that need trained networks, drawn when a run is finished."""

from __future__ import annotations

from pathlib import Path

from keras_emotion import experiment, reports
from keras_emotion.datasets import Reader
from keras_emotion.file_names import word_file_name
from keras_emotion.pipelines import FaceFeatures
from keras_emotion.pipelines.features import UNUSABLE
from keras_emotion.sampling import evenly_spread
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
        chosen = evenly_spread(part.n_windows, 5)
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


def draw_looks(wanted: Experiment, dataset: Reader, folder: Path) -> str:
    """Draw which frames the networks of the first folds look at, as `looks_<protocol>_<target>.png`.

    Args:
        wanted: the experiment; its networks choose frames.
        dataset: a reader (see `keras_emotion.datasets`).
        folder: the run folder.
    """
    if wanted.system.looking != "policy":
        return "no picture of looks: frames are not chosen"
    names, files = wanted.label_rule.class_names, []
    for protocol, of_targets in experiment.frame_choices(wanted, dataset).items():
        for target, found in of_targets.items():
            strips = []
            for place, window in enumerate(found.shown):
                row = found.table.iloc[window]
                said = f"{target} {names[found.labels[window]]}, predicted {names[found.predictions[window]]}"
                where = f"subject {row['subject']}, trial {row['trial']}, from {row['start_seconds']:g} s: {said}"
                pictures = (None if one is None else one[place] for one in (found.faces, found.images))
                strips.append((where, window, *pictures))
            title = f"{dataset.name.replace('_', '-').upper()}, {target}: looks of the first fold, {protocol}"
            mark = reports.SYNTHETIC_MARK if dataset.synthetic else ""
            part = wanted.system.images
            panel = reports.LooksPanel(
                found.looks, found.positions, 1 / part.frame_rate_hz, found.n_frames, strips, list(part.bands)
            )
            drawn = reports.draw_looks(panel, title, mark)
            file = folder / f"looks_{protocol}_{word_file_name(target)}.png"
            file.write_bytes(drawn.png)
            files.append(str(file))
    return f"looks: {', '.join(files)}"
