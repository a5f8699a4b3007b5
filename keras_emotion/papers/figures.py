"""Figures drawn from one experiment: from its records, its electrodes, or trained networks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from keras_emotion import experiment, reports, signals
from keras_emotion.datasets import Reader
from keras_emotion.file_names import word_file_name
from keras_emotion.messages import dataset_title
from keras_emotion.papers.diagrams import recorded
from keras_emotion.papers.registry import DrawnFigure, FigureSource, Method
from keras_emotion.pipelines import FaceFeatures
from keras_emotion.pipelines.features import UNUSABLE
from keras_emotion.reports import Drawing
from keras_emotion.sampling import evenly_spread
from keras_emotion.schema import InputError
from keras_emotion.systems import Experiment

# --- from the records of a run


def subject_accuracies(caption: str) -> DrawnFigure:
    """Return a figure of the accuracy of each subject, with the printed mean as a line."""

    def draw(source: FigureSource) -> Sequence[Drawing]:
        numbers = reports.read_numbers(source.folder)
        return (reports.draw_subject_accuracies(numbers, source.printed, source.number),)

    return DrawnFigure(caption, draw)


def confusion_matrices(caption: str) -> DrawnFigure:
    """Return a figure of the confusion matrices of each target and protocol."""

    def draw(source: FigureSource) -> Sequence[Drawing]:
        return reports.draw_confusion_matrices(reports.read_numbers(source.folder), source.number)

    return DrawnFigure(caption, draw)


def mean_band_attention(caption: str, remarks: str, method: Method) -> DrawnFigure:
    """Return a figure of the mean attention to each band.

    Args:
        caption: one-line caption.
        remarks: further sentences of the caption.
        method: makes its experiment.
    """

    def draw(source: FigureSource) -> Sequence[Drawing]:
        numbers = reports.read_numbers(source.folder)
        if numbers.band_attention.empty:
            raise InputError(
                f"--figure {source.number}: the networks have no band attention; leave out "
                "--system.no-band-attention and --system.features.representation"
            )
        return (reports.draw_mean_band_attention(numbers, source.folder.results(), source.number, remarks),)

    return DrawnFigure(caption, draw, method=method)


def electrode_grid(caption: str) -> DrawnFigure:
    """Return a figure of the electrodes of a dataset on the grid of the EEG features."""

    def draw(source: FigureSource) -> Sequence[Drawing]:
        names, grid = recorded(source.experiment).eeg, source.experiment.system.features.grid
        places = signals.grid_positions(names, grid).tolist()
        cells = dict(zip(names, map(tuple, places), strict=True))
        title = (
            f"{dataset_title(source.experiment.dataset)}: electrodes on the grid, figure {source.number} of the paper"
        )
        return (reports.draw_electrode_grid(cells, signals.GRID_SHAPES[grid], title, source.number),)

    return DrawnFigure(caption, draw, needs="network")


# --- from networks trained for the figure


def window_features(caption: str) -> DrawnFigure:
    """Return a t-SNE figure of the features of the first subject, one picture for each protocol."""

    def draw(source: FigureSource) -> Sequence[Drawing]:
        drawings = list(_feature_drawings(source.experiment, source.dataset))
        if not drawings:
            raise InputError(
                f"--figure {source.number}: networks that are trained separately share no features; leave out "
                "--system.fusion"
            )
        return drawings

    return DrawnFigure(caption, draw, needs="dataset")


def draw_features(wanted: Experiment, dataset: Reader, folder: Path) -> str:
    """Draw the features that the networks pass to their heads, as `features_<protocol>.png` (`afterwards` of `main`).

    Args:
        wanted: the experiment; its networks have a `feature_model()`.
        dataset: a reader (see `keras_emotion.datasets`).
        folder: the run folder.
    """
    if wanted.system.members():
        return "no figure of features: networks that are trained separately share none"
    return f"features: {', '.join(_written(_feature_drawings(wanted, dataset), folder, 'features'))}"


def _feature_drawings(wanted: Experiment, dataset: Reader) -> Iterator[Drawing]:
    if wanted.system.members():
        return
    # One legend for all targets, with the names of the target with most classes.
    class_names = max((wanted.rule(name, dataset.class_names).class_names for name in wanted.targets), key=len)
    for protocol, features in experiment.window_features(wanted, dataset).items():
        title = f"{dataset_title(dataset.name)}: features of the first fold, {protocol}"
        places = reports.place_features(features)
        table = places.assign(label=[class_names[label] for label in places["label"]])
        yield Drawing(reports.draw_feature_places(places, class_names, title, _mark(dataset)), table, protocol)


def channel_priors(caption: str) -> DrawnFigure:
    """Return a figure of the prior of each electrode in some windows of a trial, one picture for each target."""

    def draw(source: FigureSource) -> Sequence[Drawing]:
        if source.experiment.system.prior == "none":
            raise InputError(f"--figure {source.number}: the model has no prior; leave out --system.prior none")
        return list(_prior_drawings(source.experiment, source.dataset))

    return DrawnFigure(caption, draw, needs="dataset")


def draw_priors(wanted: Experiment, dataset: Reader, folder: Path) -> str:
    """Draw the prior of each electrode in some windows of a trial, as `prior_<target>.png` (see `word_file_name`).

    Args:
        wanted: the experiment; its networks have a `prior_model()` unless its system has no prior.
        dataset: a reader (see `keras_emotion.datasets`).
        folder: the run folder.
    """
    if wanted.system.prior == "none":
        return "no figure of the prior: the model has none"
    return f"prior: {', '.join(_written(_prior_drawings(wanted, dataset), folder, 'prior'))}"


def _prior_drawings(wanted: Experiment, dataset: Reader) -> Iterator[Drawing]:
    (maps_of_targets, *_) = experiment.channel_priors(wanted, dataset).values()
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
        names = trial.eeg.channel_names
        picture = reports.draw_scalp_maps(
            maps[0, chosen],
            names,
            [f"{window * part.window_seconds:g} s" for window in chosen],
            f"{dataset_title(dataset.name)}, {target}: prior for subject {row['subject']}, trial {row['trial']}",
            _mark(dataset),
            crops["faces"][0, chosen] if has_faces else (),
        )
        starts = pd.Index(chosen * part.window_seconds, name="start_seconds")
        values = pd.DataFrame(maps[0, chosen], columns=list(names), index=starts).reset_index()
        yield Drawing(picture, values, target)


def draw_looks(wanted: Experiment, dataset: Reader, folder: Path) -> str:
    """Draw the frames that the networks of the first folds select, as `looks_<protocol>_<target>.png`.

    Args:
        wanted: the experiment; its networks select frames.
        dataset: a reader (see `keras_emotion.datasets`).
        folder: the run folder.
    """
    if wanted.system.looking != "policy":
        return "no figure of looks: the model does not select frames"
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
            title = f"{dataset_title(dataset.name)}, {target}: looks of the first fold, {protocol}"
            part = wanted.system.images
            panel = reports.LooksPanel(
                found.looks, found.positions, 1 / part.frame_rate_hz, found.n_frames, strips, list(part.bands)
            )
            drawn = reports.draw_looks(panel, title, _mark(dataset))
            file = folder / f"looks_{protocol}_{word_file_name(target)}.png"
            file.write_bytes(drawn.png)
            files.append(str(file))
    return f"looks: {', '.join(files)}"


# --- helpers


def _written(drawings: Iterator[Drawing], folder: Path, name: str) -> Iterator[str]:
    for one in drawings:
        file = folder / f"{name}_{word_file_name(one.part)}.png"
        file.write_bytes(one.picture.png)
        yield str(file)


def _mark(dataset: Reader) -> str:
    return reports.SYNTHETIC_MARK if dataset.synthetic else ""
