"""Tables of a report as plain rows, for the terminal and the page."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from keras_emotion.evaluation import POOL, PROTOCOLS, paired_subject_test
from keras_emotion.evaluation.power import detectable_difference
from keras_emotion.experiment.record_tables import dropped_lines
from keras_emotion.reports.numbers import ENOUGH_SUBJECTS, N_PERMUTATIONS, NotEvaluated, RunNumbers
from keras_emotion.reports.paper import numbers_of_classes
from keras_emotion.reports.references import PUBLISHED, reference_notes, references_of

_STIMULUS_PROTOCOLS = tuple(name for name, protocol in PROTOCOLS.items() if "stimuli" in protocol.disjoint)

K = TypeVar("K")

_MANY = 3
"""Most subjects whose reasons are listed one by one; for more, the first reason is given as an example."""

_SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclasses.dataclass(frozen=True)
class Cell:
    """Number, with its uncertainty below it (an interval, or the value of each subject)."""

    value: str
    detail: str = ""


EMPTY = Cell("–")


@dataclasses.dataclass(frozen=True)
class Row:
    """Line of the main table.

    Args:
        label: name of the score or baseline.
        cells: one for each of `MainTable.columns`.
        is_reference: whether it is a baseline, and not a score.
    """

    label: str
    cells: tuple[Cell, ...]
    is_reference: bool = False


@dataclasses.dataclass(frozen=True)
class Section:
    """Lines of one target."""

    target: str
    heading: str
    rows: tuple[Row, ...]


@dataclasses.dataclass(frozen=True)
class MainTable:
    """Scores of the paper and of each protocol side by side.

    Args:
        title: names of dataset and reproduction.
        mark: warning of synthetic data; empty for real data.
        columns: headings: the paper if it prints numbers, then the protocols with the numbers of their flags.
        sections: one for each target.
        notes: all notes, flags first.
        essential: the notes that affect the validity of the numbers: flags, properties of the data, missing subjects
            and windows. They are always shown; the others are folded on the page and printed by `--full`.
    """

    title: str
    mark: str
    columns: tuple[str, ...]
    sections: tuple[Section, ...]
    notes: tuple[str, ...]
    essential: tuple[str, ...] = ()

    @property
    def folded(self) -> tuple[str, ...]:
        """The notes that are not essential."""
        return tuple(note for note in self.notes if note not in self.essential)


def main_table(
    numbers: RunNumbers,
    paper: pd.DataFrame | None,
    reductions: Sequence[str],
    reference: str = "the paper",
    published: pd.DataFrame | None = None,
) -> MainTable:
    """Build the main table of a run.

    Args:
        numbers: scores of the run.
        paper: rows of `paper_numbers`; those of other datasets, targets and numbers of classes are not used. Of
            several rows with the same target and metric, the first is used.
        reductions: how the run differs from `reference`, one line each.
        reference: what `reductions` compares with.
        published: published accuracies, rows of `references_of`; by default none.
    """
    printed = printed_numbers(numbers, paper)
    published = references_of(numbers, None) if published is None else published
    marks, flag_notes = numbered_flags(numbers.protocols)
    headings = [name + marks[name] for name in numbers.protocols]
    columns = [(numbers, name) for name in numbers.protocols]
    sections = tuple(
        with_references(target_section(columns, target, printed), numbers, published, bool(printed))
        for target in numbers.evaluated
    )
    notes = [*flag_notes, *feature_notes(numbers)]
    missing, of_stimuli = list(missing_notes(numbers)), list(stimulus_notes(numbers))
    essential = (*notes, *of_stimuli, *missing)
    notes += [*reading_notes(numbers.scored_unit, numbers.evaluated, numbers.has_stimuli)]
    notes += rule_notes(numbers)
    notes += of_stimuli
    notes += reference_notes(published, numbers.mark)
    if printed:
        sources = dict.fromkeys(f"table {row.table}, {row.variant}" for row in printed.values())
        notes.append(f"paper: {'; '.join(sources)}, as printed; ± is over subjects")
        remarks: dict[str, list[str]] = {row.note: [] for row in printed.values() if row.note}
        for row in printed.values():
            remarks.get(row.note, []).append(f"{row.metric.replace('f1', 'F1')} of {row.target}")
        notes += [f"paper, {join(places)}: {remark}" for remark, places in remarks.items()]
    notes += [difference_note(reference, line) for line in reductions]
    notes += missing
    return MainTable(
        title=f"{numbers.title_of_dataset}, {numbers.name}",
        mark=numbers.mark,
        columns=(*(["paper"] if printed else []), *headings),
        sections=sections,
        notes=tuple(notes),
        essential=essential,
    )


def difference_note(reference: str, line: str) -> str:
    """Note on a difference of a run from its reference."""
    return f"differs from {reference}: {line}"


def gap_sentence(numbers: RunNumbers) -> str:
    """Sentence on the accuracies of a run under a flawed and a leakage-free protocol."""
    flawed = [name for name, protocol in numbers.protocols.items() if protocol["flags"]]
    clean = [name for name, protocol in numbers.protocols.items() if not protocol["flags"]]
    # Subject-independent protocols are harder: only protocols of the same scope differ in their flaws alone.
    pairs = [
        (first, second)
        for first in flawed
        for second in clean
        if numbers.protocols[first]["scope"] == numbers.protocols[second]["scope"]
        and any({first, second} <= set(numbers.protocols_of(target)) for target in numbers.evaluated)
    ]
    mark = f" ({numbers.mark})" if numbers.mark else ""
    if not pairs:
        if not clean:
            return f"No protocol of this run separates training and test sets: {_flags(numbers, flawed[0])}{mark}."
        levels = join(_level(numbers, clean[0], target) for target in numbers.evaluated)
        return f"Under {clean[0]}, {levels}{mark}."
    first, second = pairs[0]
    changes, lost = [], []
    for target in numbers.evaluated:
        if not {first, second} <= set(numbers.protocols_of(target)):
            continue
        before, after = (numbers.by_subject(name, target, "accuracy") for name in (first, second))
        p_value = paired_subject_test(before, after).p_value if len(after) > 1 else np.nan
        tested = "" if np.isnan(p_value) else f", paired t-test {shown_p_value(p_value)}"
        points = detectable_difference(after - before)
        if p_value >= 0.05 and not np.isnan(points):
            tested += f", 80 % power for {shown_points(points)}"
        changes.append(
            f"from {percent(before.mean())} to {percent(after.mean())} % for {target} "
            f"(lower in {int((after < before).sum())} of {count_of_subjects(len(after))}{tested})"
        )
        if after.mean() < before.mean() and p_value < 0.05:
            lost.append(target)
    meaning = (
        f"the difference in {join(lost)} comes from the protocol ({_flags(numbers, first)}), "
        "not from emotion recognised"
        if lost
        else "the difference is not significant for these subjects"
    )
    levels = join(_level(numbers, second, target) for target in numbers.evaluated)
    return f"From {first} to {second}, accuracy goes {join(changes)}: {meaning}. Under {second}, {levels}{mark}."


def shown_score(metric: str, value: float) -> str:
    """Format a share in percent with one digit, kappa with two digits, and undefined values as a dash."""
    if np.isnan(value):
        return EMPTY.value
    return f"{value:.2f}" if metric == "cohen_kappa" else percent(value)


def shown_p_value(p_value: float) -> str:
    """Format a p-value with three digits: `p = 0.012`, `p < 0.001`; `no p` for NaN."""
    if np.isnan(p_value):
        return "no p"
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.3f}"


def percent(value: float) -> str:
    """Format a share in percent with one digit."""
    return f"{100 * value:.1f}"


def shown_points(difference: float) -> str:
    """Format a detectable difference of shares; with two or three subjects it can be larger than any that is possible.

    Example:
        >>> shown_points(0.125), shown_points(1.838)
        ('12.5 points', 'more than 100 points')
    """
    return f"{percent(difference)} points" if difference <= 1 else "more than 100 points"


def numbered_flags(protocols: Mapping[K, Mapping[str, Any]]) -> tuple[dict[K, str], list[str]]:
    """Number the flags of protocols: superscripts for the name of each protocol, and the notes that explain them.

    Args:
        protocols: definitions of the protocols, by any key.
    """
    flags = list(dict.fromkeys(flag for protocol in protocols.values() for flag in protocol["flags"]))
    numbers = {flag: str(place).translate(_SUPERSCRIPTS) for place, flag in enumerate(flags, start=1)}
    marks = {key: ",".join(numbers[flag] for flag in protocol["flags"]) for key, protocol in protocols.items()}
    return marks, [f"{number} {flag}" for flag, number in numbers.items()]


def target_section(
    columns: Sequence[tuple[RunNumbers, str]], target: str, printed: Mapping[tuple[str, str], pd.Series]
) -> Section:
    """Build the lines of one target.

    Args:
        columns: run and name of the protocol of each column; the runs have the same subjects of the target.
        target: the target.
        printed: rows of the paper by target and metric; if there are any, the first column shows them.
    """
    one = next(numbers for numbers, _ in columns if target in numbers.evaluated)
    subjects, names = one.evaluated[target], one.class_names[target]
    is_binary = len(names) == 2
    positive = f" of {names[1]!r}" if is_binary else ", mean over classes"
    has_paper = bool(printed)

    def paper(metric: str) -> list[Cell]:
        if not has_paper:
            return []
        row = printed.get((target, metric))
        if row is None:
            return [EMPTY]
        deviation = "" if np.isnan(row.standard_deviation) else f" ± {row.standard_deviation:.2f}"
        return [Cell(f"{row.value:.2f}{deviation}")]

    def found(metric: str) -> list[pd.Series | None]:
        return [numbers.overall(protocol, target, metric) for numbers, protocol in columns]

    def score(metric: str, label: str) -> Row:
        cells = [_score_cell(numbers, protocol, target, metric) for numbers, protocol in columns]
        return Row(label, (*paper(metric), *cells))

    def reference(metric: str, label: str) -> Row:
        cells = [EMPTY if row is None else Cell(percent(row["mean"])) for row in found(metric)]
        return Row(label, (*([Cell("")] if has_paper else []), *cells), is_reference=True)

    chance = [
        EMPTY
        if row is None
        else Cell(f"{percent(row['chance_low'])} – {percent(row['chance_high'])}", _chance_p_value(row))
        for row in found("accuracy")
    ]
    detectable = [EMPTY if row is None else _detectable_cell(row) for row in found("accuracy")]
    f1_of_classes = [reference("always_high_f1", f"always {names[1]!r}"), score("f1_macro", "F1, mean over classes")]
    has_areas = any(row is not None for row in found("roc_auc"))
    rows = [
        score("accuracy", "accuracy"),
        reference("majority_accuracy", "majority class of training"),
        *(
            reference(metric, label)
            for metric, label in (
                ("knows_stimulus_accuracy", "knows the stimulus"),
                ("knows_trial_accuracy", "knows the trial"),
            )
            if any(_is_told(metric, numbers, protocol, target) for numbers, protocol in columns)
        ),
        reference("best_constant_accuracy", "best constant on test"),
        Row("chance, 95 % band", (*([Cell("")] if has_paper else []), *chance), is_reference=True),
        Row("detectable difference", (*([Cell("")] if has_paper else []), *detectable), is_reference=True),
        score("balanced_accuracy", "balanced accuracy"),
        score("f1", f"F1{positive}"),
        # For several classes, F1 is already the mean over classes.
        *(f1_of_classes if is_binary else []),
        score("cohen_kappa", "Cohen's kappa"),
        *([score("roc_auc", "area under ROC")] if has_areas else []),
        score("precision", f"precision{positive}"),
        score("recall", f"recall{positive}"),
    ]
    return Section(target, f"{target}, {len(names)} classes, {count_of_subjects(len(subjects))}", tuple(rows))


def with_references(section: Section, numbers: RunNumbers, published: pd.DataFrame, has_paper: bool) -> Section:
    """Add the range of published accuracies to a section, below the baselines of the accuracy.

    Args:
        section: the lines of a target.
        numbers: scores of the run.
        published: rows of `references_of`.
        has_paper: whether the first column is the paper's.
    """
    own = published[published["target"] == section.target]
    if own.empty:
        return section
    cells = [Cell("")] if has_paper else []
    for name in numbers.protocols:
        values = own.loc[own["protocol"] == name, "value"]
        shown = " – ".join(f"{value:.1f}" for value in dict.fromkeys((values.min(), values.max())))
        count = f"{len(values)} result{'' if len(values) == 1 else 's'}"
        cells.append(Cell(shown, count) if len(values) else EMPTY)
    place = next(number for number, row in enumerate(section.rows) if not row.is_reference and number)
    line = Row(PUBLISHED, tuple(cells), is_reference=True)
    return dataclasses.replace(section, rows=(*section.rows[:place], line, *section.rows[place:]))


def _is_told(metric: str, numbers: RunNumbers, protocol: str, target: str) -> bool:
    """Whether a baseline is shown: that of the trial only if training and test sets share trials."""
    row = numbers.overall(protocol, target, metric)
    if row is None or metric != "knows_trial_accuracy":
        return row is not None
    return row["mean"] > numbers.row(protocol, target, "knows_stimulus_accuracy")["mean"]


def _chance_p_value(row: pd.Series) -> str:
    if np.isnan(row["chance_p_value"]):
        return f"no p: {row['chance_n_labelings']:.0f} labelings"
    return f"p = {row['chance_p_value']:.3f}"


def _detectable_cell(row: pd.Series) -> Cell:
    """Detectable difference over subjects, and below it over their trials."""
    shown = [
        (row["detectable_over_subjects"], "{}"),
        (row["detectable_over_trials"], "{} over trials"),
    ]
    value, detail = ("" if np.isnan(points) else text.format(shown_points(points)) for points, text in shown)
    return Cell(value or EMPTY.value, detail)


def _score_cell(numbers: RunNumbers, protocol: str, target: str, metric: str) -> Cell:
    row = numbers.overall(protocol, target, metric)
    if row is None:
        return EMPTY

    def shown(name: str) -> str:
        return shown_score(metric, row[name])

    if row["n_subjects"] < ENOUGH_SUBJECTS:
        values = numbers.by_subject(protocol, target, metric)
        return Cell(shown("mean"), " ".join(shown_score(metric, value) for value in values))
    return Cell(
        f"{shown('mean')} ± {shown('standard_deviation')}", f"[{shown('confidence_low')}, {shown('confidence_high')}]"
    )


def printed_numbers(numbers: RunNumbers, paper: pd.DataFrame | None) -> dict[tuple[str, str], pd.Series]:
    """Row of the paper by `(target, metric)`.

    If the first table prints no standard deviation, that of a later table with the same mean is used.
    """
    if paper is None:
        return {}
    n_classes = {target: len(numbers.class_names[target]) for target in numbers.evaluated}
    rows = numbers_of_classes(paper[paper["dataset"] == numbers.dataset], n_classes)
    found = {}
    for place, group in rows.groupby(["target", "metric"]):
        first = group.iloc[0].copy()
        same = group.loc[group["value"] == first["value"], "standard_deviation"].dropna()
        if len(same):
            first["standard_deviation"] = same.iloc[0]
        found[place] = first
    return found


def reading_notes(scored_unit: str, evaluated: Mapping[str, Sequence[str]], has_stimuli: bool = False) -> Iterator[str]:
    """Notes on how to read the numbers.

    Args:
        scored_unit: the scored unit, window or trial.
        evaluated: subjects by target.
        has_stimuli: whether the table has the baseline of the stimulus.
    """
    yield f"in percent, except kappa; scored by {scored_unit}, the folds of a repetition pooled"
    few = {target: names for target, names in evaluated.items() if len(names) < ENOUGH_SUBJECTS}
    if len(few) < len(evaluated):
        yield "mean ± standard deviation over subjects; in brackets a 95 % bootstrap interval over subjects"
    for target, names in few.items():
        yield (
            f"{target}: {count_of_subjects(len(names))}, too few for an interval over subjects (expected "
            f"{ENOUGH_SUBJECTS} or more); below each mean the values of {_subject_names(names)}"
        )
    if has_stimuli:
        yield (
            "knows the stimulus: each test row predicted as the most frequent label of its stimulus in the training "
            "set (for a new stimulus: of all stimuli), without any signal; knows the trial: the same, and always right "
            "if the training set holds other windows of the trial"
        )
    yield (
        "majority class of training: the test set of each fold predicted as the most frequent class of its training "
        "set; best constant on test: an upper bound, chosen with the test labels"
    )
    yield (
        f"chance: label permutation of the test set, {N_PERMUTATIONS} times between the stimuli of a subject (the same "
        "for all subjects if one model is trained on all of them), with all labels of a stimulus together; "
        f"p = (1 + permutations that reach the accuracy) / {N_PERMUTATIONS + 1}; fewer than 200 distinct labelings are "
        "all enumerated, fewer than 20 give no p. One run in twenty at chance falls outside the band. Models trained "
        "on permuted labels score higher under a leaking protocol: see the leak audit"
    )
    yield (
        "detectable difference: true difference from chance that is detected with a power of 80 % at alpha 0.05, by a "
        "t-test over subjects (from their spread), and over the trials of these subjects (from the width of the chance "
        "band); an accuracy at chance does not exclude a smaller difference (keras-emotion plan)"
    )


def feature_notes(numbers: RunNumbers) -> Iterator[str]:
    """Notes on limitations of the features, which affect all protocols."""
    for flag in numbers.feature_flags:
        yield f"⚑ features: {flag}"


def rule_notes(numbers: RunNumbers) -> Iterator[str]:
    """Notes on the label rules of ratings; none for targets that are classes in the data."""
    for target, rule in numbers.label_rules.items():
        if not rule.startswith("classes("):
            yield f"{target}: {join(list(numbers.class_names[target]))} by the label rule {rule} of the ratings"


def stimulus_notes(numbers: RunNumbers) -> Iterator[str]:
    """Notes on targets that the stimulus determines."""
    kept = numbers.keeping_stimuli_apart
    apart = f"in this run {join(kept)}" if kept else "none in this run"
    for target in numbers.labels_of_stimuli:
        yield (
            f"{target}: the label is a property of the stimulus, so that the stimulus determines the label; only "
            f"stimulus-disjoint protocols test emotion recognition: {apart} ({', '.join(_STIMULUS_PROTOCOLS)} always "
            "are)"
        )


def missing_notes(numbers: RunNumbers) -> Iterator[str]:
    """Notes on missing subjects, windows, channels and records, with reasons."""
    for target in numbers.targets:
        if target not in numbers.evaluated:
            yield f"{target}: not evaluable for any subject under all protocols"
    places: dict[tuple[str, str], list[NotEvaluated]] = {}
    for one in numbers.not_evaluated:
        places.setdefault((one.target, one.protocol), []).append(one)
    for (target, protocol), group in places.items():
        first = group[0]
        if first.subject == POOL:
            yield f"not evaluable: {target}, all subjects together, {protocol}: {first.reason}"
            continue
        # For many subjects, one reason is given as an example.
        reason = f"for example {first.reason}" if len(group) > _MANY else "; ".join(one.reason for one in group)
        names = ", ".join(one.subject for one in group)
        plural = "s" if len(group) > 1 else ""
        left_out = all(one.subject not in numbers.evaluated.get(target, ()) for one in group)
        consequence = " (left out of every protocol)" if left_out else ""
        yield f"not evaluable: {target}, subject{plural} {names}, {protocol}: {reason}{consequence}"
    yield from dropped_lines(numbers.dropped_windows)
    yield from numbers.channels
    yield from numbers.record_notes


def _level(numbers: RunNumbers, protocol: str, target: str) -> str:
    row = numbers.overall(protocol, target, "accuracy")
    if row is None:
        return f"{target} is not evaluable"
    where = "within"
    if row["mean"] > row["chance_high"]:
        where = "above"
    elif row["mean"] < row["chance_low"]:
        where = "below"
    band = f"{percent(row['chance_low'])} to {percent(row['chance_high'])} %"
    level = f"{target} with {percent(row['mean'])} % lies {where} the chance band ({band})"
    return f"{level}{_shown_by_these_data(row)}" if where == "within" else level


def _shown_by_these_data(row: pd.Series) -> str:
    """The differences from chance that these data would have detected."""
    shown = [
        f"{shown_points(row[f'detectable_over_{sample}'])} over {sample}"
        for sample in ("subjects", "trials")
        if not np.isnan(row[f"detectable_over_{sample}"])
    ]
    return f"; these data detect a difference of {join(shown)} with 80 % power" if shown else ""


def _flags(numbers: RunNumbers, protocol: str) -> str:
    """Flags of a protocol, without its assumptions on the paper, which make no difference between protocols."""
    definition = numbers.protocols[protocol]
    return "; ".join(flag for flag in definition["flags"] if flag != definition.get("assumed"))


def count_of_subjects(count: int) -> str:
    """Format a number of subjects: `1 subject`, `3 subjects`."""
    return f"{count} subject{'' if count == 1 else 's'}"


def _subject_names(names: Sequence[str]) -> str:
    return f"subject {names[0]}" if len(names) == 1 else f"subjects {', '.join(names)}, in this order"


def join(parts: Iterable[str]) -> str:
    """Join words to an enumeration: `a, b and c`."""
    parts = list(parts)
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
