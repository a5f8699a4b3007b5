"""Null distributions of an audit, computed from the records of its tasks."""

from __future__ import annotations

import collections
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from keras_emotion.audit.tasks import NETWORK, ORDER, STIMULUS, Labelings, kind_of_folds
from keras_emotion.evaluation import PROTOCOLS, subject_scores
from keras_emotion.evaluation.leaks import Finding
from keras_emotion.evaluation.permutation import FEWEST_LABELINGS, permuted_between
from keras_emotion.experiment.jobs import Plan
from keras_emotion.experiment.records import RunFolder
from keras_emotion.schema import InputError

SCORE_COLUMNS = (
    "protocol",
    "target",
    "model",
    "permuted_between",
    "n_subjects",
    "score",
    "n_permutations",
    "n_labelings",
    "null_mean",
    "null_low",
    "null_high",
    "p_value",
    "constant",
    "order",
    "stimulus",
)
"""Columns of `Audit.scores`: `score` is the accuracy with the real labels (mean over subjects), `null_*` mean and 95 %
range of the accuracies after training on shuffled labels, `n_labelings` the number of distinct labelings, `p_value`
= (1 + shuffles that reach it) / (1 + shuffles), NaN with fewer than 20 labelings, `constant` the best constant on the
test rows, `order` the accuracy from the order of presentation alone (NaN if unknown), `stimulus` that from the stimulus
alone (`stimulus_baseline`)."""


def observed_scores(run: RunFolder) -> pd.DataFrame:
    """Return the accuracy of each subject in a finished run: `protocol`, `target`, `subject`, `score`.

    Raises:
        InputError: all of its trainings diverged.
    """
    results, predictions = run.results(), run.predictions()
    if predictions.empty:
        raise InputError(f"{run.path}: has no predictions, because its trainings diverged; there is nothing to audit")
    named = [name for name in predictions if name.startswith("probability_")]
    majority = results[results["metric"] == "training_majority"].rename(columns={"value": "majority_class"})
    scores = subject_scores(predictions.drop(columns=named), majority)
    renamed = scores.rename(columns={"accuracy": "score", "best_constant_accuracy": "constant"})
    return renamed[["protocol", "target", "subject", "score", "constant"]].assign(model=NETWORK, permutation=0)


def null_scores(
    folder: RunFolder,
    plan: Plan,
    observed: pd.DataFrame | None,
    n_wanted: Mapping[str, int],
) -> tuple[pd.DataFrame, list[Finding]]:
    """Compute `protocol, target, model, permutation, score, constant`: means over the subjects shared by all protocols.

    The findings list what is left out because trainings diverged.
    """
    keys = ["protocol", "target", "model", "permutation", "subject"]
    records = folder.jobs()
    counts = pd.DataFrame(list(_read_counts(records, n_wanted)))
    if counts.empty:
        return pd.DataFrame(columns=[*keys[:-1], "score", "constant", "n_subjects"]), []
    if counts["candidate"].astype(bool).any():
        counts = _chosen_candidates(counts)
    diverged = [one for one in _read_diverged(records) if one[3] <= n_wanted.get(one[2], 0)]
    # Means over different subjects or folds are not comparable between permutations.
    permutations = {one[:4] for one in diverged if one[3]}
    subjects = {(one[1], name) for one in diverged if not one[3] for name in one[4]}
    places = counts[keys[:-1]].itertuples(index=False, name=None)
    people = counts[["target", "subject"]].itertuples(index=False, name=None)
    kept = [place not in permutations and who not in subjects for place, who in zip(places, people, strict=True)]
    counts = counts[kept]
    pooled = counts.groupby([*keys, "repetition"], sort=True).agg(right=("right", "sum"), labels=("labels", _summed))
    tested = pooled["labels"].map(np.sum)
    scores = pd.DataFrame({"score": pooled["right"] / tested, "constant": pooled["labels"].map(np.max) / tested})
    by_subject = scores.groupby(keys).mean().reset_index()
    if observed is not None:
        people = observed[["target", "subject"]].itertuples(index=False, name=None)
        by_subject = pd.concat([by_subject, observed[[who not in subjects for who in people]]], ignore_index=True)
    by_subject = by_subject[_is_compared(by_subject, plan.experiment.protocols)]
    # The constant depends on labels only: that of the real labels is taken from the light model.
    means = by_subject.groupby(keys[:-1]).agg(
        score=("score", "mean"), constant=("constant", "mean"), n_subjects=("subject", "nunique")
    )
    return means.reset_index(), list(_diverged_findings(permutations, diverged))


def _read_diverged(records: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str, str, int, tuple[str, ...]]]:
    """Yield protocol, target, model, permutation and test subjects of diverged trainings without another candidate."""

    def fold(record: Mapping[str, Any], permutation: int) -> tuple:
        job = record.get("job", {})
        fields = ("model", "protocol", "target", "subject", "session", "repetition", "fold")
        return (*(job.get(field) for field in fields), permutation)

    done = {fold(record, one["permutation"]) for record in records for one in record["counts"]}
    for record in records:
        for one in record.get("failed", ()):
            if fold(record, one["permutation"]) not in done:
                place = record["protocol"], record["target"], record["model"], one["permutation"]
                yield (*place, tuple(one["test_subjects"]))


def _diverged_findings(
    permutations: Collection[tuple[str, str, str, int]], diverged: Sequence[tuple[str, str, str, int, tuple[str, ...]]]
) -> Iterator[Finding]:
    for (protocol, target, model), n in sorted(collections.Counter(place[:3] for place in permutations).items()):
        message = f"{model}: {n} permutation{'' if n == 1 else 's'} left out, because a training diverged"
        yield Finding("training diverged", "warning", message, protocol, target)
    for protocol, target, model, permutation, subjects in diverged:
        if not permutation:
            message = f"{model}: {', '.join(subjects)}: left out, because a training with the real labels diverged"
            yield Finding("training diverged", "warning", message, protocol, target)


def _read_counts(records: Sequence[Mapping[str, Any]], n_wanted: Mapping[str, int]) -> Iterator[dict[str, Any]]:
    for record in records:
        place = {key: record[key] for key in ("model", "protocol", "target")}
        limit = n_wanted.get(record["model"], 0)
        for one in record["counts"]:
            # An earlier audit in this folder may have used more shuffles.
            if one["permutation"] <= limit:
                yield {"candidate": "", "validation_score": None, **place, **one}


def _summed(labels: pd.Series) -> np.ndarray:
    whole = np.zeros(max(map(len, labels)), dtype=np.int64)
    for counts in labels:
        whole[: len(counts)] += counts
    return whole


def _chosen_candidates(counts: pd.DataFrame) -> pd.DataFrame:
    """Select the candidate of each fold with the best score on the validation windows, as in a run."""
    fold = ["protocol", "target", "model", "permutation", "subject", "repetition", "fold"]
    ordered = counts.assign(order=counts["validation_score"].astype(float).fillna(0.0))
    ordered = ordered.sort_values([*fold, "order", "candidate"], ascending=[True] * (len(fold) + 1) + [False])
    return ordered.groupby(fold, as_index=False, sort=False).last()


def _is_compared(by_subject: pd.DataFrame, protocols: Sequence[str]) -> np.ndarray:
    """Return the rows of subjects who have a score with the real labels under every protocol of the experiment."""
    real = by_subject[(by_subject["permutation"] == 0) & by_subject["protocol"].isin(protocols)]
    real = real[~real["model"].isin((ORDER, STIMULUS))]
    applied = real.groupby("target")["protocol"].nunique()
    found = real.groupby(["target", "subject"])["protocol"].nunique()
    kept = [place for place, count in found.items() if count == applied[place[0]]]
    return pd.MultiIndex.from_frame(by_subject[["target", "subject"]]).isin(kept)


def score_table(null: pd.DataFrame, plan: Plan, labelings: Mapping[tuple[str, str], Labelings]) -> pd.DataFrame:
    """Return a row for each protocol, target and model, with the columns `SCORE_COLUMNS`."""
    rows = []
    real = null[null["permutation"] == 0].set_index(["protocol", "target", "model"])
    for place, row in real.iterrows():
        protocol, target, model = place
        if model in (ORDER, STIMULUS):
            continue
        own = null[(null["protocol"] == protocol) & (null["target"] == target) & (null["model"] == model)]
        shuffled = own.loc[own["permutation"] > 0, "score"].to_numpy()
        low, high = np.quantile(shuffled, [0.025, 0.975]) if len(shuffled) else (np.nan, np.nan)
        # Equal accuracies may differ by the rounding of their sums.
        reached = np.count_nonzero(shuffled >= row["score"] - 1e-9)
        order, stimulus = (real["score"].get((protocol, target, name), np.nan) for name in (ORDER, STIMULUS))
        between = permuted_between(PROTOCOLS[protocol])
        mean = shuffled.mean() if len(shuffled) else np.nan
        n_labelings = labelings[protocol, target].total
        is_tested = len(shuffled) > 0 and n_labelings >= FEWEST_LABELINGS
        p_value = (1 + reached) / (1 + len(shuffled)) if is_tested else np.nan
        shown = (
            row["n_subjects"],
            row["score"],
            len(shuffled),
            n_labelings,
            mean,
            low,
            high,
            p_value,
            row["constant"],
            order,
            stimulus,
        )
        rows.append((*place, between, *shown))
    scores = pd.DataFrame(rows, columns=list(SCORE_COLUMNS))
    protocols = list(plan.experiment.protocols)
    place = scores["protocol"].map(lambda name: protocols.index(name) if name in protocols else len(protocols))
    targets = scores["target"].map(list(plan.experiment.targets).index)
    return (
        scores.assign(place=place, rank=targets)
        .sort_values(["rank", "place", "model"], kind="stable")
        .drop(columns=["place", "rank"])
        .reset_index(drop=True)
    )


def protocol_gaps(null: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    """Return the accuracies of folds of windows and of folds of trials by target and model, see `Audit.gaps`."""
    real = null[(null["permutation"] == 0) & ~null["model"].isin((ORDER, STIMULUS))]
    rows = []
    for (target, model), own in real.groupby(["target", "model"]):
        by_kind: dict[str, tuple[str, float]] = {}
        for row in own.itertuples():
            protocol = PROTOCOLS[row.protocol]
            if protocol.scope == "within_subject":
                by_kind.setdefault(kind_of_folds(protocol), (row.protocol, row.score))
        if {"windows", "trials"} <= by_kind.keys():
            rows.append((target, model, *by_kind["windows"], *by_kind["trials"]))
    columns = ["target", "model", "window_protocol", "windows", "trial_protocol", "trials"]
    return pd.DataFrame(rows, columns=columns)
