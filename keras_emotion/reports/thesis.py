"""Text of a finished run for a thesis or a paper: methods paragraph and LaTeX table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from keras_emotion.experiment.record_tables import FITTED_WINDOWS
from keras_emotion.experiment.records import RunFolder
from keras_emotion.reports.numbers import ENOUGH_SUBJECTS, N_PERMUTATIONS, RunNumbers, read_numbers
from keras_emotion.reports.tables import MainTable, join

_PARTS = {
    "windows": "windows",
    "overlapping_windows": "windows (overlapping windows stay in one fold)",
    "trials": "trials",
    "sessions": "sessions",
    "stimuli": "stimuli",
    "subjects": "subjects",
    "subjects_and_stimuli": "subjects and stimuli",
    "predefined": "parts of the predefined split of the dataset",
}
_SCOPES = {
    "within_subject": "for each subject alone",
    "within_session": "for each session of a subject alone",
    "across_subjects": "for all subjects together",
}
_CHOSEN_BY = {
    "inner_validation": "on a validation set taken from the training data",
    "test_fold": "on the test fold itself",
    "last_epoch": "in advance: the weights of the last epoch were kept",
}
_FITTED_ON = {"training_rows": "the training rows", "all_rows": "all rows, including those of the test set"}
_PACKAGES = ("keras_emotion", "tensorflow", "keras", "jax", "mne", "scikit-learn", "scipy", "numpy")
_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "–": "--",
    "<": r"$<$",
    ">": r"$>$",
    "⚑": "",
    "×": r"$\times$",
    **{mark: f"$^{number}$" for number, mark in enumerate("⁰¹²³⁴⁵⁶⁷⁸⁹")},
}


def methods_text(folder: RunFolder, differences: Sequence[str] = (), reference: str = "the paper") -> str:
    """Write the methods paragraph of a run: data, features, protocol, training, statistics, versions.

    It is generated from the records of the run. Reasons, such as why a protocol was chosen, are left to the author.

    Args:
        folder: a finished run.
        differences: differences of the run from `reference`, one line each.
        reference: what `differences` compares with.

    Raises:
        InputError: the run is not finished, or its files are damaged.
    """
    numbers = read_numbers(folder)
    science = folder.config["science"]
    parts = [
        _of_data(folder, numbers, science),
        _of_model(folder, science),
        " ".join(_of_protocol(numbers, name) for name in numbers.protocols),
        _of_statistics(numbers),
        _of_versions(folder, science),
    ]
    if differences:
        parts.append(f"The run differs from {reference} in the following: {'; '.join(differences)}.")
    if numbers.mark:
        parts.insert(0, f"[{numbers.mark[0].upper()}{numbers.mark[1:]}.]")
    return "\n\n".join(parts)


def latex_table(table: MainTable, label: str = "tab:results") -> str:
    """Write a table for LaTeX (package booktabs), with its notes below it.

    Args:
        table: the table.
        label: its label.
    """
    title = f"{table.title} ({table.mark})" if table.mark else table.title
    lines = [
        r"% needs \usepackage{booktabs}",
        r"\begin{table}",
        rf"  \caption{{{_escaped(title)}}}",
        rf"  \label{{{label}}}",
        rf"  \begin{{tabular}}{{l{'r' * len(table.columns)}}}",
        r"    \toprule",
        f"    {' & '.join(['', *map(_escaped, table.columns)])} \\\\",
    ]
    for section in table.sections:
        lines += [
            r"    \midrule",
            rf"    \multicolumn{{{len(table.columns) + 1}}}{{l}}{{{_escaped(section.heading)}}} \\",
        ]
        for row in section.rows:
            label_of_row = rf"\quad {_escaped(row.label)}" if row.is_reference else _escaped(row.label)
            lines.append(
                f"    {' & '.join([label_of_row, *(_cell(cell.value, cell.detail) for cell in row.cells)])} \\\\"
            )
    lines += [r"    \bottomrule", r"  \end{tabular}"]
    lines += [rf"  \par\footnotesize {_escaped(note)}" for note in table.notes]
    return "\n".join([*lines, r"\end{table}"])


def _cell(value: str, detail: str) -> str:
    # A detail is an interval, or the values of each subject.
    return _escaped(value) if not detail else _escaped(f"{value} ({' '.join(detail.split())})")


def _escaped(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)


def _of_data(folder: RunFolder, numbers: RunNumbers, science: Mapping[str, Any]) -> str:
    counts = []
    for target, subjects in numbers.evaluated.items():
        n_trials = int(numbers.by_subject(numbers.protocols_of(target)[0], target, "n_trials").sum())
        counts.append(f"{target} in {len(subjects)} subjects ({n_trials:,} trials)")
    text = f"On {numbers.title_of_dataset}, {join(counts)} {'was' if len(counts) == 1 else 'were'} classified."
    for target in numbers.evaluated:
        text += f" Classes of {target}: {join(list(numbers.class_names[target]))}{_rule(science, target, numbers)}."
    if options := folder.data.get("options"):
        text += f" Signals were read with {', '.join(_told(options))}."
    windows = dict(_found(science["system"], ("window_seconds", "hop_seconds", "sample_seconds", "steps")))
    if "sample_seconds" in windows or "window_seconds" in windows:
        length = windows.get("sample_seconds") or windows["window_seconds"]
        hop = windows.get("hop_seconds")
        text += f" A window lasted {_shown(length)} s{f', the next began {_shown(hop)} s later' if hop else ''}"
        text += f", in {windows['steps']} steps." if windows.get("steps") else "."
    for part in ("middle", "last"):
        if seconds := science.get(f"{part}_seconds"):
            text += f" Only the {part} {_shown(seconds)} s of each trial were used."
    n_windows = folder.summary.get("n_windows")
    if n_windows:
        text += f" There were {sum(n_windows.values()):,} windows."
    n_dropped = sum(sum(reasons.values()) for reasons in numbers.dropped_windows.values())
    if n_dropped:
        reasons = sorted({reason for own in numbers.dropped_windows.values() for reason in own})
        text += f" {n_dropped:,} further windows were left out ({'; '.join(reasons)})."
    n_left_out = len({(one.target, one.subject) for one in numbers.not_evaluated})
    if n_left_out:
        text += f" Subjects that could not be evaluated for a target were left out ({n_left_out} in total)."
    return text


def _rule(science: Mapping[str, Any], target: str, numbers: RunNumbers) -> str:
    rule = science["label_rule"]
    if target in numbers.labels_of_stimuli:
        return ", a property of the stimulus"
    return {
        "greater_than": f" (ratings above {_shown(rule['threshold'])}, or not)",
        "greater_equal": f" (ratings of {_shown(rule['threshold'])} or more, or less)",
    }.get(rule["kind"], "")


def _of_model(folder: RunFolder, science: Mapping[str, Any]) -> str:
    system, training = science["system"], science["training"]
    fields = _told({name: value for name, value in system.items() if _is_scalar(value)})
    text = f"The model was {system['kind']} of keras_emotion"
    text += f" ({', '.join(fields)})." if fields else "."
    for name, part in system.items():
        if isinstance(part, Mapping):
            text += f" {name.replace('_', ' ').capitalize()}: {', '.join(_told(part))}."
    if (folder.results()["metric"] == FITTED_WINDOWS).any():
        return f"{text} It has no epochs: it was fitted once for each fold."
    return (
        f"{text} It was trained by Adam with a learning rate of {_shown(training['learning_rate'])}, in batches of "
        f"{training['batch_size']}, for at most {training['epochs']} epochs, in {training['precision']}."
    )


def _told(fields: Mapping[str, Any]) -> list[str]:
    """Fields in words; unset ones are left out."""
    left_out = ("kind", "code_version")
    return [
        f"{name.replace('_', ' ')} {_shown(value)}"
        for name, value in fields.items()
        if name not in left_out and value not in (None, [], "")
    ]


def _of_protocol(numbers: RunNumbers, name: str) -> str:
    protocol = numbers.protocols[name]
    n_folds, n_repetitions = numbers.n_folds.get(name, 0), numbers.n_repetitions.get(name, 0)
    repeated = f", repeated {n_repetitions} times with other folds" if n_repetitions > 1 else ""
    text = (
        f"Under {name}, there were {n_folds} folds {_SCOPES[protocol['scope']]}{repeated}; training, validation and "
        f"test sets shared no {_PARTS[protocol['disjoint']]}, scaling and selection were fitted on "
        f"{_FITTED_ON[protocol['fitted_on']]}, and the epoch was chosen {_CHOSEN_BY[protocol['epoch_chosen_by']]}."
    )
    if protocol["flags"]:
        text += f" This protocol is not free of leakage or assumptions: {'; '.join(protocol['flags'])}."
    return text


def _of_statistics(numbers: RunNumbers) -> str:
    text = (
        f"Predictions were scored by {numbers.scored_unit}, the folds of a repetition pooled; scores are means and "
        "standard deviations over subjects"
    )
    if any(len(subjects) >= ENOUGH_SUBJECTS for subjects in numbers.evaluated.values()):
        text += ", with 95 % bootstrap intervals over subjects"
    text += (
        f". Chance was estimated by exchanging labels between the stimuli of a subject ({N_PERMUTATIONS} times, or "
        "all distinct labelings where there are fewer than 200), all labels of a stimulus together; protocols were "
        "compared by paired t-tests over subjects."
    )
    if numbers.has_stimuli:
        text += (
            " As a baseline without any signal, each test row was predicted as the most frequent label of its "
            "stimulus in the training set."
        )
    return text


def _of_versions(folder: RunFolder, science: Mapping[str, Any]) -> str:
    environment = folder.environment
    packages = environment.get("packages", {})
    named = [f"{name} {packages[name]}" for name in _PACKAGES if name in packages]
    versions = join(named) if named else "versions that were not recorded"
    machine = ", ".join(
        environment.get("gpu") or [f"{environment.get('cpu', 'CPU')}, {environment.get('n_cores')} cores"]
    )
    return (
        f"Computed with {versions} (Keras backend {environment.get('backend')}) under Python "
        f"{environment.get('python')} on {machine}; seed {science['seed']}, configuration {folder.config['identity']}."
    )


def _found(value: Any, names: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """Values of the given names in nested mappings, innermost and last ones first."""
    if isinstance(value, Mapping):
        for inner in reversed(list(value.values())):
            yield from _found(inner, names)
        yield from ((name, value[name]) for name in names if value.get(name) is not None)


def _is_scalar(value: Any) -> bool:
    return not isinstance(value, (Mapping, list))


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"({', '.join(f'{name} {_shown(one)}' for name, one in value.items())})"
    if isinstance(value, list):
        return (
            " to ".join(map(_shown, value))
            if len(value) == 2 and all(map(_is_scalar, value))
            else (", ".join(map(_shown, value)) or "none")
        )
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float):
        return f"{value:g}"
    return "none" if value is None else str(value)
