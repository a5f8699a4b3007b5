"""Report of a leak audit: table for the terminal, HTML page and figure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import rich.box
import rich.console
from rich.table import Table
from rich.text import Text

from keras_emotion.evaluation.leaks import KINDS, Finding
from keras_emotion.experiment.records import RunFolder
from keras_emotion.messages import dataset_title
from keras_emotion.reports.figures import Picture, draw_audit, page_picture
from keras_emotion.reports.numbers import SYNTHETIC_MARK
from keras_emotion.reports.report import page_templates
from keras_emotion.reports.tables import join, shown_points
from keras_emotion.reports.terminal import WIDTH, block_table, marked, print_texts
from keras_emotion.visible_text import visible_console

if TYPE_CHECKING:
    from keras_emotion.audit import Audit

_SCORED = (
    "real\nlabels",
    "permuted\nlabels",
    "95 % of\nthem",
    "p",
    "order\nalone",
    "knows the\nstimulus",
    "best\nconstant",
)
_HEADINGS = ("target", "protocol", "model", *_SCORED)
_BRIEF_HEADINGS = ("real\nlabels", "permuted labels,\n95 % band", "p", "order\nalone", "knows the\nstimulus")
_RESCORED = ("subjects", "units", "accuracy", "balanced", "best constant", "chance, 95 %", "p", "detectable")
_STYLES = {"leak": "bold red", "warning": "yellow", "note": "dim"}


@dataclasses.dataclass(frozen=True, eq=False)
class AuditReport:
    """Report of a leak audit, written to files, that can be printed.

    Args:
        path: the page, `audit.html`.
        audit: the audit.
        picture: null distributions; `None` without label permutations.
    """

    path: Path
    audit: Audit
    picture: Picture | None

    def print(self, console: rich.console.Console | None = None, *, full: bool = False) -> None:
        """Print the table, the findings and the sentences.

        Args:
            console: the console; standard output by default.
            full: print all columns and notes.
        """
        console = console or visible_console()
        title = marked("Leak audit", self._mark)
        if full:
            console.print(_table(title, _HEADINGS, list(_rows(self.audit.scores))), crop=False)
            print_texts(_notes(self.audit), console, style="dim")
        else:
            width = min(console.width, WIDTH)
            console.print(block_table(title, _BRIEF_HEADINGS, _blocks(self.audit.scores)), crop=False, width=width)
            print_texts([_reading(self.audit.scores)], console, style="dim")
        print_findings(self.audit.findings, console)
        print_texts(self.audit.sentences, console)
        rest = "" if full else " (all columns and notes: --full, or this page)"
        console.print(Text(f"report: {self.path}{rest}"), soft_wrap=True)

    @property
    def _mark(self) -> str:
        return SYNTHETIC_MARK if self.audit.synthetic else ""


def build_audit_report(audit: Audit) -> AuditReport:
    """Write `audit.html` and `figures/audit.png` into the folder of an audit.

    Raises:
        InputError: the folder cannot be written.
    """
    folder = RunFolder(audit.path)
    dataset = dataset_title(folder.data["dataset"])
    mark = SYNTHETIC_MARK if audit.synthetic else ""
    shuffled = audit.scores[audit.scores["n_permutations"] > 0]
    picture = draw_audit(shuffled, audit.null, dataset, mark) if len(shuffled) else None
    shown = []
    if picture:
        shown = [page_picture(picture)]
    page = (
        page_templates()
        .get_template("audit.html")
        .render(
            title=f"Leak audit: {dataset}, {folder.config['science']['audit']['name']}",
            mark=mark,
            done=_what_was_done(audit),
            sentences=audit.sentences,
            headings=_HEADINGS,
            rows=list(_rows(audit.scores)),
            notes=list(_notes(audit)),
            pictures=shown,
            findings=audit.findings,
            taxonomy=KINDS,
        )
    )
    if picture:
        folder.write_bytes(f"figures/{picture.name}.png", picture.png)
    folder.write_bytes("audit.html", page.encode())
    return AuditReport(folder.path / "audit.html", audit, picture)


def _what_was_done(audit: Audit) -> str:
    """Lead paragraph: the audited protocols and models, and the number of findings."""
    protocols = join(dict.fromkeys(audit.scores["protocol"]))
    targets = join(dict.fromkeys(audit.scores["target"]))
    models = join(dict.fromkeys(audit.scores["model"]))
    n_leaks = sum(finding.severity == "leak" for finding in audit.findings)
    return (
        f"Every fold of {protocols} was checked for leaks, and {models} trained on permuted labels of {targets}: the "
        "accuracy that is left is due to leakage or chance, not to emotion. Leaks found: "
        f"{n_leaks}; warnings and notes: {len(audit.findings) - n_leaks}."
    )


def print_findings(findings: Sequence[Finding], console: rich.console.Console) -> None:
    """Print findings, one for each line, leaks first."""
    if not findings:
        console.print("no findings", highlight=False)
    for finding in findings:
        where = ", ".join(filter(None, [finding.protocol, finding.target]))
        line = Text(f"{finding.severity}: {finding.kind}", style=_STYLES[finding.severity])
        line.append(f" ({where})" if where else "", style="")
        line.append(f": {finding.message}", style="not bold default")
        console.print(line, width=min(console.width, WIDTH))


def print_rescored(scores: pd.DataFrame, console: rich.console.Console) -> None:
    """Print the table of `keras_emotion.evaluation.leaks.rescore`."""
    headings = ("protocol", "target", "scored by", *_RESCORED)
    rows = [
        (
            str(row.protocol),
            str(row.target),
            row.unit,
            str(row.n_subjects),
            str(row.n_units),
            f"{row.accuracy:.1%}",
            f"{row.balanced_accuracy:.1%}",
            f"{row.best_constant_accuracy:.1%}",
            f"{row.chance_low:.1%} – {row.chance_high:.1%}",
            "–" if pd.isna(row.chance_p_value) else f"{row.chance_p_value:.3f}",
            "–" if pd.isna(row.detectable_difference) else shown_points(row.detectable_difference),
        )
        for row in scores.itertuples()
    ]
    console.print(_table("Scored again", headings, rows), crop=False)
    note = "detectable: true difference from chance that leaves the chance band with a power of 80 %"
    console.print(Text(note, style="dim"))


def _table(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    shown = Table(title=Text(title, style="bold"), title_justify="left", box=rich.box.SIMPLE_HEAD)
    for place, heading in enumerate(headings):
        # Names of protocols are not broken; lines that are too long wrap in the terminal.
        shown.add_column(Text(heading), justify="left" if place < 3 else "right", overflow="fold", no_wrap=place < 2)
    for row in rows:
        shown.add_row(*map(Text, row))
    return shown


def _blocks(scores: pd.DataFrame) -> dict[str, list[tuple[str, list[str]]]]:
    """Lines of the brief table by target: protocol and model, accuracy and its baselines."""
    blocks: dict[str, list[tuple[str, list[str]]]] = {}
    for row in scores.itertuples():
        is_permuted = row.n_permutations > 0
        cells = [
            f"{row.score:.1%}",
            f"{row.null_low:.1%} – {row.null_high:.1%}" if is_permuted else "",
            ("–" if pd.isna(row.p_value) else f"{row.p_value:.3f}") if is_permuted else "",
            "" if pd.isna(row.order) else f"{row.order:.1%}",
            "" if pd.isna(row.stimulus) else f"{row.stimulus:.1%}",
        ]
        blocks.setdefault(row.target, []).append((f"{row.protocol}, {row.model}", cells))
    return blocks


def _reading(scores: pd.DataFrame) -> str:
    """How to read the brief table, in one paragraph."""
    text = "Accuracies by window, means over subjects. Permuted labels: accuracies of models trained on them."
    if scores["order"].notna().any():
        text += " Order alone: the nearest training windows in the order of presentation, without any signal."
    if scores["stimulus"].notna().any():
        text += (
            " Knows the stimulus (stimulus-only baseline): predicts the most frequent label of the stimulus in the "
            "training set, without any signal."
        )
    return text


def _rows(scores: pd.DataFrame) -> Iterator[tuple[str, ...]]:
    for row in scores.itertuples():
        shuffled = row.n_permutations > 0
        yield (
            row.target,
            row.protocol,
            row.model,
            f"{row.score:.1%}",
            f"{row.null_mean:.1%}" if shuffled else "–",
            f"{row.null_low:.1%} – {row.null_high:.1%}" if shuffled else "–",
            _shown_p_value(row) if shuffled else "–",
            "–" if pd.isna(row.order) else f"{row.order:.1%}",
            "–" if pd.isna(row.stimulus) else f"{row.stimulus:.1%}",
            f"{row.constant:.1%}",
        )


def _shown_p_value(row: Any) -> str:
    if pd.isna(row.p_value):
        return f"– ({row.n_labelings} labelings)"
    return f"{row.p_value:.3f} (R = {row.n_permutations})"


def _notes(audit: Audit) -> Iterator[str]:
    subjects = "; ".join(
        f"{target}: {counts.max():.0f}" for target, counts in audit.scores.groupby("target", sort=False)["n_subjects"]
    )
    yield f"accuracies by window, the folds of a repetition pooled, mean over subjects ({subjects})"
    yield (
        "permuted labels: accuracy of models trained on ratings that are permuted between stimuli shown equally often, "
        "with all ratings of a stimulus together, within a subject (if one model is trained on all subjects: the same "
        "for all); p = (1 + permutations that reach the real score) / (1 + R); fewer than 20 labelings give no p"
    )
    if (audit.scores["model"] == "logistic regression").any():
        yield (
            "logistic regression: with the same C for real and permuted labels; runs of it choose C on the validation "
            "set of each fold, and may have other scores"
        )
    yield (
        "order alone: predicted from the nearest training windows in the order of presentation, without any signal; "
        "label permutation does not detect effects of time"
    )
    yield (
        "knows the stimulus: each test window predicted as the most frequent label of its stimulus in the training "
        "set, without any signal"
    )
    for row in audit.canaries.itertuples():
        what = "drawn at random after the split" if row.canary == "random test labels" else "permuted once (R = 1)"
        folds = f"{row.n_folds} fold{'' if row.n_folds == 1 else 's'}"
        yield (
            f"canary, {row.protocol}, {row.target}: of the test trials of {folds}, the model predicts "
            f"{row.n_right} of {row.n_trials} correctly if labels are {what}; chance is {row.chance:.0%} "
            f"(p = {row.p_value:.2g}{'' if row.can_alarm else '; so few trials can raise no alarm'})"
        )
    for row in audit.gaps.itertuples():
        yield (
            f"gap, {row.target}, {row.model}: {row.windows:.1%} under {row.window_protocol} and {row.trials:.1%} under "
            f"{row.trial_protocol}, same model and budget"
        )
