"""Scores, baselines and notes of a run, computed from its predictions."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict

from keras_emotion.evaluation import METRICS, Summary, is_property_of_stimulus, overlap_in_time, summarise
from keras_emotion.experiment.record_schema import schema_problem
from keras_emotion.experiment.record_tables import FAILED, FITTED_WINDOWS
from keras_emotion.experiment.records import FINISHED, Jobs, RunFolder
from keras_emotion.json_files import DamagedFile
from keras_emotion.messages import dataset_title
from keras_emotion.schema import InputError

SYNTHETIC_MARK = "synthetic data: says nothing about emotion"
"""Warning above every table and figure of synthetic data."""

ENOUGH_SUBJECTS = 10
"""Smallest number of subjects for an interval over subjects; fewer are listed one by one."""

N_PERMUTATIONS = 999

_PROBABILITY = "probability_"
BAND_ATTENTION = "band_attention_"
"""Prefixes of probability columns, and of the metrics that hold the attention to a band."""

_RECORDED_OF_ALL = {
    *METRICS,
    "roc_auc",
    "best_epoch",
    "training_majority",
    "n_training_windows",
    "n_validation_windows",
    FITTED_WINDOWS,
    FAILED,
}
_BANDS_BY_FREQUENCY = ("delta", "theta", "alpha", "beta", "gamma")


class _Part(BaseModel):
    model_config = ConfigDict(strict=True)


class _Protocol(_Part):
    name: str
    flags: list[str]
    scope: str
    scored_unit: str


class _Science(_Part):
    name: str
    targets: list[str]
    protocols: list[_Protocol]


class _Data(_Part):
    dataset: str
    synthetic: bool
    fingerprints: dict[str, str]


class _NotEvaluable(_Part):
    protocol: str
    target: str
    subject: int | str
    reason: str


class _Failed(_Part):
    protocol: str
    target: str
    reason: str
    left_out: list[str]


class _Facts(_Part):
    class_names: dict[str, list[str]]
    not_evaluable: list[_NotEvaluable]
    dropped_windows: dict[str, dict[str, int]]
    failed: list[_Failed]
    label_rules: dict[str, str] = {}


@dataclasses.dataclass(frozen=True)
class NotEvaluated:
    """Subject excluded from the comparison, with the reason.

    Args:
        target: the target.
        subject: the subject, or `keras_emotion.evaluation.POOL` where a protocol that mixes subjects cannot be applied.
        protocol: the protocol that could not be applied or has no predictions.
        reason: the reason.
    """

    target: str
    subject: str
    protocol: str
    reason: str


@dataclasses.dataclass(frozen=True, eq=False)
class RunNumbers:
    """Scores of a run on the subjects with predictions under every protocol.

    Args:
        name: name of the reproduction.
        dataset: name of the dataset.
        mark: `SYNTHETIC_MARK`, or empty where the data are real.
        targets: targets, in the run's order.
        protocols: definition of each protocol by its name, in the run's order; its `flags` include those that
            follow from the rows of the test sets.
        class_names: names of the classes by target.
        label_rules: name of the rule that turns ratings into classes, by target; empty for runs of earlier versions.
        scored_unit: `"window"` or `"trial"`.
        n_repetitions: repetitions that were run, by protocol; a reduced run has fewer than its protocol defines.
        n_folds: folds of a repetition that were run, by protocol; the maximum over subjects.
        summary: scores by subject and over subjects (shares, not percent).
        confusion: `(classes, classes)` counts by `(protocol, target)`, label by prediction, all repetitions together.
        band_attention: `protocol`, `target`, `subject`, `band`, `value` (mean over folds); empty where there is none.
        recorded: `protocol`, `target`, `subject`, `quantity`, `value` (mean over folds): all other quantities that
            features and networks recorded; empty if there are none.
        not_evaluated: the excluded subjects.
        has_stimuli: whether the predictions include what the stimulus alone predicts.
        labels_of_stimuli: targets whose label is a property of the stimulus.
        keeping_stimuli_apart: protocols without any test window of a stimulus of the training set, in the run's order.
        dropped_windows: number of windows dropped because a modality is missing, by subject and reason.
        channels: how channels that differ between files were handled, one sentence each.
        feature_flags: limitations of the features that affect every number, one sentence each.
        record_notes: problems of the records of the jobs (damaged ones), one line each.
    """

    name: str
    dataset: str
    mark: str
    targets: tuple[str, ...]
    protocols: Mapping[str, Mapping[str, Any]]
    class_names: Mapping[str, Sequence[str]]
    scored_unit: str
    n_repetitions: Mapping[str, int]
    n_folds: Mapping[str, int]
    summary: Summary
    confusion: Mapping[tuple[str, str], np.ndarray]
    band_attention: pd.DataFrame
    recorded: pd.DataFrame
    not_evaluated: tuple[NotEvaluated, ...]
    dropped_windows: Mapping[str, Mapping[str, int]]
    has_stimuli: bool = False
    labels_of_stimuli: tuple[str, ...] = ()
    keeping_stimuli_apart: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    feature_flags: tuple[str, ...] = ()
    record_notes: tuple[str, ...] = ()
    label_rules: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def title_of_dataset(self) -> str:
        """Name of the dataset as written in titles: `MAHNOB-HCI`."""
        return dataset_title(self.dataset)

    @property
    def evaluated(self) -> dict[str, tuple[str, ...]]:
        """Evaluated subjects by target; targets without any are left out."""
        subjects = self.summary.subjects
        found = {
            target: natural_order(subjects.loc[subjects["target"] == target, "subject"]) for target in self.targets
        }
        return {target: names for target, names in found.items() if names}

    def overall(self, protocol: str, target: str, metric: str) -> pd.Series | None:
        """The row of `summary.overall`, or `None` where the protocol was not applied to the target."""
        rows = self.summary.overall
        rows = rows[(rows["protocol"] == protocol) & (rows["target"] == target) & (rows["metric"] == metric)]
        return None if rows.empty else rows.iloc[0]

    def row(self, protocol: str, target: str, metric: str) -> pd.Series:
        """The row of `summary.overall` of a protocol that was applied to the target.

        Raises:
            InputError: it was not.
        """
        found = self.overall(protocol, target, metric)
        if found is None:
            raise InputError(
                f"{self.name}: no {metric} of {target} under {protocol}; expected a run with predictions under this "
                "protocol; run it again with --protocols"
            )
        return found

    def by_subject(self, protocol: str, target: str, metric: str) -> pd.Series:
        """Value of each evaluated subject, in their order; NaN where the metric is not defined."""
        rows = self.summary.subjects
        rows = rows[(rows["protocol"] == protocol) & (rows["target"] == target)].set_index("subject")
        return rows[metric].reindex(self.evaluated[target])

    def protocols_of(self, target: str) -> list[str]:
        """Names of the protocols that were applied to a target."""
        return [name for name in self.protocols if self.overall(name, target, "accuracy") is not None]


@dataclasses.dataclass(frozen=True, eq=False)
class RunTables:
    """Contents of the folder of a finished run.

    Args:
        identity: hash of the scientific fields.
        scientific_config: the scientific fields.
        data: description of the data.
        facts: facts recorded about the whole run.
        predictions: the predictions table, its probabilities numbered by class.
        results: the results table.
        jobs: the records of its jobs.
    """

    identity: str
    scientific_config: Mapping[str, Any]
    data: Mapping[str, Any]
    facts: Mapping[str, Any]
    predictions: pd.DataFrame
    results: pd.DataFrame
    jobs: Jobs

    @property
    def training_majority(self) -> pd.DataFrame:
        """The majority class of each training set."""
        rows = self.results[self.results["metric"] == "training_majority"]
        return rows.rename(columns={"value": "majority_class"})

    @property
    def scored_unit(self) -> Literal["window", "trial"]:
        """Unit that the protocols score.

        Raises:
            InputError: they score different ones.
        """
        units = sorted({protocol["scored_unit"] for protocol in self.scientific_config["protocols"]})
        if len(units) > 1:
            raise InputError(
                f"run {self.identity}: its protocols score {' and '.join(units)}s, which cannot be compared"
            )
        return units[0]


class NoSubjectLeft(InputError):
    """No subject of a run can be evaluated because trainings diverged."""


def read_tables(folder: RunFolder, jobs: Jobs | None = None) -> RunTables:
    """Read the folder of a finished run.

    Args:
        folder: a finished run.
        jobs: the records of its jobs, if they were read already.

    Raises:
        InputError: the run is not finished, or a table is damaged.
        NoSubjectLeft: there are no predictions of any subject.
    """
    identity, science, data = read_configuration(folder)
    if not folder.is_finished:
        raise InputError(f"{folder.path}: the run is not finished; give --resume to continue it")
    facts = _checked(folder, FINISHED, folder.summary, _Facts)
    predictions, results = folder.predictions(), folder.results()
    if facts["failed"] and predictions.empty:
        raise NoSubjectLeft(
            f"{folder.path}: no subject is left to report on, because {len(facts['failed'])} trainings diverged (the "
            f"first: {facts['failed'][0]['reason']}); run again with a smaller --training.learning-rate and another "
            "--output, or repeat them with --retry-failed"
        )
    for name, table in (("predictions.csv", predictions), ("results.csv", results)):
        if not len(table):
            raise InputError(f"{folder.path / name}: has no rows")
    predictions = _numbered_probabilities(predictions, facts["class_names"])
    return RunTables(identity, science, data, facts, predictions, results, jobs or folder.check_jobs())


def read_configuration(folder: RunFolder) -> tuple[str, Mapping[str, Any], Mapping[str, Any]]:
    """Read identity, scientific fields and data of a run, finished or not.

    Args:
        folder: any run.

    Raises:
        InputError: it is not a run folder, or one of its files is damaged.
    """
    config = folder.config
    science = _checked(folder, "config.json", config["science"], _Science)
    if "data" in config and not (folder.path / "data.json").exists():
        # Written right after config.json: the run may be starting at this moment.
        data = _checked(folder, "config.json", config["data"], _Data)
    else:
        data = _checked(folder, "data.json", folder.data, _Data)
    return config["identity"], science, data


def _checked(folder: RunFolder, file: str, content: Any, schema: type[BaseModel]) -> Mapping[str, Any]:
    if problem := schema_problem(schema, content):
        raise DamagedFile(folder.path / file, problem, "" if file == "config.json" else "--resume makes it again")
    return content


def read_numbers(folder: RunFolder) -> RunNumbers:
    """Compute a run's numbers from its folder.

    Args:
        folder: a finished run.

    Raises:
        InputError: the run is not finished, its protocols score different units, a column is missing, or no subject
            has predictions under every protocol.
    """
    return compute_numbers(read_tables(folder))


def compute_numbers(tables: RunTables) -> RunNumbers:
    """Compute a run's numbers from its tables.

    Args:
        tables: of the run.

    Raises:
        InputError: as for `read_numbers`.
    """
    scientific_config, facts, predictions = tables.scientific_config, tables.facts, tables.predictions
    protocols = {
        protocol["name"]: {
            **protocol,
            "flags": [*protocol["flags"], *flags_of_rows(protocol, predictions, tables.data.get("sources", ()))],
        }
        for protocol in scientific_config["protocols"]
    }
    summary = summarise(predictions, tables.training_majority, tables.scored_unit, n_permutations=N_PERMUTATIONS)
    compared = pd.MultiIndex.from_frame(summary.subjects[["target", "subject"]].drop_duplicates())

    def of_compared(table: pd.DataFrame) -> pd.DataFrame:
        return table[pd.MultiIndex.from_frame(table[["target", "subject"]]).isin(compared)]

    return RunNumbers(
        name=scientific_config["name"],
        dataset=tables.data["dataset"],
        mark=SYNTHETIC_MARK if tables.data["synthetic"] else "",
        targets=tuple(scientific_config["targets"]),
        protocols=protocols,
        class_names=facts["class_names"],
        label_rules=facts.get("label_rules", {}),
        scored_unit=tables.scored_unit,
        n_repetitions=predictions.groupby("protocol")["repetition"].nunique().to_dict(),
        n_folds=predictions.groupby("protocol")["fold"].nunique().to_dict(),
        summary=summary,
        confusion=dict(_confusion(of_compared(predictions), facts["class_names"])),
        band_attention=_band_attention(of_compared(tables.results)),
        recorded=_recorded(of_compared(tables.results)),
        not_evaluated=tuple(_not_evaluated(facts, summary.left_out)),
        dropped_windows=facts["dropped_windows"],
        # Missing in runs of versions before 0.2.0.
        channels=tuple(facts.get("channels", ())),
        feature_flags=tuple(tables.data.get("feature_flags", ())),
        record_notes=tuple(tables.jobs.notes),
        has_stimuli="stimulus_label" in predictions,
        keeping_stimuli_apart=tuple(name for name in protocols if _keeps_stimuli_apart(predictions, name)),
        labels_of_stimuli=tuple(
            target
            for target in scientific_config["targets"]
            if is_property_of_stimulus(predictions[predictions["target"] == target])
        ),
    )


def flags_of_rows(protocol: Mapping[str, Any], predictions: pd.DataFrame, sources: Sequence[str] = ()) -> list[str]:
    """Flags of a protocol that follow from the rows of its test sets.

    Args:
        protocol: its definition, with `name` and `flags`.
        predictions: predictions table; those of versions before 0.2.0 lack `stimulus_seen`.
        sources: what the model reads of a trial.
    """
    rows = predictions[predictions["protocol"] == protocol["name"]]
    flags = []
    if protocol.get("disjoint") == "windows" and len(rows):
        # Windows and folds are the same for all targets, and similar in all repetitions.
        first = rows[(rows[["target", "repetition"]] == rows[["target", "repetition"]].iloc[0]).all(axis=1)]
        fold, everyone = first["fold"].to_numpy(), np.arange(len(first))
        overlaps = np.zeros(len(first), dtype=bool)
        for one in np.unique(fold):
            overlaps[fold == one] = overlap_in_time(first, everyone[fold != one], everyone[fold == one])
        if overlaps.any():
            flags.append(f"{percent_of(overlaps)} of the test windows overlap in time with windows of other folds")
    if "stimulus_seen" not in predictions:
        return flags
    own = rows["stimulus_seen"]
    if (own == "person").any():
        flags.append(
            f"{percent_of(own == 'person')} of the test windows show a stimulus that the subject saw in training "
            "(stimulus_disjoint_within_subject keeps them apart)"
        )
    if "media" in sources and (own != "no").any():
        flags.append(
            f"the model sees the stimulus itself, and {percent_of(own != 'no')} of the test windows show one that is "
            "in training (stimulus_disjoint keeps them apart)"
        )
    return flags


def _keeps_stimuli_apart(predictions: pd.DataFrame, protocol: str) -> bool:
    own = predictions[predictions["protocol"] == protocol]
    return "stimulus_seen" in own and len(own) > 0 and bool((own["stimulus_seen"] == "no").all())


def percent_of(mask: pd.Series | np.ndarray) -> str:
    """Share of true values in percent, without digits."""
    return f"{100 * mask.mean():.0f} %"


def natural_order(subjects: pd.Series) -> tuple[str, ...]:
    """Distinct subjects in natural order, "10" after "9"."""
    return tuple(sorted(set(subjects), key=lambda name: (name.rjust(12), name)))


def _numbered_probabilities(predictions: pd.DataFrame, class_names: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """Rename the probability columns to `probability_0, probability_1, ...`.

    Targets have their own classes; in the rows of a target the columns of further classes are NaN.
    """
    named = [column for column in predictions if column.startswith(_PROBABILITY)]
    numbered = np.full((len(predictions), max(map(len, class_names.values()), default=0)), np.nan)
    for target, names in class_names.items():
        rows = np.flatnonzero(predictions["target"] == target)
        missing = [name for name in names if _PROBABILITY + name not in named]
        if missing and len(rows):
            raise InputError(f"predictions.csv has no column {', '.join(_PROBABILITY + name for name in missing)}")
        if len(rows):
            numbered[rows, : len(names)] = predictions[[_PROBABILITY + name for name in names]].iloc[rows]
    columns = [f"{_PROBABILITY}{index}" for index in range(numbered.shape[1])]
    return predictions.drop(columns=named).join(pd.DataFrame(numbered, columns=columns))


def _confusion(
    predictions: pd.DataFrame, class_names: Mapping[str, Sequence[str]]
) -> Iterator[tuple[tuple[str, str], np.ndarray]]:
    for (protocol, target), rows in predictions.groupby(["protocol", "target"]):
        n_classes = len(class_names[target])
        pairs = rows["label"].to_numpy() * n_classes + rows["prediction"].to_numpy()
        yield (protocol, target), np.bincount(pairs, minlength=n_classes**2).reshape(n_classes, n_classes)


def _band_attention(results: pd.DataFrame) -> pd.DataFrame:
    rows = results[results["metric"].str.startswith(BAND_ATTENTION)]
    rows = rows.assign(band=rows["metric"].str.removeprefix(BAND_ATTENTION))
    return rows.groupby(["protocol", "target", "subject", "band"], as_index=False)["value"].mean()


def _recorded(results: pd.DataFrame) -> pd.DataFrame:
    is_other = ~results["metric"].isin(_RECORDED_OF_ALL) & ~results["metric"].str.startswith(BAND_ATTENTION)
    rows = results[is_other].rename(columns={"metric": "quantity"})
    return rows.groupby(["protocol", "target", "subject", "quantity"], as_index=False)["value"].mean()


def band_order(bands: Sequence[str]) -> list[str]:
    """Sort bands from low to high frequency; unknown names come last."""
    usual = {name: place for place, name in enumerate(_BANDS_BY_FREQUENCY)}
    return sorted(bands, key=lambda name: (usual.get(name, len(usual)), name))


def _not_evaluated(facts: Mapping[str, Any], left_out: pd.DataFrame) -> Iterator[NotEvaluated]:
    known = set()
    for entry in facts["not_evaluable"]:
        one = NotEvaluated(entry["target"], str(entry["subject"]), entry["protocol"], entry["reason"])
        known.add((one.target, one.subject, one.protocol))
        yield one
    failed: dict[tuple[str, str, str], list[str]] = {}
    for entry in facts["failed"]:
        for subject in entry["left_out"]:
            failed.setdefault((entry["target"], subject, entry["protocol"]), []).append(entry["reason"])
    for place, reasons in failed.items():
        known.add(place)
        folds = "1 fold" if len(reasons) == 1 else f"{len(reasons)} folds"
        yield NotEvaluated(*place, f"training diverged in {folds} ({reasons[0]})")
    for row in left_out.itertuples():
        for protocol in row.missing_from.split(","):
            if (row.target, row.subject, protocol) not in known:
                yield NotEvaluated(row.target, row.subject, protocol, "it has no predictions")
