"""Static leakage checks of a split: what training and test set share, found without training.

The checklist is that of Kapoor and Narayanan [1], who sort leakage into eight kinds. For each kind: the findings that
report it (`Finding.kind`), and the faults that the tests plant (`KINDS` of `tests/audit/planted/leaks.py`, each in
three variants and next to a correct variant that looks similar):

- **L1.1 no test set**: `"test windows in training"`, `"selection on the test fold"`, `"not reproducible"`, `"training
  labels unused"`. Planted: "trained on test rows", "selection on the test fold", "pre-trained on test rows".
- **L1.2 preprocessing on training and test set**: `"fitted on test rows"`, `"transductive"`. Planted: "preprocessing on
  all rows".
- **L1.3 feature selection on training and test set**: `"fitted on test rows"`, `"answer in the features"`. Planted:
  "features selected on all rows".
- **L1.4 duplicates in the data**: `"duplicated windows"`. Planted: "duplicates".
- **L2 features that are not legitimate**: `"answer in the features"`, `"training labels unused"`. Planted: "answer
  among the inputs", "answer in a feature part", "order of presentation".
- **L3.1 temporal leakage**: `"overlap in time"`, `"transductive"`, `"order of presentation"`. Planted: "overlap in
  time", "order of presentation".
- **L3.2 training and test samples depend on each other**: `"shared trial"`, `"shared session"`, `"shared stimulus"`,
  `"shared subject"`, `"shared group"`, `"transductive"`. Planted: "shared trial, stimulus or subject", "features of
  other trials".
- **L3.3 the test set is not what the claim is about**: `"shared subject"`, `"constant labels"`, `"uneven trials"`.
  Planted: "shared trial, stimulus or subject".

This module holds the checks of rows; `keras_emotion.audit` holds those of features, fits and trainings, and the label
permutations. Leakage that no check can see (for example a fingerprint of the trial in the signal that a model exploits)
is measured by training on shuffled labels (`"score on shuffled labels"`).

References:
    [1] Kapoor and Narayanan (2023). Leakage and the reproducibility crisis in machine-learning-based science.
        Patterns 4(9):100804.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from keras_emotion.evaluation.identifiers import group_codes, row_codes, trial_key
from keras_emotion.evaluation.protocols import Protocol
from keras_emotion.evaluation.splitters import overlap_in_time
from keras_emotion.moved import moved_name

Severity = Literal["leak", "warning", "note"]

Disjoint = Literal["windows", "trials", "sessions", "stimuli", "subjects", "subjects_and_stimuli"]

Folds = Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]]

KINDS: Mapping[str, str] = {
    "test windows in training": "L1.1",
    "selection on the test fold": "L1.1, L1.3",
    "fitted on test rows": "L1.2, L1.3",
    "duplicated windows": "L1.4",
    "overlap in time": "L3.1",
    "shared trial": "L3.2",
    "shared session": "L3.2",
    "shared stimulus": "L3.2",
    "shared subject": "L3.2, L3.3",
    "shared group": "L3.2",
    "constant labels": "L3.3",
    "uneven trials": "L3.3",
    "several labels in a trial": "",
    "answer in the features": "L2, L1.3",
    "transductive": "L1.2, L3.1, L3.2",
    "score on random test labels": "",
    "score on shuffled labels": "",
    "training labels unused": "L1.1, L2",
    "order of presentation": "L2, L3.1",
    "not reproducible": "L1.1",
    "not checkable": "",
    "unknown origin": "",
    "training diverged": "",
}
"""Every kind of finding, with its place in the taxonomy of Kapoor and Narayanan."""

_SEVERITIES = ("leak", "warning", "note")


@dataclasses.dataclass(frozen=True)
class Finding:
    """One finding of a leakage check.

    Args:
        kind: one of `KINDS`.
        severity: `"leak"`: the test set shares information with training that new data would not; `"warning"`: the
            number does not mean what it seems to; `"note"`: for information, not a fault of the split.
        message: one sentence with the counts and the first example.
        protocol: name of the protocol, where there are several.
        target: name of the target, where there are several.
        n_windows: number of test windows concerned (of subjects, where the message counts those).
        n_tested: number of test windows checked.
    """

    kind: str
    severity: Severity
    message: str
    protocol: str = ""
    target: str = ""
    n_windows: int = 0
    n_tested: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Every field, ready for JSON."""
        return dataclasses.asdict(self)


def sorted_findings(findings: Iterable[Finding]) -> list[Finding]:
    """Sort findings: leaks, warnings, notes; within these in the order of `KINDS`."""
    kinds = list(KINDS)
    return sorted(findings, key=lambda one: (_SEVERITIES.index(one.severity), kinds.index(one.kind)))


@dataclasses.dataclass
class _Count:
    n_windows: int = 0
    example: str = ""


class SplitChecks:
    """Check folds one after another for leakage, and report the findings at the end.

    Args:
        disjoint: claim of what training and test set do not share. Shared subjects, sessions or stimuli are a leak only
            if the claim excludes them; a shared trial or an overlapping window always is one.
        several_subjects: whether folds mix the rows of subjects; where each model is trained on one subject, a shared
            subject is expected.
        protocol: name of the protocol, for the findings.
        target: name of the target, for the findings.

    Example:
        >>> table = pd.DataFrame({"dataset": "mine", "subject": 1, "session": 1, "trial": [1, 1, 2, 2],
        ...                       "start_seconds": [0.0, 2.0, 0.0, 2.0], "stop_seconds": [2.0, 4.0, 2.0, 4.0]})
        >>> checks = SplitChecks("trials")
        >>> checks.fold(table, train=[0, 2], validation=[], test=[1, 3])
        >>> [(finding.kind, finding.severity) for finding in checks.findings()]
        [('shared trial', 'leak')]
    """

    def __init__(
        self, disjoint: Disjoint = "trials", several_subjects: bool = True, protocol: str = "", target: str = ""
    ):
        self.disjoint = disjoint
        self.several_subjects = several_subjects
        self.place: dict[str, Any] = {"protocol": protocol, "target": target}
        self._counts: dict[tuple[str, Severity], _Count] = {}
        self._table: pd.DataFrame | None = None
        self._ids: _Ids | None = None
        self._n_tested = 0

    def fold(
        self,
        table: pd.DataFrame,
        train: npt.ArrayLike,
        validation: npt.ArrayLike,
        test: npt.ArrayLike,
        contents: np.ndarray | None = None,
    ) -> None:
        """Check one fold.

        Args:
            table: window table with `subject`, `trial`, `start_seconds` and `stop_seconds`; optionally `dataset`,
                `session`, `stimulus` and `recorded_together`.
            train: row positions of the training set.
            validation: row positions of the validation set, which chooses epoch and hyper-parameters.
            test: row positions of the test set.
            contents: `(rows,)` content hash of each window (see `content_hashes`), if known.

        Raises:
            InputError: a column is missing.
        """
        train, validation, test = (np.asarray(rows, dtype=np.int64) for rows in (train, validation, test))
        self._n_tested += len(test)
        used = np.union1d(train, np.setdiff1d(validation, test))
        if self._ids is None or table is not self._table:
            # Cached: one table has many folds.
            self._table, self._ids = table, _Ids.of(table)
        ids = self._ids

        def shared(column: np.ndarray, known: np.ndarray = used) -> np.ndarray:
            return np.isin(column[test], column[known])

        is_trained = np.isin(test, train)
        self._count("test windows in training", "leak", table, test, is_trained)
        self._count("selection on the test fold", "leak", table, test, np.isin(test, validation) & ~is_trained)
        # Test rows that are training rows too are reported as such; the other checks skip them.
        apart = ~is_trained
        in_trial = shared(ids.trial) & apart
        self._count("shared trial", "leak", table, test, in_trial)
        self._count("overlap in time", "leak", table, test, apart & overlap_in_time(table, used, test))
        if contents is not None:
            self._count("duplicated windows", "leak", table, test, apart & shared(contents))
        if self.disjoint == "sessions":
            self._count("shared session", "leak", table, test, shared(ids.session) & apart)
        if ids.stimulus is not None and ids.stimulus_of_subject is not None:
            own = shared(ids.stimulus_of_subject) & apart & ~in_trial
            self._count("shared stimulus", "leak", table, test, own)
            claimed = self.disjoint in ("stimuli", "subjects_and_stimuli")
            others = shared(ids.stimulus) & apart & ~in_trial & ~own
            self._count("shared stimulus", "leak" if claimed else "note", table, test, others)
        if self.several_subjects and ids.subject.any():
            claimed = self.disjoint in ("subjects", "subjects_and_stimuli")
            self._count("shared subject", "leak" if claimed else "note", table, test, shared(ids.subject) & apart)
            together = shared(ids.group) & (ids.group[test] >= 0) & ~shared(ids.subject)
            self._count("shared group", "leak" if claimed else "note", table, test, together & apart)

    def findings(self) -> list[Finding]:
        """Return the findings, leaks first."""
        found = []
        for (kind, severity), count in self._counts.items():
            share = count.n_windows / max(self._n_tested, 1)
            text = _TEXTS[kind, severity] if (kind, severity) in _TEXTS else _TEXTS[kind, "leak"]
            counted = f"{count.n_windows} of {self._n_tested} test windows ({100 * share:.1f} %)"
            message = f"{counted} {text}; first: {count.example}"
            found.append(Finding(kind, severity, message, **self.place, **self._size(count.n_windows)))
        return sorted_findings(found)

    def _size(self, n_windows: int) -> dict[str, Any]:
        return {"n_windows": n_windows, "n_tested": self._n_tested}

    def _count(
        self, kind: str, severity: Severity, table: pd.DataFrame, test: np.ndarray, concerned: np.ndarray
    ) -> None:
        if not concerned.any():
            return
        count = self._counts.setdefault((kind, severity), _Count())
        count.n_windows += int(np.count_nonzero(concerned))
        if not count.example:
            row = table.iloc[test[np.argmax(concerned)]]
            count.example = (
                f"subject {row['subject']}, trial {row['trial']}, {row['start_seconds']:g} to {row['stop_seconds']:g} s"
            )


_TEXTS = {
    ("test windows in training", "leak"): "are training windows too",
    ("selection on the test fold", "leak"): "also choose the epoch or the hyper-parameters that are reported on them",
    ("shared trial", "leak"): "lie in a trial of which other windows are in the training set",
    ("overlap in time", "leak"): "overlap in time with a training window of the same trial",
    ("duplicated windows", "leak"): "have the same content as a training window, or nearly so",
    ("shared session", "leak"): "belong to a session of which other windows are in the training set",
    ("shared stimulus", "leak"): "show a stimulus of the training set, which the protocol should exclude",
    ("shared stimulus", "note"): "show a stimulus that other subjects saw in training: the model may recognise the "
    "stimulus (see the permutation between stimuli)",
    ("shared subject", "leak"): "belong to a subject who is in the training set as well",
    ("shared group", "leak"): "belong to a subject who was recorded together with one in the training set",
    (
        "shared subject",
        "note",
    ): "belong to a subject who has windows in other folds: unless each subject was trained alone, "
    "subjects are mixed; either way the score does not generalise to new people",
}


@dataclasses.dataclass(frozen=True)
class _Ids:
    """Codes of the rows of a table, from those id columns that it has."""

    subject: np.ndarray
    session: np.ndarray
    trial: np.ndarray
    group: np.ndarray
    stimulus: np.ndarray | None
    stimulus_of_subject: np.ndarray | None

    @classmethod
    def of(cls, table: pd.DataFrame) -> _Ids:
        data = [name for name in ("dataset",) if name in table]
        subject = row_codes(table, [*data, "subject"])
        trial = row_codes(table, trial_key(table))
        session = row_codes(table, [name for name in trial_key(table) if name != "trial"])
        if "stimulus" not in table:
            return cls(subject, session, trial, group_codes(table), None, None)
        stimulus = row_codes(table, [*data, "stimulus"])
        return cls(
            subject, session, trial, group_codes(table), stimulus, row_codes(table, [*data, "subject", "stimulus"])
        )


def content_hashes(arrays: Sequence[Any], block: int = 1024) -> np.ndarray:
    """Hash the content of each window to 64 bits, over all arrays together.

    The bytes of a window are taken as 64-bit words, each multiplied by a random odd number, and added up modulo 2^64:
    two windows that differ have the same hash with a probability of at most 2^-63 per word.

    Args:
        arrays: `(windows, ...)` arrays with the same number of windows, memory-mapped or not.
        block: windows read at a time.

    Returns:
        `(windows,)` uint64.
    """
    n_windows = len(arrays[0])
    hashes = np.zeros(n_windows, dtype=np.uint64)
    for place, array in enumerate(arrays):
        rng = np.random.default_rng([place, 20231])
        factors = None
        for first in range(0, n_windows, block):
            rows = np.arange(first, min(first + block, n_windows))
            values = np.ascontiguousarray(array[rows]).reshape(len(rows), -1)
            raw = values.view(np.uint8)
            padded = np.zeros((len(rows), -(-raw.shape[1] // 8) * 8), dtype=np.uint8)
            padded[:, : raw.shape[1]] = raw
            words = padded.view(np.uint64)
            if factors is None:
                factors = rng.integers(0, 2**63, words.shape[1], dtype=np.uint64) * np.uint64(2) + np.uint64(1)
            hashes[rows] += (words * factors).sum(axis=1, dtype=np.uint64)
    return hashes


def with_near_copies(
    contents: np.ndarray, table: pd.DataFrame, vectors: np.ndarray, share: float = 0.01, n_compared: int = 200
) -> np.ndarray:
    """Equalise the hashes of near-copies: trials that differ only by a little noise or gain.

    A window is a near-copy of a window of another trial if their distance, over standardised features, is a small share
    of the median distance between windows of different trials of a subject. Trials are copies if this holds for half of
    their windows, two at least: single windows may match by chance.

    Args:
        contents: `(windows,)` hashes of `content_hashes`.
        table: window table.
        vectors: `(windows, features)`; with fewer than four varying features, distances are not informative.
        share: largest share of the median distance that counts as a near-copy.
        n_compared: number of windows from which the median is estimated.

    Returns:
        `(windows,)` uint64.
    """
    from scipy.spatial import cKDTree

    vectors = np.nan_to_num(np.asarray(vectors, dtype=np.float64))
    deviation = vectors.std(axis=0)
    scaled = ((vectors - vectors.mean(axis=0)) / np.where(deviation > 0, deviation, 1))[:, deviation > 0]
    if scaled.shape[1] < _FEWEST_FEATURES or len(scaled) < 2:
        return contents
    if scaled.shape[1] > _MOST_FEATURES:
        # Random projection: distances are preserved to within a few percent.
        rng = np.random.default_rng(0)
        scaled = scaled @ rng.standard_normal((scaled.shape[1], _MOST_FEATURES)) / np.sqrt(_MOST_FEATURES)
    ids = _Ids.of(table)
    trial, subject = ids.trial, ids.subject
    typical = []
    for row in np.unique(np.linspace(0, len(scaled) - 1, min(n_compared, len(scaled))).astype(int)):
        others = scaled[(trial != trial[row]) & (subject == subject[row])]
        if len(others):
            typical.append(float(np.median(np.linalg.norm(others - scaled[row], axis=1))))
    radius = share * float(np.median(typical)) if typical else 0.0
    if not radius > 0:
        return contents
    _, near = cKDTree(scaled).query(scaled, k=_NEIGHBOURS, distance_upper_bound=radius)
    pairs: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for row, neighbours in enumerate(near):
        for other in neighbours[neighbours < len(scaled)]:
            if trial[other] < trial[row]:
                pairs.setdefault((trial[row], trial[other]), []).append((row, int(other)))
    sizes, contents = np.bincount(trial), contents.copy()
    for (one, _), copies in pairs.items():
        if len({row for row, _ in copies}) >= max(2, sizes[one] / 2):
            for row, other in copies:
                contents[row] = contents[other]
    return contents


_FEWEST_FEATURES, _MOST_FEATURES, _NEIGHBOURS = 4, 32, 4


def protocol_findings(protocol: Protocol, target: str = "") -> list[Finding]:
    """Report leakage by the definition of a protocol: where it selects, and on what it fits."""
    place: dict[str, Any] = {"protocol": protocol.name, "target": target}
    found = []
    if protocol.epoch_chosen_by == "test_fold":
        message = "the epoch (and the hyper-parameters, where any are searched) is chosen on the test fold"
        found.append(Finding("selection on the test fold", "leak", message, **place))
    if protocol.fitted_on == "all_rows":
        message = "scalers, thresholds, teachers and feature selection are fitted on test rows too"
        found.append(Finding("fitted on test rows", "leak", message, **place))
    return found


def label_findings(table: pd.DataFrame, labels: npt.ArrayLike, protocol: str = "", target: str = "") -> list[Finding]:
    """Check the labels of a window table.

    Args:
        table: window table with `subject` and `trial`.
        labels: `(rows,)` label of each row.
        protocol: name of the protocol, for the findings.
        target: name of the target, for the findings.

    Returns:
        `"constant labels"` (a subject on whom a constant prediction scores 100 %), `"several labels in a trial"`, and
        `"uneven trials"` (subjects with fewer trials than others: an average over subjects weighs them differently from
        one over trials).
    """
    labels = pd.Series(np.asarray(labels)).reset_index(drop=True)
    ids = _Ids.of(table)
    subjects = table["subject"].reset_index(drop=True)
    place: dict[str, Any] = {"protocol": protocol, "target": target}
    found = []

    def names(of: Iterable[Any]) -> str:
        listed = [str(name) for name in of]
        return ", ".join(listed[:5]) + (f" and {len(listed) - 5} more" if len(listed) > 5 else "")

    n_labels = labels.groupby(ids.subject).nunique()
    heads = subjects.iloc[np.unique(ids.subject, return_index=True)[1]].tolist()
    constant = [name for name, count in zip(heads, n_labels, strict=True) if count < 2]
    if constant:
        message = f"the labels of {len(constant)} of {len(heads)} subjects are constant ({names(constant)}): a "
        message += "constant prediction scores 100 % on them"
        found.append(Finding("constant labels", "warning", message, **place, n_windows=len(constant)))
    n_varying = int((labels.groupby(ids.trial).nunique() > 1).sum())
    if n_varying:
        message = f"{n_varying} trials have windows of several labels; scoring by trial uses the most frequent one"
        found.append(Finding("several labels in a trial", "note", message, **place, n_windows=n_varying))
    owner = ids.subject[np.unique(ids.trial, return_index=True)[1]]
    n_trials = np.bincount(owner)
    fewer = [name for name, count in zip(heads, n_trials, strict=True) if count < n_trials.max()]
    if fewer:
        message = f"{len(fewer)} of {len(heads)} subjects have fewer trials than the {n_trials.max()} of the others "
        found.append(Finding("uneven trials", "note", f"{message}({names(fewer)})", **place, n_windows=len(fewer)))
    return found


def protocol_claim(protocol: Protocol) -> Disjoint:
    """Return the units that a protocol keeps disjoint."""
    # A split that comes with the data claims only what every split must ensure: whole trials.
    if protocol.disjoint == "overlapping_windows":
        return "windows"
    return "trials" if protocol.disjoint == "predefined" else protocol.disjoint


def __getattr__(name: str) -> Any:
    return moved_name(__name__, name)
