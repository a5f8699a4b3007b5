"""Comparison of runs: one table of all, and tests of the difference of each pair."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import rich.console

from keras_emotion.evaluation import TRAINING_WINDOWS, Comparison, comparable_subjects, compare
from keras_emotion.experiment.records import RunFolder
from keras_emotion.reports.figures import Picture, draw_comparison, page_picture
from keras_emotion.reports.numbers import (
    ENOUGH_SUBJECTS,
    RunNumbers,
    RunTables,
    compute_numbers,
    natural_order,
    read_tables,
)
from keras_emotion.reports.report import output_folder, page_templates
from keras_emotion.reports.tables import (
    MainTable,
    count_of_subjects,
    feature_notes,
    join,
    missing_notes,
    numbered_flags,
    percent,
    reading_notes,
    shown_p_value,
    shown_points,
    stimulus_notes,
    target_section,
)
from keras_emotion.reports.terminal import accuracies_in_words, print_page, print_table, print_texts
from keras_emotion.schema import InputError
from keras_emotion.visible_text import visible_console

_FIELDS_SHOWN = 8
"""Most differing fields of the configurations listed below the table; the page lists them all."""

_FOLD = ["protocol", "subject", "target", "repetition", "fold"]


@dataclasses.dataclass(frozen=True, eq=False)
class ComparedRun:
    """One of the compared runs.

    Args:
        label: unique label in tables: its name and shortened identity.
        short: the label, without the name if all runs have the same.
        folder: its folder.
        tables: its tables, for the subjects that all runs share.
        numbers: scores computed from them.
    """

    label: str
    short: str
    folder: RunFolder
    tables: RunTables
    numbers: RunNumbers


@dataclasses.dataclass(frozen=True, eq=False)
class Pair:
    """Two runs under one protocol, for one target.

    Args:
        first: label of the first.
        second: label of the second.
        protocol: the protocol.
        target: the target.
        comparison: the statistics; `None` if the two have different folds.
        sentence: result of all tests, or why there are none.
        brief: means and tests over subjects only.
    """

    first: str
    second: str
    protocol: str
    target: str
    comparison: Comparison | None
    sentence: str
    brief: str


@dataclasses.dataclass(frozen=True, eq=False)
class ComparisonReport:
    """Comparison of runs, written to files, that can be printed.

    Args:
        path: the page, `comparison.html`.
        figure: the PNG file, `comparison.png`.
        picture: the figure with title and caption.
        table: the table, one column for each run and protocol.
        runs: the runs in the given order.
        pairs: the comparisons of each pair of runs.
        notes: how to read the pairs.
        names: names of the columns of the table, each in one line.
    """

    path: Path
    figure: Path
    picture: Picture
    table: MainTable
    runs: tuple[ComparedRun, ...]
    pairs: tuple[Pair, ...]
    notes: tuple[str, ...]
    names: tuple[str, ...]

    def print(self, console: rich.console.Console | None = None, *, full: bool = False) -> None:
        """Print the table, the differences of the pairs and the path of the page.

        Args:
            console: the console; standard output by default.
            full: print all scores, tests and notes; by default the accuracies, their baselines and tests over subjects.
        """
        console = console or visible_console()
        print_table(self.table, console, self.runs[0].numbers.scored_unit, full=full, names=self.names)
        print_texts([pair.sentence if full else pair.brief for pair in self.pairs], console)
        print_texts(self.notes if full else (), console, style="dim")
        print_page(self.path, console, full=full)


def build_comparison(folders: Sequence[RunFolder], output: Path | None = None) -> ComparisonReport:
    """Write `comparison.html` and `comparison.png` of several finished runs on one dataset.

    All scores are computed for the subjects that all runs with a target share. The run folders are not changed.

    Args:
        folders: the runs, two or more.
        output: folder to write to; by default `runs/comparison-<hash of the identities of the runs>`.

    Raises:
        InputError: a run is not finished or damaged or given twice, the runs are on different datasets or score
            different units or classes, they share no subject, or the folder cannot be written.
        ValueError: fewer than two runs.
    """
    if len(folders) < 2:
        raise ValueError(f"`folders` holds {len(folders)} runs; expected two or more")
    twice = [path for path, count in Counter(folder.path.resolve() for folder in folders).items() if count > 1]
    if twice:
        raise InputError(f"{twice[0]}: is given twice; expected different runs")
    tables = [read_tables(folder) for folder in folders]
    _refuse_other_data(folders, tables)
    labels = _labels(folders, tables)
    own_names = {one.scientific_config["name"] for one in tables}
    shorts = [label.removeprefix(f"{next(iter(own_names))} ") if len(own_names) == 1 else label for label in labels]
    shared, left_out = _shared_subjects(shorts, tables)
    runs = []
    for label, short, folder, whole in zip(labels, shorts, folders, tables, strict=True):
        pairs = pd.MultiIndex.from_frame(whole.predictions[["target", "subject"]])
        own = dataclasses.replace(whole, predictions=whole.predictions[pairs.isin(shared)])
        if own.predictions.empty:
            raise InputError(f"{folder.path}: shares no subject of any target with the other runs")
        runs.append(ComparedRun(label, short, folder, own, compute_numbers(own)))
    pairs = tuple(_pairs(runs))
    table, names = _table(runs, left_out)
    picture = draw_comparison({run.label: run.numbers for run in runs})
    picture = dataclasses.replace(picture, content=accuracies_in_words(table, names))
    notes = tuple(_notes_on_pairs(pairs))
    page = (
        page_templates()
        .get_template("comparison.html")
        .render(
            title=table.title,
            table=table,
            mark=table.mark,
            done=_what_was_done(runs),
            pairs=pairs,
            subject_tables=[_subject_table(pair, pair.comparison) for pair in pairs if pair.comparison is not None],
            notes=notes,
            pictures=[page_picture(picture)],
            runs=[_facts_of_run(run) for run in runs],
            labels=labels,
            differences=differing_fields([run.tables.scientific_config for run in runs]),
        )
    )
    if output is None:
        identities = "\n".join(one.identity for one in tables)
        output = Path("runs") / f"comparison-{hashlib.blake2b(identities.encode(), digest_size=8).hexdigest()}"
    written = output_folder(output)
    written.write_bytes("comparison.png", picture.png)
    written.write_bytes("comparison.html", page.encode())
    return ComparisonReport(
        path=output / "comparison.html",
        figure=output / "comparison.png",
        picture=picture,
        table=table,
        runs=tuple(runs),
        pairs=pairs,
        notes=notes,
        names=names,
    )


def _what_was_done(runs: Sequence[ComparedRun]) -> str:
    """Lead paragraph: the compared runs, subjects and tests."""
    labels = join(run.label for run in runs)
    evaluated = {target: names for run in runs for target, names in run.numbers.evaluated.items()}
    counts = join(f"{target} ({count_of_subjects(len(names))})" for target, names in evaluated.items())
    return (
        f"The finished runs {labels} on {runs[0].numbers.title_of_dataset} are compared on the subjects that each of "
        f"them evaluated under all of its protocols: {counts}. Each pair of runs with the same folds is tested over "
        "subjects, over the folds of each subject, and over the votes of the trials."
    )


def _refuse_other_data(folders: Sequence[RunFolder], tables: Sequence[RunTables]) -> None:
    def kind(one: RunTables) -> str:
        return f"{'synthetic ' if one.data['synthetic'] else ''}{one.data['dataset']}"

    first = tables[0]
    for folder, other in zip(folders[1:], tables[1:], strict=True):
        for what, of_first, of_other in (
            ("is on", kind(first), kind(other)),
            ("is scored by", first.scored_unit, other.scored_unit),
        ):
            if of_first != of_other:
                raise InputError(
                    f"{folder.path}: {what} {of_other}, but {folders[0].path} {what} {of_first}: "
                    "their numbers cannot be compared"
                )
        for target, names in other.facts["class_names"].items():
            expected = first.facts["class_names"].get(target, names)
            if list(names) != list(expected):
                raise InputError(
                    f"{folder.path}: {target} has the classes {', '.join(names)}, but in {folders[0].path} "
                    f"{', '.join(expected)}: their numbers cannot be compared"
                )


def _labels(folders: Sequence[RunFolder], tables: Sequence[RunTables]) -> list[str]:
    labels = [f"{one.scientific_config['name']} {one.identity[:7]}" for one in tables]
    # Runs with the same configuration on other files of the dataset have the same identity: add the folder name.
    counts = Counter(labels)
    labels = [
        f"{label} {folder.path.resolve().name}" if counts[label] > 1 else label
        for label, folder in zip(labels, folders, strict=True)
    ]
    counts = Counter(labels)
    seen: Counter[str] = Counter()
    unique = []
    for label in labels:
        seen[label] += 1
        unique.append(f"{label} {seen[label]}" if counts[label] > 1 else label)
    return unique


def _shared_subjects(labels: Sequence[str], tables: Sequence[RunTables]) -> tuple[pd.MultiIndex, list[str]]:
    """The `(target, subject)` that all runs with the target share, and a note for each subject that is left out."""
    own: dict[str, dict[str, set[str]]] = {}
    for label, one in zip(labels, tables, strict=True):
        found = comparable_subjects(one.predictions)
        for target, rows in found[found["comparable"]].groupby("target"):
            own.setdefault(target, {})[label] = set(rows["subject"])
    shared, notes = [], []
    for target, of_runs in own.items():
        common = set.intersection(*of_runs.values())
        shared += [(target, subject) for subject in sorted(common)]
        for subject in natural_order(pd.Series(list(set.union(*of_runs.values()) - common), dtype=str)):
            missing = join(label for label, subjects in of_runs.items() if subject not in subjects)
            notes.append(f"left out: {target}, subject {subject}: not tested under every protocol of {missing}")
    if not shared:
        raise InputError(f"{join(labels)} share no subject; expected runs on the same subjects")
    return pd.MultiIndex.from_tuples(shared, names=["target", "subject"]), notes


def _table(runs: Sequence[ComparedRun], left_out: Sequence[str]) -> tuple[MainTable, tuple[str, ...]]:
    """The table, and the names of its columns in one line each."""
    protocols = dict.fromkeys(name for run in runs for name in run.numbers.protocols)
    places = [(run, name) for name in protocols for run in runs if name in run.numbers.protocols]
    flag_marks, flag_notes = numbered_flags({(run.label, name): run.numbers.protocols[name] for run, name in places})
    evaluated = {target: names for run in runs for target, names in run.numbers.evaluated.items()}
    columns = [(run.numbers, name) for run, name in places]
    has_stimuli = any(run.numbers.has_stimuli for run in runs)
    flagged = [*flag_notes, *(f"{run.short}: {note}" for run in runs for note in feature_notes(run.numbers))]
    missing = [*dict.fromkeys(note for run in runs for note in stimulus_notes(run.numbers)), *left_out]
    missing += _differing_runs(runs, evaluated)
    for run in runs:
        name = run.folder.path.resolve().name
        if run.tables.identity[:7] not in name:
            missing.append(f"{run.short} is the run in {name}")
        missing += [f"{run.short}: {note}" for note in missing_notes(run.numbers)]
    table = MainTable(
        title=f"{runs[0].numbers.title_of_dataset}, {len(runs)} runs compared",
        mark=runs[0].numbers.mark,
        columns=tuple(f"{_broken(run)}\n{name}{flag_marks[run.label, name]}" for run, name in places),
        sections=tuple(target_section(columns, target, {}) for target in evaluated),
        notes=(*flagged, *reading_notes(runs[0].numbers.scored_unit, evaluated, has_stimuli), *missing),
        essential=(*flagged, *missing),
    )
    return table, tuple(f"{name}{flag_marks[run.label, name]}, {run.short}" for run, name in places)


def _broken(run: ComparedRun) -> str:
    return f"{run.numbers.name}\n{run.label.removeprefix(run.numbers.name).strip()}"


def _differing_runs(runs: Sequence[ComparedRun], evaluated: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Notes on differences between the runs other than the model."""
    first = runs[0]
    for run in runs[1:]:
        prints = [one.tables.data["fingerprints"] for one in (first, run)]
        subjects = natural_order(pd.Series([name for names in evaluated.values() for name in names]))
        other = [name for name in subjects if prints[0].get(name) != prints[1].get(name)]
        if other:
            yield (
                f"{first.short} and {run.short} are not computed from the same files (different fingerprints of "
                f"{_of_subjects(other)}): different copies of the data, or one of the runs also reads videos"
            )
    for target in evaluated:
        without = [run.short for run in runs if target not in run.numbers.targets]
        if without:
            yield f"{target} is not a target of {join(without)}"
    for name, fields in _differing_protocols(runs).items():
        yield f"{name} is not the same protocol in all runs: {'; '.join(fields)}"
    differing = differing_fields([run.tables.scientific_config for run in runs])
    for field, values in differing[:_FIELDS_SHOWN]:
        shown = ", ".join(f"{value} in {run.short}" for run, value in zip(runs, values, strict=True))
        yield f"the runs differ in {field}: {shown}"
    if len(differing) > _FIELDS_SHOWN:
        yield f"the runs differ in {len(differing) - _FIELDS_SHOWN} more fields: see the end of the page"


def _pairs(runs: Sequence[ComparedRun]) -> Iterator[Pair]:
    differing = _differing_protocols(runs)
    for first, second in itertools.combinations(runs, 2):
        for protocol, definition in first.numbers.protocols.items():
            if protocol not in second.numbers.protocols:
                continue
            for target in first.numbers.evaluated:
                if not all(protocol in run.numbers.protocols_of(target) for run in (first, second)):
                    continue
                head = f"{target}, {protocol}: "
                place = (first.label, second.label, protocol, target)
                if protocol in differing and definition != second.numbers.protocols[protocol]:
                    reason = "not tested against each other, because the protocol is defined differently"
                    sentence = f"{head}{first.short} and {second.short} are {reason}."
                    yield Pair(*place, None, sentence, sentence)
                    continue
                rows = [_with_training_windows(run, protocol, target) for run in (first, second)]
                try:
                    found = compare(rows[0], rows[1], definition["scope"], first.tables.scored_unit)
                except InputError as reason:
                    sentence = f"{head}{first.short} (first) and {second.short} (second) are not tested: {reason}."
                    yield Pair(*place, None, sentence, sentence)
                    continue
                yield Pair(*place, found, *_sentences(head, first, second, found, definition))


def _with_training_windows(run: ComparedRun, protocol: str, target: str) -> pd.DataFrame:
    rows = run.tables.predictions
    rows = rows[(rows["protocol"] == protocol) & (rows["target"] == target)]
    counts = run.tables.results
    counts = counts[counts["metric"] == TRAINING_WINDOWS]
    rows = rows.merge(counts[[*_FOLD, "value"]].rename(columns={"value": TRAINING_WINDOWS}), on=_FOLD, how="left")
    if rows[TRAINING_WINDOWS].isna().any():
        raise InputError(f"{run.folder.path / 'results.csv'}: has no {TRAINING_WINDOWS} of some fold of {protocol}")
    return rows


def _sentences(
    head: str, first: ComparedRun, second: ComparedRun, found: Comparison, protocol: Mapping[str, Any]
) -> tuple[str, str]:
    """All tests of one pair in words, for the run with the higher mean; and only those over subjects."""
    accuracies = found.subjects[["first_accuracy", "second_accuracy"]].mean()
    ahead, behind, sign = (first, second, 1) if found.mean_difference >= 0 else (second, first, -1)
    levels = " and ".join(
        f"{run.short} has {percent(value)} %" for run, value in zip((first, second), accuracies, strict=True)
    )
    size = percent(abs(found.mean_difference))
    change = "no difference" if size == "0.0" else f"{ahead.short} is {size} points above {behind.short}"
    over_subjects = [f"{head}{levels}; {change}{_spread(found, sign)}.", _over_subjects(found)]
    rest = [_within_subjects(found, ahead, behind, protocol), _on_votes(found, first, second)]
    flags = "; ".join(protocol["flags"])
    warning = [f"Under this protocol ({flags}) the higher accuracy may be due to more leakage."] if flags else []
    mark = [f"({first.numbers.mark})"] if first.numbers.mark else []
    return " ".join([*over_subjects, *rest, *warning, *mark]), " ".join([*over_subjects, *warning])


def _spread(found: Comparison, sign: int) -> str:
    n_subjects = len(found.subjects)
    if n_subjects >= ENOUGH_SUBJECTS:
        low, high = sorted((sign * found.confidence_low, sign * found.confidence_high))
        return f" (95 % bootstrap interval over {n_subjects} subjects {100 * low:+.1f} to {100 * high:+.1f})"
    differences = found.subjects.set_index("subject")["difference"]
    shown = ", ".join(f"{100 * sign * differences[name]:+.1f}" for name in natural_order(pd.Series(differences.index)))
    return f" (by subject {shown})" if n_subjects > 1 else ""


def _over_subjects(found: Comparison) -> str:
    if found.wilcoxon is None:
        return "One subject: no test over subjects."
    n_subjects, n_differing = len(found.subjects), found.wilcoxon.degrees_of_freedom
    # All n signs are the same in 2 of 2^n cases.
    lowest = 2 / 2**n_differing
    bound = f", which cannot fall below {lowest:.2g} here" if n_differing > 0 and lowest > 0.05 else ""
    t_test = (
        f"paired t-test {shown_p_value(found.t_test.p_value)}"
        if found.t_test is not None
        else "no t-test (all differences are equal)"
    )
    shown = (
        f"; this t-test detects a difference of {shown_points(found.detectable_difference)} with 80 % power"
        if not math.isnan(found.detectable_difference)
        else ""
    )
    tests = f"{t_test}, Wilcoxon {shown_p_value(found.wilcoxon.p_value)}{bound}"
    return f"Over {count_of_subjects(n_subjects)}: {tests}{shown}."


def _within_subjects(found: Comparison, ahead: ComparedRun, behind: ComparedRun, protocol: Mapping[str, Any]) -> str:
    if protocol["scope"] == "across_subjects":
        return "No test over the folds of a subject, because the folds mix or hold different subjects."
    tested = found.subjects.dropna(subset=["p_value"])
    if tested.empty:
        return "No test over the folds of a subject: one fold, or equal differences in all folds."
    name = "Within a subject, over folds (Nadeau and Bengio)"
    if len(tested) == 1:
        points = tested["detectable_difference"].iloc[0]
        shown = "" if math.isnan(points) else f"; it detects a difference of {shown_points(points)} with 80 % power"
        return f"{name}: {shown_p_value(tested['p_value'].iloc[0])}{shown}."
    below = tested[tested["p_value_holm"] < 0.05]
    n_ahead = int((below["fold_difference"] > 0).sum())
    if found.mean_difference < 0:
        n_ahead = len(below) - n_ahead
    smallest = shown_p_value(tested["p_value_holm"].min())
    higher = f"{ahead.short} is higher in {n_ahead} of them, {behind.short} in {len(below) - n_ahead}"
    outcome = higher if len(below) else "they differ in none of them"
    return f"{name}, Holm-corrected for {len(tested)} subjects: {outcome} (smallest {smallest})."


def _on_votes(found: Comparison, first: ComparedRun, second: ComparedRun) -> str:
    only_first, discordant = int(found.mcnemar.statistic), found.mcnemar.degrees_of_freedom
    return (
        f"Votes of {found.n_trials} trials (repetition {found.repetition}, all subjects together): only "
        f"{first.short} is right on {only_first}, only {second.short} on {discordant - only_first}; "
        f"McNemar {shown_p_value(found.mcnemar.p_value)}."
    )


def _notes_on_pairs(pairs: Sequence[Pair]) -> Iterator[str]:
    n_compared = sum(pair.comparison is not None for pair in pairs)
    if not n_compared:
        return
    yield (
        "The tests differ in their samples. Tests over subjects: subjects; only these generalise to other people. "
        "Tests within a subject: its folds; the variance is corrected for their overlapping training sets. McNemar's "
        "test: trials, which it assumes to be independent; those of one subject are not."
    )
    if n_compared > 1:
        yield (
            f"The p-values are not corrected for the {n_compared} comparisons: if no runs differ, one in twenty falls "
            "below 0.05."
        )


def _subject_table(pair: Pair, found: Comparison) -> dict[str, Any]:
    rows = found.subjects.set_index("subject")
    shown = []
    for subject in natural_order(pd.Series(rows.index)):
        row = rows.loc[subject]
        tested = not math.isnan(row["p_value"])
        shown.append(
            (
                subject,
                percent(row["first_accuracy"]),
                percent(row["second_accuracy"]),
                f"{100 * row['difference']:+.1f}",
                f"{int(row['n_folds'])}",
                f"{100 * row['fold_difference']:+.1f}" if tested else "–",
                f"{row['t']:.2f}" if tested else "–",
                f"{row['p_value']:.3f}" if tested else "–",
                f"{row['p_value_holm']:.3f}" if tested else "–",
            )
        )
    return {"heading": f"{pair.target}, {pair.protocol}", "first": pair.first, "second": pair.second, "rows": shown}


def _facts_of_run(run: ComparedRun) -> dict[str, Any]:
    environment = run.folder.environment
    facts = {
        # Name only: pages are shared with people who have other folders.
        "folder": run.folder.path.resolve().name,
        "identity": run.tables.identity,
        "started": environment.get("started", "not recorded"),
        "commit": environment.get("git_commit") or "not recorded",
        "subjects": ", ".join(map(str, run.tables.data["fingerprints"])),
        "protocols": ", ".join(run.numbers.protocols),
    }
    return {"label": run.label, "facts": facts}


def _differing_protocols(runs: Sequence[ComparedRun]) -> dict[str, list[str]]:
    """Fields of protocols that the runs define differently, with the value of each run."""
    differing = {}
    for name in dict.fromkeys(name for run in runs for name in run.numbers.protocols):
        own = {run.short: run.numbers.protocols[name] for run in runs if name in run.numbers.protocols}
        fields = dict.fromkeys(field for definition in own.values() for field in definition)
        lines = [
            f"{field} is {', '.join(f'{definition.get(field)} in {label}' for label, definition in own.items())}"
            for field in fields
            if len({json.dumps(definition.get(field)) for definition in own.values()}) > 1
        ]
        if lines:
            differing[name] = lines
    return differing


def differing_fields(configurations: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[str]]]:
    """Scientific fields in which runs differ, with the value of each run; protocols are not compared.

    Args:
        configurations: the scientific configuration of each run.
    """
    flat = [dict(_flat(one)) for one in configurations]
    fields = dict.fromkeys(field for one in flat for field in one)
    rows = [(field, [one.get(field, "–") for one in flat]) for field in fields]
    return [(field, values) for field, values in rows if len(set(values)) > 1]


def _flat(science: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    for name, value in science.items():
        if not path and name == "protocols":
            continue
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{path}{name}.")
        else:
            yield f"{path}{name}", value if isinstance(value, str) else json.dumps(value)


def _of_subjects(names: Sequence[str]) -> str:
    return f"subject{'' if len(names) == 1 else 's'} {', '.join(names)}"
