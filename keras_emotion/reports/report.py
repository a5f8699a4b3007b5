"""Report of a run: table for the terminal, self-contained HTML page, figures."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
import rich.console

from keras_emotion.experiment.records import RunFolder
from keras_emotion.files import remove_leftovers
from keras_emotion.reports.figures import Picture, described_pictures, draw, page_picture
from keras_emotion.reports.numbers import RunNumbers, read_numbers
from keras_emotion.reports.references import references_of
from keras_emotion.reports.summary_text import describe_run
from keras_emotion.reports.tables import (
    MainTable,
    difference_note,
    gap_sentence,
    main_table,
    shown_score,
)
from keras_emotion.reports.terminal import (
    accuracies_in_words,
    count_of_differences,
    print_page,
    print_table,
    print_texts,
)
from keras_emotion.schema import InputError
from keras_emotion.visible_text import visible_console

_SUBJECT_METRICS = {
    "accuracy": "accuracy",
    "majority_accuracy": "majority",
    "balanced_accuracy": "balanced",
    "f1": "F1",
    "cohen_kappa": "kappa",
}
"""Columns of each protocol in the table of subjects, by metric."""

_PROTOCOL_FIELDS = {
    "disjoint": "not shared by training and test sets",
    "scope": "trained",
    "n_splits": "folds",
    "n_repetitions": "repetitions",
    "fitted_on": "scaling and selection fitted on",
    "epoch_chosen_by": "epoch chosen by",
    "scored_unit": "scored",
}


@dataclasses.dataclass(frozen=True, eq=False)
class Report:
    """Report of a run, written to files, that can be printed.

    Args:
        path: the page, `report.html`.
        figures: the PNG files.
        pictures: the figures with titles and captions, in the same order.
        sentence: summary of the accuracies under the protocols.
        table: the main table.
        numbers: all scores, by subject and over subjects.
        differences: how the run differs from `reference`, one line each.
        reference: what `differences` compares with.
    """

    path: Path
    figures: tuple[Path, ...]
    pictures: tuple[Picture, ...]
    sentence: str
    table: MainTable
    numbers: RunNumbers
    differences: tuple[str, ...] = ()
    reference: str = "the paper"

    def print(self, console: rich.console.Console | None = None, *, full: bool = False) -> None:
        """Print the table, its summary and the path of the page.

        Args:
            console: the console; standard output by default.
            full: print all scores and notes; by default the accuracies and their baselines.
        """
        console = console or visible_console()
        counted = count_of_differences(self.differences, self.reference)
        print_table(self.table, console, self.numbers.scored_unit, full=full, counted=counted)
        print_texts([self.sentence], console)
        print_page(self.path, console, full=full)


def build_report(
    folder: RunFolder,
    paper: pd.DataFrame | None = None,
    reductions: Sequence[str] = (),
    output: Path | None = None,
    reference: str = "the paper",
    references: pd.DataFrame | None = None,
    *,
    with_drawn: bool = True,
) -> Report:
    """Write `report.html` and `figures/*.png` into the folder of a finished run.

    Every score is computed from `predictions.csv`; the majority classes of the training sets and the quantities that
    networks and features recorded come from `results.csv`. Figures of the paper that were drawn into the run folder
    are shown too. The same folder, paper and reductions give the same bytes.

    Args:
        folder: the run.
        paper: printed numbers, from `paper_numbers`; those of other datasets are not used. The first row of a target
            and metric is used: filter by `variant` for an ablation.
        reductions: how the run differs from `reference`, one line each.
        output: another folder to write to; created if missing.
        reference: what `reductions` compares with.
        references: published accuracies, from `read_references`; only those of the same dataset, target, number of
            classes and kind of protocol are shown.
        with_drawn: whether pictures that were drawn into the run folder are shown.

    Raises:
        InputError: the run is not finished, its tables are damaged, or the folder cannot be written.
    """
    numbers = read_numbers(folder)
    published = references_of(numbers, references)
    table, sentence = main_table(numbers, paper, reductions, reference, published), gap_sentence(numbers)
    pictures = tuple(draw(numbers, paper, published))
    overview = dataclasses.replace(pictures[0], content=accuracies_in_words(table, table.columns))
    pictures = (overview, *pictures[1:])
    page = (
        page_templates()
        .get_template("report.html")
        .render(
            title=table.title,
            table=table,
            done=describe_run(folder, numbers, reductions, reference),
            sentence=sentence,
            mark=numbers.mark,
            subject_tables=list(_subject_tables(numbers)),
            recorded=_recorded_table(numbers),
            pictures=[*map(page_picture, pictures), *(described_pictures(folder.path) if with_drawn else ())],
            protocols=[_definition(numbers, name) for name in numbers.protocols],
            reductions=list(reductions),
            listed_below=[difference_note(reference, line) for line in reductions],
            reference=reference,
            identity=folder.config["identity"],
            configuration=json.dumps(folder.config["science"], indent=2, ensure_ascii=False),
            environment=_facts({name: value for name, value in folder.environment.items() if name != "command"}),
            command=folder.environment.get("command", ""),
            data=_facts(folder.data),
        )
    )
    written = folder if output is None else output_folder(output)
    names = [f"figures/{one.name}.png" for one in pictures]
    for name, picture in zip(names, pictures, strict=True):
        written.write_bytes(name, picture.png)
    written.write_bytes("report.html", page.encode())
    paths = tuple(written.path / name for name in names)
    return Report(written.path / "report.html", paths, pictures, sentence, table, numbers, tuple(reductions), reference)


def output_folder(path: Path) -> RunFolder:
    """Create a folder to write to, if it is missing.

    Raises:
        InputError: it cannot be created.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be created: {error.strerror}") from error
    remove_leftovers(path, path / "figures")
    return RunFolder(path)


def page_templates() -> jinja2.Environment:
    """Templates of the pages, which load no resources and run a single script, the one that sorts tables."""
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        # Names of targets, classes and subjects, reasons and commands come from users: escape them.
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    text = Path(__file__).with_name("script.html").read_text(encoding="utf-8")
    script = text.partition("<script>")[2].partition("</script>")[0]
    # A browser runs only the script with this hash.
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    templates.globals["script_hash"] = f"sha256-{digest}"
    return templates


def _subject_tables(numbers: RunNumbers) -> Iterator[dict[str, Any]]:
    for target, subjects in numbers.evaluated.items():
        protocols = numbers.protocols_of(target)
        values = [numbers.by_subject(name, target, metric) for name in protocols for metric in _SUBJECT_METRICS]
        counts = numbers.by_subject(protocols[0], target, "n_trials")
        units = [numbers.by_subject(name, target, "n_units") for name in protocols]
        rows = []
        for subject in subjects:
            cells = [
                shown_score(metric, column[subject])
                for metric, column in zip(list(_SUBJECT_METRICS) * len(protocols), values, strict=True)
            ]
            # If trials are scored, the two numbers are the same.
            own_counts = [f"{counts[subject]:.0f}", *([f"{units[0][subject]:.0f}"] * (numbers.scored_unit != "trial"))]
            rows.append((subject, own_counts, cells))
        yield {
            "target": target,
            "unit": numbers.scored_unit,
            "n_counts": 2 if numbers.scored_unit == "trial" else 3,
            "protocols": protocols,
            "metrics": list(_SUBJECT_METRICS.values()),
            "rows": rows,
        }


def _recorded_table(numbers: RunNumbers) -> dict[str, Any]:
    """Columns by target and protocol; name and cells of each quantity, mean ± standard deviation over subjects."""
    columns = [(target, name) for target in numbers.evaluated for name in numbers.protocols_of(target)]
    over_subjects = numbers.recorded.groupby(["quantity", "target", "protocol"])["value"].agg(["mean", "std"])
    rows = []
    for quantity in dict.fromkeys(numbers.recorded["quantity"]):
        found = over_subjects.loc[quantity]
        cells = []
        for column in columns:
            if column not in found.index:
                cells.append("")
                continue
            mean, deviation = found.loc[column]
            # One subject has no standard deviation.
            cells.append(f"{mean:.3g}" if math.isnan(deviation) else f"{mean:.3g} ± {deviation:.2g}")
        rows.append((quantity.replace("_", " "), cells))
    return {"columns": columns, "rows": rows}


def _definition(numbers: RunNumbers, name: str) -> dict[str, Any]:
    protocol = numbers.protocols[name]

    def shown(field: str) -> str:
        value = protocol[field]
        if field == "n_splits":
            defined = "one for each subject" if value is None else f"at most {value}"
            return f"{defined}; here {numbers.n_folds.get(name, 0)}"
        if field == "n_repetitions":
            return f"{value}; here {numbers.n_repetitions.get(name, 0)}"
        return str(value).replace("_", " ")

    fields = {label: shown(field) for field, label in _PROTOCOL_FIELDS.items()}
    return {"name": name, "fields": fields, "flags": protocol["flags"]}


def _facts(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Name and value of each entry as text, with one line for each entry of a nested mapping."""

    def shown(value: Any) -> str:
        if isinstance(value, Mapping):
            return "\n".join(f"{name}: {one}" for name, one in value.items())
        if isinstance(value, list):
            return ", ".join(map(str, value)) or "none"
        return "none" if value is None else str(value)

    return [(name.replace("_", " "), shown(value)) for name, value in record.items()]
