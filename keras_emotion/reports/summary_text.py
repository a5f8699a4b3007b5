"""Lead paragraph of the report of a run, and alternative texts of its figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from keras_emotion.experiment.records import RunFolder
from keras_emotion.reports.numbers import RunNumbers, band_order
from keras_emotion.reports.tables import count_of_subjects, join

_DISJOINT = {"overlapping_windows": "windows that overlap in time", "subjects_and_stimuli": "subjects and no stimuli"}
_SCOPES = {
    "within_subject": "each subject alone",
    "within_session": "each session of a subject alone",
    "across_subjects": "all subjects together",
}


def describe_run(folder: RunFolder, numbers: RunNumbers, differences: Sequence[str], reference: str) -> str:
    """Describe a run: model, data, targets, protocols, and how much it differs from the paper.

    Args:
        folder: its folder.
        numbers: what it found.
        differences: how it differs from `reference`, one line each.
        reference: what `differences` compares with.
    """
    system = folder.config["science"].get("system", {}).get("kind")
    model = f"The model of {numbers.name}{f' ({system})' if system else ''}"
    targets = join(f"{name} ({len(numbers.class_names[name])} classes)" for name in numbers.evaluated)
    n_protocols = len(numbers.protocols)
    text = (
        f"{model} was trained to classify {targets} on {numbers.title_of_dataset}: {join(_counts(numbers))}. It was "
        f"evaluated under {'' if n_protocols == 1 else f'{n_protocols} protocols: '}"
        f"{join(_protocol(numbers, name) for name in numbers.protocols)}."
    )
    if differences:
        text += f" It differs from {reference} in {len(differences)} point{'' if len(differences) == 1 else 's'}, "
        text += "which are listed below."
    return text


def _counts(numbers: RunNumbers) -> Iterator[str]:
    """Subjects, trials and windows of each target; once where all targets have the same."""
    found = {}
    for target, subjects in numbers.evaluated.items():
        protocol = numbers.protocols_of(target)[0]
        n_trials, n_units = (int(numbers.by_subject(protocol, target, name).sum()) for name in ("n_trials", "n_units"))
        windows = "" if numbers.scored_unit == "trial" else f", {n_units:,} {numbers.scored_unit}s"
        found[target] = f"{count_of_subjects(len(subjects))}, {n_trials:,} trials{windows}"
    if len(set(found.values())) == 1:
        yield next(iter(found.values()))
    else:
        yield from (f"{counts} of {target}" for target, counts in found.items())


def _protocol(numbers: RunNumbers, name: str) -> str:
    protocol = numbers.protocols[name]
    disjoint = _DISJOINT.get(protocol["disjoint"], protocol["disjoint"].replace("_", " "))
    n_folds = numbers.n_folds.get(name, 0)
    flags = f"; flagged: {', '.join(protocol['flags'])}" if protocol["flags"] else ""
    return (
        f"{name} ({n_folds} fold{'' if n_folds == 1 else 's'} for {_SCOPES[protocol['scope']]}; training and test sets "
        f"share no {disjoint}{flags})"
    )


def recalls_in_words(numbers: RunNumbers, target: str) -> str:
    """Describe the diagonals of the confusion matrices of a target, for the alternative text of the figure."""
    parts = []
    for protocol in numbers.protocols_of(target):
        counts = numbers.confusion[protocol, target]
        shares = [
            f"{name} {count / total:.0%}"
            for name, count, total in zip(numbers.class_names[target], np.diag(counts), counts.sum(axis=1), strict=True)
            if total
        ]
        parts.append(f"{protocol}: {', '.join(shares)}")
    return f"Windows of each label that were predicted as such: {'; '.join(parts)}."


def attention_in_words(numbers: RunNumbers) -> str:
    """Describe the mean attention to each band, for the alternative text of the figure."""
    means = numbers.band_attention.groupby(["target", "protocol", "band"])["value"].mean()
    parts = []
    for (target, protocol), own in means.groupby(level=["target", "protocol"], sort=False):
        bands = own.droplevel(["target", "protocol"])
        shown = ", ".join(f"{name} {bands[name]:.2f}" for name in band_order(list(bands.index)))
        parts.append(f"{target}, {protocol}: {shown}")
    return f"{'; '.join(parts)}."
