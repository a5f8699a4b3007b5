"""Prove that a trial's features depend on its own recording only, by extracting them again under changed conditions.

Each trial of a sample of subjects is extracted alone, without ratings, under the ids of another trial, and compared
with its features in the feature store, which were extracted among all trials. If they differ, one condition after
another is changed to find out which one matters.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from keras_emotion.datasets import Reader
from keras_emotion.evaluation.leaks import Finding
from keras_emotion.experiment.engine import in_workers
from keras_emotion.experiment.jobs import Plan, rating_columns
from keras_emotion.pipelines import StoredFeatures, extract_features, prepare_backend, trials_without_signals
from keras_emotion.progress import reported
from keras_emotion.schema import TRIAL_KEY, Recording, Trial
from keras_emotion.systems.base import DerivedPart, System

_MOST_TRIALS = 8
"""Trials of a subject that are read to find one with other ratings."""

_HANDFUL = 4
"""Trials among which conditions are changed one by one for extraction; for joined features `_MOST_TRIALS`."""

_ROWS = 64
"""Windows of a subject whose joined features are compared."""

ROUNDING = 1e-4
"""Share of a feature's standard deviation: smaller differences come from another order of summation."""

_REFUSALS = (ArithmeticError, LookupError, TypeError, ValueError)
"""Exceptions of features that need more trials than given."""

_NEAR = 0.05
"""Share of a feature's standard deviation: larger than the effect of a gain of one millionth."""

_IDS = ("session", "trial", "stimulus", "presentation")

Windows = tuple[Mapping[str, np.ndarray], pd.DataFrame]
"""Arrays by name and their window table."""

COST = "the accuracy holds only if a subject's whole session is recorded before the first prediction"
"""Consequence of transductive features."""


def without_warnings(function: Callable[..., Any]) -> Callable[..., Any]:
    """Silence the warnings of a check: a few or replaced trials may give too few or unlikely values."""

    @functools.wraps(function)
    def quiet(*arguments):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return function(*arguments)

    return quiet


def feature_findings(plan: Plan, dataset: Reader) -> Iterator[Finding]:
    """Check whether features, and data joined to them, depend on ratings, on ids or on other trials."""
    subjects = list(dict.fromkeys([next(iter(plan.feature_folders)), list(plan.feature_folders)[-1]]))
    system = plan.experiment.system
    tasks: list[tuple[Callable[..., Any], tuple[Any, ...]]] = [
        (_part_findings, (plan, dataset, subject, name))
        for subject in subjects
        for name in plan.feature_folders[subject]
    ]
    if type(system).join is not System.join:
        tasks += [(_join_findings, (plan, subject)) for subject in subjects]
    found: dict[tuple, Finding] = {}
    for findings in reported(in_workers(plan.experiment.runtime, tasks, trains=True), "checks of features", len(tasks)):
        for place, finding in findings:
            # One subject is a sufficient example.
            found.setdefault((place, finding.kind, finding.severity), finding)
    yield from found.values()


# --- parts, and parts derived from them


class _Chain:
    """A feature part, and the derived part that replaces it, if any.

    Args:
        system: the system.
        name: name of the features in the plan: that of the part, or of the derived part.
    """

    def __init__(self, system: System, name: str):
        self.derived: DerivedPart | None = system.derived().get(name)
        self.part = system.parts()[self.derived.replaces if self.derived else name]
        self.title = f"derived part {name!r}" if self.derived else f"part {name!r}"

    def extract(self, trials: Sequence[Trial]) -> Windows:
        """Extract the features of trials as in a run."""
        if self.part.shared_by_stimulus:
            given = [self.part.extract([trial.without_ratings()]) for trial in trials_without_signals(trials)]
            arrays = {name: np.concatenate([one[name] for one, _ in given]) for name in given[0][0]}
            table, channels = pd.concat([table for _, table in given], ignore_index=True), None
        else:
            arrays, table, channels = extract_features(self.part, trials)
        if self.derived is not None:
            arrays, table = self.derived.extract(StoredFeatures(arrays, table, channels))
        elif channels is not None:
            self.channels = channels
        return arrays, table


@without_warnings
def _part_findings(plan: Plan, dataset: Reader, subject: int | str, name: str) -> list[tuple[str, Finding]]:
    chain = _Chain(plan.experiment.system, name)
    if chain.part.needs_backend or chain.derived is not None:
        prepare_backend(plan.experiment.runtime.threads_per_worker)
    stored = StoredFeatures.open(plan.feature_folders[subject][name])
    own = dataset.for_sources(chain.part.sources)
    read = list(itertools.islice(own.trials([subject]), _MOST_TRIALS))
    probe, other = read[0], _most_unlike(read)
    if other is None:
        return [("", _not_checkable(f"{chain.title}: subject {subject} has one trial"))]
    # Cached, because extraction is costly.
    probes = [probe, other] if set(chain.part.sources) == {"recording"} else [probe]
    for one in probes:
        try:
            alone = chain.extract([_named(one, other if one is probe else probe)])
            same = _is_same(_aligned(chain, alone, stored), _of_trial(stored.arrays, stored.table, one), stored)
        except _REFUSALS:
            same = False  # a single trial is too little to extract from
        if not same:
            handful = [probe, other, *(trial for trial in read[1:] if trial is not other)][:_HANDFUL]
            if one is other:
                handful[:2] = [other, probe]
            return [(name, finding) for finding in _circumstances(chain, handful, stored, own)]
        if set(chain.part.sources) == {"recording"} and not _is_near(chain.extract([_amplified(one)]), alone, stored):
            message = (
                f"{chain.title}: the features of trial {one.trial} of subject {subject} change when its signals "
                "are amplified by a millionth: they are looked up by the content of the recording"
            )
            return [(name, Finding("answer in the features", "leak", message))]
    return []


def _circumstances(chain: _Chain, trials: Sequence[Trial], stored: StoredFeatures, dataset: Reader):
    """Find the conditions that change the features of the first of some trials."""
    probe, other, *_ = trials
    where = f"{chain.title}: the features of trial {probe.trial} of subject {probe.subject}"

    def extracted(given: Sequence[Trial], name: Trial = probe) -> Windows:
        arrays, table = chain.extract(given)
        return _of_trial(arrays, table, name)

    expected = extracted(trials)
    if not _is_same(extracted(trials), expected, stored):
        yield Finding("not reproducible", "warning", f"{where} change when they are extracted again")
        return
    found = False
    rerated = [
        dataclasses.replace(one, ratings=donor.ratings)
        for one, donor in zip(trials, [*trials[1:], trials[0]], strict=True)
    ]
    if not _is_same(extracted(rerated), expected, stored):
        found = True
        yield Finding("answer in the features", "leak", f"{where} change when only ratings are replaced")
    renamed = [_named(probe, other), _named(other, probe), *trials[2:]]
    if not _is_same(extracted(renamed, other), expected, stored):
        found = True
        yield Finding(
            "answer in the features",
            "leak",
            f"{where} change when only its number, stimulus and position are replaced by those of trial {other.trial}: "
            "they depend on a table (of ratings, of stimuli) or on the order of presentation, not on the recording",
        )
    if not _is_same(extracted([probe, *(_replaced(one) for one in trials[1:])]), expected, stored):
        message = f"{where} change when the recordings of other trials are replaced: {COST}"
        yield Finding("transductive", "warning", message)
        return
    if found:
        return
    try:
        alone = extracted([probe])
    except _REFUSALS as error:
        yield _not_checkable(f"{where} cannot be extracted without other trials ({error})")
        return
    if not _is_same(alone, expected, stored):
        yield Finding(
            "transductive",
            "note",
            f"{where} change when other trials are left out, but not when their recordings under the stimuli are "
            "replaced: they use rest periods, or the number, of other trials",
        )
        return
    # Neither condition: the cause is in trials outside the sample, or no longer exists.
    everything = extracted(list(dataset.trials([probe.subject])))
    if _is_same(everything, alone, stored):
        message = f"{where} differ from the feature store: another version of the part, or of a file that it reads"
        yield Finding("not reproducible", "warning", message)
    else:
        yield Finding("transductive", "warning", f"{where} change when other trials are left out: {COST}")


def _most_unlike(trials: Sequence[Trial]) -> Trial | None:
    """Return the trial whose ratings are farthest from those of the first one."""
    first = trials[0].ratings

    def distance(trial: Trial) -> float:
        return sum(abs(trial.ratings[name] - value) for name, value in first.items() if name in trial.ratings)

    return max(trials[1:], key=distance, default=None)


def _named(trial: Trial, other: Trial) -> Trial:
    """Return one trial's recording under the ids and ratings of another; the recording's file name is removed."""
    ids = {name: getattr(other, name) for name in _IDS}
    recording = trial.recording if trial.recording is None else dataclasses.replace(trial.recording, source=None)
    return dataclasses.replace(trial, **ids, ratings=other.ratings, recording=recording)


def _replaced(trial: Trial) -> Trial:
    """Replace a trial's recording under its stimulus; its rest period stays."""
    if trial.recording is None:
        return trial
    signal, onset = trial.recording.signal.copy(), trial.recording.n_baseline_samples
    # Reversed and three times as large: valid wherever the original is.
    signal[:, onset:] = 3 * signal[:, onset:][:, ::-1]
    changed: Recording = dataclasses.replace(trial.recording, signal=signal)
    return dataclasses.replace(trial, recording=changed)


def _amplified(trial: Trial) -> Trial:
    signal = trial.required_recording.signal
    recording = dataclasses.replace(trial.required_recording, signal=(signal * (1 + 1e-6)).astype(signal.dtype))
    return dataclasses.replace(trial, recording=recording)


def _is_near(found: Windows, expected: Windows, stored: StoredFeatures) -> bool:
    """Return whether features, on average over windows, differ by a small share of their spread."""
    for name, array in expected[0].items():
        if array.dtype.kind != "f" or name not in found[0] or found[0][name].shape != array.shape:
            continue
        some = _some(stored, name)
        known = array if some is None or some.shape[1:] != array.shape[1:] else np.concatenate([array, some])
        apart = np.nan_to_num(np.abs(found[0][name].astype(np.float64) - array)).mean(axis=0)
        known = np.nan_to_num(known.astype(np.float64))
        # The amplification applies to a large offset, too.
        if (apart > _NEAR * known.std(axis=0) + ROUNDING * (1 + np.abs(known).mean(axis=0))).any():
            return False
    return True


def _of_trial(arrays: Mapping[str, Any], table: pd.DataFrame, trial: Trial) -> Windows:
    """Return the windows of a trial, sorted by time."""
    key = tuple(getattr(trial, name) for name in TRIAL_KEY)
    rows = np.flatnonzero([tuple(row) == key for row in table[list(TRIAL_KEY)].itertuples(index=False, name=None)])
    return _at(arrays, table, rows[np.argsort(table["start_seconds"].to_numpy()[rows], kind="stable")])


def _at(arrays: Mapping[str, Any], table: pd.DataFrame, rows: np.ndarray) -> Windows:
    return {name: np.asarray(array[rows]) for name, array in arrays.items()}, table.iloc[rows].reset_index(drop=True)


def _aligned(chain: _Chain, windows: Windows, stored: StoredFeatures) -> Windows:
    """Align the windows of one trial to the store: to all channels of the subject."""
    arrays, table = windows
    if chain.derived is None and stored.channels is not None:
        arrays = {
            name: chain.part.align_channels(name, array, chain.channels, stored.channels)
            for name, array in arrays.items()
        }
    return arrays, table


def _is_same(found: Windows, expected: Windows, stored: StoredFeatures | None = None) -> bool:
    """Return whether windows are equal up to rounding; step ratings are not features."""
    (arrays, table), (others, wanted) = found, expected
    if not np.array_equal(table["start_seconds"], wanted["start_seconds"]):
        return False
    names = {name for name in (*arrays, *others) if not name.startswith("step_ratings@")}
    return all(
        name in arrays and name in others and equal_but_for_rounding(arrays[name], others[name], _some(stored, name))
        for name in names
    )


def _some(stored: StoredFeatures | None, name: str) -> np.ndarray | None:
    """Return some windows of a stored array, spread over all of them."""
    if stored is None or name not in stored.arrays:
        return None
    array = stored.arrays[name]
    return np.asarray(array[np.unique(np.linspace(0, len(array) - 1, min(_ROWS, len(array))).astype(int))])


def equal_but_for_rounding(found: np.ndarray, expected: np.ndarray, sample: np.ndarray | None = None) -> bool:
    """Return whether windows are equal, up to differences far below the spread of each feature.

    Args:
        found: `(windows, ...)`.
        expected: `(windows, ...)`.
        sample: `(others, ...)` additional windows for the spread.
    """
    found, expected = np.asarray(found), np.asarray(expected)
    if found.shape != expected.shape or found.dtype != expected.dtype:
        return False
    if found.tobytes() == expected.tobytes() or np.array_equal(found, expected, equal_nan=found.dtype.kind == "f"):
        return True
    if found.dtype.kind != "f":
        return False
    if not np.array_equal(np.isnan(found), np.isnan(expected)):
        return False
    known = expected if sample is None or sample.shape[1:] != expected.shape[1:] else np.concatenate([expected, sample])
    known = np.nan_to_num(known.astype(np.float64))
    return bool((np.nan_to_num(np.abs(found.astype(np.float64) - expected)) <= ROUNDING * known.std(axis=0)).all())


# --- joined features


@without_warnings
def _join_findings(plan: Plan, subject: int | str) -> list[tuple[str, Finding]]:
    return [("join", finding) for finding in _of_join(plan.experiment.system, plan.paired(subject)[0], subject)]


def _of_join(system: System, paired: StoredFeatures, subject: int | str) -> Iterator[Finding]:
    """Check whether joined features depend on anything but the windows themselves."""
    where = f"`join` of {type(system).__name__}: the features of subject {subject}"
    number = paired.table.groupby(list(TRIAL_KEY), sort=False).ngroup().to_numpy()
    paired = paired.keep(np.flatnonzero(number < _MOST_TRIALS))
    rows, ratings = np.arange(len(paired.table)), rating_columns(paired.table)
    trial = paired.table.groupby(list(TRIAL_KEY), sort=False).ngroup().to_numpy()
    if trial.max(initial=0) < 1:
        yield _not_checkable(f"{where}: there is only one trial")
        return

    def joined(table: pd.DataFrame, arrays: Mapping[str, Any] | None = None) -> Windows:
        given = dataclasses.replace(paired, table=table, arrays=dict(paired.arrays if arrays is None else arrays))
        result = system.join(given)[0]
        return dict(result.arrays), result.table

    def sample(windows: Windows, chosen: Callable[[pd.DataFrame], np.ndarray] | None = None) -> Windows:
        arrays, table = windows
        rows = np.arange(len(table)) if chosen is None else np.flatnonzero(chosen(table))
        rows = rows[np.unique(np.linspace(0, len(rows) - 1, min(_ROWS, len(rows))).astype(int))] if len(rows) else rows
        return _at(arrays, table, rows)

    def of_probe(table: pd.DataFrame) -> np.ndarray:
        key = list(TRIAL_KEY)
        return (table[key].astype(str) == paired.table[key].iloc[0].astype(str)).all(axis=1).to_numpy()

    expected = joined(paired.table)
    if not _is_same(sample(joined(paired.table)), sample(expected)):
        yield Finding("not reproducible", "warning", f"{where} change when they are joined again")
        return
    # Each trial with the ratings of another one, independent of its neighbours.
    heads = np.unique(trial, return_index=True)[1]
    order = paired.table[ratings].iloc[heads].fillna(0).sum(axis=1).to_numpy().argsort(kind="stable")
    donor = np.empty(len(heads), dtype=int)
    donor[order] = order[::-1]
    rerated = paired.table.copy()
    rerated[ratings] = paired.table[ratings].to_numpy()[heads[donor[trial]]]
    found = joined(rerated)
    place = [*TRIAL_KEY, "start_seconds"]
    if not found[1][place].equals(expected[1][place]):
        message = f"{where}: the set of its windows changes when only ratings are replaced"
        yield Finding("answer in the features", "leak", message)
    elif not _is_same(sample(found), sample(expected)):
        message = f"{where} change when only ratings are replaced"
        yield Finding("answer in the features", "leak", message)
    elif not system.source_files():
        # A system with its own files finds windows in them by their ids: their origin is checked elsewhere.
        renamed = paired.table.copy()
        for name in _IDS:
            renamed[name] = paired.table[name].to_numpy()[heads[donor[trial]]]
        if not _is_same(sample(joined(renamed)), sample(expected)):
            message = (
                f"{where} change when only number, stimulus and position of trials are exchanged: they depend on "
                "a table (of ratings, of stimuli) or on the order of presentation, not on the recording"
            )
            yield Finding("answer in the features", "leak", message)
    rng = np.random.default_rng(0)
    own = trial == trial[0]
    exchanged = np.where(own, rows, rng.permutation(rows))
    arrays = {}
    for name, array in paired.arrays.items():
        values = np.asarray(array[exchanged])
        arrays[name] = np.where(own.reshape(-1, *[1] * (values.ndim - 1)), values, np.fmax(values, values[::-1]))
    try:
        replaced = sample(joined(paired.table, arrays), of_probe)
        removed = system.join(paired.keep(np.flatnonzero(own)))[0]
        removed = sample((dict(removed.arrays), removed.table), of_probe)
    except _REFUSALS as error:
        yield _not_checkable(f"{where} cannot be joined without other trials ({error})")
        return
    probe = sample(expected, of_probe)
    if not (_is_same(replaced, probe) and _is_same(removed, probe)):
        message = f"{where} change in trial {paired.table['trial'].iloc[0]} when other trials are replaced: {COST}"
        yield Finding("transductive", "warning", message)


def _not_checkable(message: str) -> Finding:
    return Finding("not checkable", "note", message)
