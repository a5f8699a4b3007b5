"""The command `keras-emotion audit`: leak audit of a run or of a table of predictions."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from keras_emotion.cli.interruptions import on_interruption
from keras_emotion.cli.output import make_console, print_json
from keras_emotion.options import Option
from keras_emotion.schema import InputError

if TYPE_CHECKING:
    import pandas as pd

    from keras_emotion.evaluation.leaks import Finding


@dataclasses.dataclass(frozen=True)
class Audit:
    """Estimate how much of an accuracy is due to leakage, and list the leaks found.

    A run is audited by static checks of every fold; by extracting, joining and fitting again with other ratings, ids,
    trials and test rows, which must change nothing; by training the model on one fold with random test labels and with
    permuted labels; by label permutation; by the gap between folds of windows and of trials; and by the accuracy from
    the order of presentation alone. The results are written to the folder `audit` of the run, and an interrupted audit
    is continued. A table of predictions of any program is audited by static checks and by its accuracy per window and
    per trial.

    Args:
        folder: run folder, or its `experiment.json`.
        table: csv files of predictions with one row for each test window, or a folder of them. Columns: subject, trial,
            start, stop, fold, label, prediction; optional: session, stimulus, protocol, target, repetition, content.
            Files of EEGain, and folds of TorchEEG with labels and predictions, are recognised by their headers.
        columns: names of the columns in the table, as subject=sub label=y_true. fold=@file and repetition=@folder take
            the names of the file and of its folder, start=start_at/128 divides, and start=@row numbers the windows of
            a trial without times.
        disjoint: what training and test sets of the table must not share; by default inferred from the table.
        permutations: label permutations of the model of the run, 19 or 199; each costs as much as the run. With 0, it
            is trained on permuted labels once, on one fold.
        light_permutations: label permutations of logistic regression on the same features.
        data_root: folder of the dataset; by default that of the run.
        stimuli: folder with the clips of the stimuli; by default that of the run.
        output: folder of the audit; by default `audit` in the run folder.
        workers: number of workers, 0 for as many as the run had.
        full: print all columns and notes of the table.
        json: print one JSON object in place of tables.
        strict: exit with code 1 if a leak is found.

    Examples:
        keras-emotion audit runs/A
        keras-emotion audit runs/A --permutations 19    # 19 times the run's cost
        keras-emotion audit --table predictions.csv --disjoint trials
        keras-emotion audit --table a.csv b.csv --columns label=y repetition=@file
    """

    folder: Annotated[Path | None, Option(positional=True, metavar="RUN")] = None
    table: Annotated[tuple[Path, ...], Option(metavar="PATH ...")] = ()
    columns: Annotated[tuple[str, ...], Option(metavar="OURS=THEIRS ...")] = ()
    disjoint: Literal["windows", "trials", "sessions", "stimuli", "subjects", "subjects_and_stimuli"] | None = None
    permutations: int = 0
    light_permutations: int = 199
    data_root: Path | None = None
    stimuli: Annotated[Path | None, Option(metavar="FOLDER")] = None
    output: Path | None = None
    workers: int = 0
    full: bool = False
    json: bool = False
    strict: bool = False

    def run(self) -> int:
        """Audit, and return the exit code."""
        if (self.folder is None) == (not self.table):
            raise InputError("RUN or --table: give one of them: a run folder, or a csv file of predictions; see --help")
        if self.columns and not self.table:
            raise InputError("--columns: needs --table; leave it out for a run")
        findings = self._of_table() if self.folder is None else self._of_run(self.folder)
        return 1 if self.strict and any(finding.severity == "leak" for finding in findings) else 0

    @on_interruption("nothing is written by this command; start again: {command}")
    def _of_table(self) -> Sequence[Finding]:
        from keras_emotion.evaluation import check_predictions, read_predictions, rescore
        from keras_emotion.reports.audit import print_findings, print_rescored

        predictions = read_predictions(self.table, _mapping(self.columns))
        notes = list(predictions.attrs["notes"])
        findings, scores = check_predictions(predictions, self.disjoint), rescore(predictions)
        if self.json:
            print_json(findings=[finding.as_dict() for finding in findings], scores=_records(scores), notes=notes)
        else:
            console = make_console()
            print_rescored(scores, console)
            for note in notes:
                console.print(f"note: {note}", markup=False, highlight=False, soft_wrap=True)
            print_findings(findings, console)
        return findings

    @on_interruption("finished permutations are kept; continue with: {command}")
    def _of_run(self, folder: Path) -> Sequence[Finding]:
        from keras_emotion.audit import audit
        from keras_emotion.reports import build_audit_report

        found = audit(
            folder,
            output=self.output,
            n_light_permutations=self.light_permutations,
            n_permutations=self.permutations,
            data_root=self.data_root,
            stimuli=self.stimuli,
            workers=self.workers,
        )
        report = build_audit_report(found)
        if self.json:
            print_json(
                findings=[finding.as_dict() for finding in found.findings],
                scores=_records(found.scores),
                canaries=_records(found.canaries),
                sentences=found.sentences,
                report=str(report.path),
            )
        else:
            report.print(make_console(), full=self.full)
        return found.findings


def _mapping(words: Sequence[str]) -> dict[str, str]:
    """Column names of the table by the names of this package; several in one word are separated by commas."""
    mapping: dict[str, str] = {}
    for word in words:
        # Column names of the table may contain commas.
        for pair in re.split(r",(?=\w+=)", word):
            ours, equals, theirs = pair.partition("=")
            if not (ours and equals and theirs):
                raise InputError(f"--columns {word}: expected OURS=THEIRS, such as label=y_true")
            if ours in mapping:
                raise InputError(f"--columns {word}: {ours} is given twice")
            mapping[ours] = theirs
    return mapping


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of a table with `None` for undefined values (a p-value of too few labelings)."""
    return table.astype(object).where(table.notna(), None).to_dict("records")
