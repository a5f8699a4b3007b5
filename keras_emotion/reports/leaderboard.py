"""Leaderboard page: models compared on one dataset and target, from their finished runs. No Keras."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from keras_emotion.evaluation import holm_correction, paired_subject_test
from keras_emotion.experiment.records import RunFolder
from keras_emotion.reports.numbers import ENOUGH_SUBJECTS, RunNumbers, RunTables, compute_numbers, read_tables
from keras_emotion.reports.tables import percent, shown_p_value
from keras_emotion.schema import InputError

_LATE = 0.9
"""Share of the epochs after which the last tenth begins."""

_MOST_PAIRS = 6
"""Most pairs without a significant difference that are listed by name; more are counted."""

NOT_CONVERGED = "not converged"


@dataclasses.dataclass(frozen=True)
class Entry:
    """Model under one protocol.

    Args:
        model: name of the model.
        protocol: name of the protocol.
        folder: its run, finished or not.
        n_parameters: number of trainable parameters of the network; `None` for an estimator.
        impossible: why the run is impossible; empty if it is possible.
    """

    model: str
    protocol: str
    folder: RunFolder
    n_parameters: int | None = None
    impossible: str = ""


@dataclasses.dataclass(frozen=True, eq=False)
class LeaderboardPage:
    """Leaderboard of the finished runs.

    Args:
        markdown: the page.
        scores: one row for each protocol and model: `protocol`, `model`, `status`, and for finished runs `target`,
            `accuracy`, `standard_deviation` (over subjects), `low` and `high` (95 % interval of the mean, NaN for fewer
            than ten subjects), `n_subjects`, `chance_low`, `chance_high`, `majority`, `knows_stimulus`,
            `balanced_accuracy`, `f1`, `window_seconds`, `n_parameters`, `seconds` (of all trainings), `late_share` (of
            the trainings whose best epoch lies in the last tenth of the epochs), `still_learning`; scores are shares.
        pairs: one row for each pair of models under a protocol: `protocol`, `first`, `second`, `difference` (of the
            mean accuracies), `p_value` (paired t-test over subjects), `p_value_holm` (for all pairs of the protocol).
    """

    markdown: str
    scores: pd.DataFrame
    pairs: pd.DataFrame


def build_leaderboard(
    entries: Sequence[Entry],
    title: str,
    left_out: Mapping[str, str],
    facts: Mapping[str, str],
    notes: Sequence[str] = (),
) -> LeaderboardPage:
    """Build the page, the protocols in the order of the entries and the best model first.

    Args:
        entries: models and protocols; their runs have one target.
        title: of the page.
        left_out: excluded models, with the reason.
        facts: facts about the computation (command, machine, version), by name.
        notes: further notes.

    Raises:
        InputError: a finished run is damaged, has several targets, or the runs are of different datasets.
    """
    numbers: dict[tuple[str, str], RunNumbers] = {}
    rows = []
    for entry in entries:
        status = _status(entry)
        row: dict[str, Any] = {"protocol": entry.protocol, "model": entry.model, "status": status}
        if status == "finished":
            tables = read_tables(entry.folder)
            own = compute_numbers(_scored_by_trial(tables))
            numbers[entry.protocol, entry.model] = own
            row |= _scores(entry, own, tables)
        rows.append(row)
    _refuse_different(numbers)
    scores = pd.DataFrame(rows)
    pairs = pd.DataFrame(
        [row for protocol in dict.fromkeys(scores["protocol"]) for row in _pairs(numbers, protocol)],
        columns=["protocol", "first", "second", "difference", "p_value", "p_value_holm"],
    )
    lines = [f"# {title}", "", *_introduction(numbers, left_out, facts, notes)]
    for protocol in dict.fromkeys(scores["protocol"]):
        lines += _section(protocol, scores[scores["protocol"] == protocol], pairs, numbers)
    return LeaderboardPage("\n".join(lines) + "\n", scores, pairs)


def _status(entry: Entry) -> str:
    if entry.impossible:
        return f"cannot be evaluated: {entry.impossible}"
    if entry.folder.is_started and entry.folder.is_finished:
        return "finished"
    if not entry.folder.is_started:
        return "not started"
    n_jobs = len(entry.folder.check_jobs().finished)
    return f"not finished: {n_jobs} training{'' if n_jobs == 1 else 's'} done"


def _scored_by_trial(tables: RunTables) -> RunTables:
    """Tables of a run scored by trial, because the window lengths of the models differ."""
    science = tables.scientific_config
    protocols = [{**protocol, "scored_unit": "trial"} for protocol in science["protocols"]]
    return dataclasses.replace(tables, scientific_config={**science, "protocols": protocols})


def _scores(entry: Entry, numbers: RunNumbers, tables: RunTables) -> dict[str, object]:
    (target, *others) = numbers.targets
    if others:
        raise InputError(f"{entry.folder.path}: has the targets {', '.join(numbers.targets)}; expected one")
    accuracy, majority, balanced_accuracy, f1 = (
        numbers.row(entry.protocol, target, metric)
        for metric in ("accuracy", "majority_accuracy", "balanced_accuracy", "f1")
    )
    knows = numbers.overall(entry.protocol, target, "knows_stimulus_accuracy")
    has_interval = accuracy["n_subjects"] >= ENOUGH_SUBJECTS
    late = _late_share(entry)
    lengths = tables.predictions["stop_seconds"] - tables.predictions["start_seconds"]
    return {
        "target": target,
        "accuracy": accuracy["mean"],
        "standard_deviation": accuracy["standard_deviation"],
        "low": accuracy["confidence_low"] if has_interval else np.nan,
        "high": accuracy["confidence_high"] if has_interval else np.nan,
        "n_subjects": accuracy["n_subjects"],
        "chance_low": accuracy["chance_low"],
        "chance_high": accuracy["chance_high"],
        "majority": majority["mean"],
        "knows_stimulus": np.nan if knows is None else knows["mean"],
        "balanced_accuracy": balanced_accuracy["mean"],
        "f1": f1["mean"],
        "window_seconds": float(lengths.median()),
        "n_parameters": np.nan if entry.n_parameters is None else entry.n_parameters,
        "seconds": sum(record["seconds"] for record in entry.folder.jobs()),
        "late_share": late,
        "still_learning": late >= 0.5,
    }


def _late_share(entry: Entry) -> float:
    """Share of the trainings whose best epoch lies in the last tenth of the epochs; 0 for an estimator."""
    if entry.n_parameters is None:
        return 0.0
    epochs = entry.folder.config["science"]["training"]["epochs"]
    best = [record["best_epoch"] for record in entry.folder.jobs() if "failed" not in record]
    return float(np.mean([epoch > _LATE * epochs for epoch in best]))


def _refuse_different(numbers: Mapping[tuple[str, str], RunNumbers]) -> None:
    kinds = {(one.dataset, one.targets, one.mark) for one in numbers.values()}
    if len(kinds) > 1:
        listed = "; ".join(f"{dataset}, {', '.join(targets)}" for dataset, targets, _ in sorted(kinds))
        raise InputError(f"a leaderboard compares runs on one dataset and target; the runs have {listed}")


def _pairs(numbers: Mapping[tuple[str, str], RunNumbers], protocol: str) -> list[dict[str, object]]:
    own = {model: one for (name, model), one in numbers.items() if name == protocol}
    scores = {model: one.by_subject(protocol, one.targets[0], "accuracy") for model, one in own.items()}
    found = []
    for first, second in itertools.combinations(scores, 2):
        shared = scores[first].index.intersection(scores[second].index)
        if len(shared) > 1:
            one, other = scores[first][shared], scores[second][shared]
            p_value = paired_subject_test(one, other).p_value
            difference = float(one.mean() - other.mean())
            found.append((first, second, difference, p_value))
    corrected = list(holm_correction([one[-1] for one in found])) if found else []
    names = ("first", "second", "difference", "p_value")
    return [
        {"protocol": protocol, **dict(zip(names, one, strict=True)), "p_value_holm": p_value}
        for one, p_value in zip(found, corrected, strict=True)
    ]


# --- the terminal


def score_blocks(scores: pd.DataFrame, most: int | None = None) -> dict[str, list[tuple[str, list[str]]]]:
    """Accuracies of the finished runs by protocol, best first; see `keras_emotion.reports.terminal.block_table`.

    Args:
        scores: see `LeaderboardPage`.
        most: maximum number of models of each protocol; `None` for all.
    """
    blocks: dict[str, list[tuple[str, list[str]]]] = {}
    finished = scores[scores["status"] == "finished"]
    for protocol, rows in finished.groupby("protocol", sort=False):
        best = rows.sort_values("accuracy", ascending=False)
        lines = [
            (
                row.model,
                [
                    f"{percent(row.accuracy)}{_spread(row.standard_deviation)}",
                    f"{percent(row.low)} – {percent(row.high)}" if np.isfinite(row.low) else "",
                    f"{percent(row.chance_low)} – {percent(row.chance_high)}",
                    percent(row.majority),
                    percent(row.knows_stimulus) if np.isfinite(row.knows_stimulus) else "",
                ],
            )
            for row in best.head(len(best) if most is None else most).itertuples()
        ]
        rest = len(best) - len(lines)
        blocks[f"{protocol}{f', {rest} more models' if rest else ''}"] = lines
    return blocks


SCORE_HEADINGS = ("accuracy, %", "95 %\ninterval", "chance,\n95 % band", "majority\nclass", "knows the\nstimulus")
"""Headings of the columns of `score_blocks`."""


def _spread(deviation: float) -> str:
    return f" ± {percent(deviation)}" if np.isfinite(deviation) else ""


# --- the page


def _introduction(
    numbers: Mapping[tuple[str, str], RunNumbers],
    left_out: Mapping[str, str],
    facts: Mapping[str, str],
    notes: Sequence[str],
) -> Iterator[str]:
    if any(one.mark for one in numbers.values()):
        yield f"**{next(iter(numbers.values())).mark}**"
        yield ""
    yield (
        "Scored by trial (mean probability over its windows), because the window lengths of the models differ. "
        "Mean accuracy over subjects in percent, with the standard deviation over subjects and a 95 % bootstrap "
        "interval of the mean (ten subjects or more). Chance: the middle 95 % of the accuracies under label "
        "permutation between the stimuli of a subject, or of all subjects if one model is trained on all of them. "
        "Parameters: number of trainable parameters. Seconds: all trainings of the run, on the machine below. Models "
        "are compared by paired t-tests over subjects, Holm-corrected for all pairs of a protocol. "
        f'"{NOT_CONVERGED}": in at least half of the trainings the best epoch lies in the last tenth of the epochs, '
        "so that longer training may improve the model."
    )
    yield ""
    targets = dict.fromkeys(target for one in numbers.values() for target in one.labels_of_stimuli)
    yield from (
        f"- {target}: the label is a property of the stimulus, so that the stimulus determines the label; only "
        "stimulus-disjoint protocols test emotion recognition"
        for target in targets
    )
    yield from (f"- {note}" for note in notes)
    yield (
        "- knows the stimulus (stimulus-only baseline): predicts the most frequent label of the stimulus in the "
        "training set, without any signal"
    )
    for reason in dict.fromkeys(left_out.values()):
        yield f"- left out ({reason}): {', '.join(model for model, own in left_out.items() if own == reason)}"
    yield from ("", "| | |", "|---|---|")
    yield from (f"| {name} | {value} |" for name, value in facts.items())
    yield ""


def _section(
    protocol: str,
    scores: pd.DataFrame,
    pairs: pd.DataFrame,
    numbers: Mapping[tuple[str, str], RunNumbers],
) -> Iterator[str]:
    yield from (f"## {protocol}", "")
    done = scores[scores["status"] == "finished"]
    if len(done):
        done = done.sort_values("accuracy", ascending=False)
        definition = next(iter(one for (name, _), one in numbers.items() if name == protocol)).protocols[protocol]
        n_folds = next(iter(one for (name, _), one in numbers.items() if name == protocol)).n_folds[protocol]
        disjoint, scope = (definition[field].replace("_", " ") for field in ("disjoint", "scope"))
        yield (f"Training and test sets share no {disjoint}; trained {scope}; {n_folds} folds, one repetition.")
        yield from (f"- {flag}" for flag in definition["flags"])
        yield from (
            "",
            "| model | accuracy | 95 % interval | chance, 95 % band | window, s | parameters | seconds | |",
            "|---|---|---|---|---|---|---|---|",
        )
        yield from (_line(row) for row in done.itertuples())
        best = done.iloc[0]
        yield f"| *majority class of training* | {percent(best.majority)} | | | | | | |"
        if np.isfinite(best.knows_stimulus):
            yield f"| *knows the stimulus* | {percent(best.knows_stimulus)} | | | | | | |"
        yield ""
        yield from _tests(pairs[pairs["protocol"] == protocol])
    others = scores[scores["status"] != "finished"]
    for status, rows in others.groupby("status", sort=False):
        yield f"- {status}: {', '.join(rows['model'])}"
    yield ""


def _line(row) -> str:
    interval = f"{percent(row.low)} – {percent(row.high)}" if np.isfinite(row.low) else "–"
    parameters = f"{row.n_parameters:,.0f}" if np.isfinite(row.n_parameters) else "–"
    spread = _spread(row.standard_deviation)
    remark = f"{NOT_CONVERGED} ({row.late_share:.0%} of the trainings)" if row.still_learning else ""
    chance = f"{percent(row.chance_low)} – {percent(row.chance_high)}"
    return (
        f"| `{row.model}` | {percent(row.accuracy)}{spread} | {interval} | {chance} | "
        f"{row.window_seconds:g} | {parameters} | "
        f"{row.seconds:,.0f} | {remark} |"
    )


def _tests(pairs: pd.DataFrame) -> Iterator[str]:
    if pairs.empty:
        return
    shown = pairs[pairs["p_value_holm"] < 0.05].sort_values("p_value_holm")
    for row in shown.itertuples():
        better, worse = (row.first, row.second) if row.difference > 0 else (row.second, row.first)
        points = percent(abs(row.difference))
        yield f"- `{better}` is above `{worse}` by {points} points, {shown_p_value(row.p_value_holm)}"
    rest = pairs[~(pairs["p_value_holm"] < 0.05)]
    if 0 < len(rest) <= _MOST_PAIRS:
        names = "; ".join(f"`{row.first}` and `{row.second}`" for row in rest.itertuples())
        yield f"- no significant difference: {names}"
    elif len(rest):
        yield f"- no significant difference: {len(rest)} of {len(pairs)} pairs"
    yield ""
