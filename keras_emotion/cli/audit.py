"""The command `keras-emotion audit`: the leak audit of a run, or of a table of predictions."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from keras_emotion.cli.interruptions import on_interruption
from keras_emotion.cli.output import make_console, print_json
from keras_emotion.schema import InputError

if TYPE_CHECKING:
    import pandas as pd

    from keras_emotion.evaluation.leaks import Finding


@dataclasses.dataclass(frozen=True)
class Audit:
    """Measure how much of an accuracy the protocol itself hands out, and list the leaks that can be seen.

    Of a run: static checks of every fold, models trained on labels shuffled between trials, the gap between folds of
    windows and of trials, and the accuracy from the order of presentation alone; the files of the audit lie in its
    folder `audit`, and an interrupted audit continues. Of a table of predictions, whoever made it: static checks,
    and its accuracy by window and by trial.

    Args:
        folder: folder of a run, or its `experiment.json`.
        table: csv file of predictions, one row a test window: subject, trial, start, stop, fold, label, prediction;
            used where they are: session, stimulus, protocol, target, repetition, content.
        disjoint: what the folds of the table are claimed to keep apart; by default what they seem to.
        permutations: shuffles for the system itself, each as expensive as the run; 0 trains logistic regression alone.
        light_permutations: shuffles for logistic regression on the same features.
        data_root: folder of the data set, where it is no longer where the run found it.
        output: folder of the audit.
        workers: worker processes; 0 as the run had.
        json: one JSON object on standard output in place of tables.
        strict: exit code 1 where there is a leak.
    """

    folder: Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")] = None
    table: Path | None = None
    disjoint: Literal["windows", "trials", "sessions", "stimuli", "subjects", "subjects_and_stimuli"] | None = None
    permutations: int = 0
    light_permutations: int = 199
    data_root: Path | None = None
    output: Path | None = None
    workers: int = 0
    json: bool = False
    strict: bool = False

    def run(self) -> int:
        """Audits, and returns the exit code."""
        if (self.folder is None) == (self.table is None):
            raise InputError("give the folder of a run, or --table with a csv file of predictions; see --help")
        findings = self._of_table() if self.folder is None else self._of_run()
        return 1 if self.strict and any(finding.severity == "leak" for finding in findings) else 0

    @on_interruption("nothing is written by this command; start again: {command}")
    def _of_table(self) -> Sequence[Finding]:
        from keras_emotion.evaluation import check_predictions, read_predictions, rescore
        from keras_emotion.reports.audit import print_findings, print_rescored

        predictions = read_predictions(self.table)
        findings, scores = check_predictions(predictions, self.disjoint), rescore(predictions)
        if self.json:
            print_json(findings=[finding.as_dict() for finding in findings], scores=_records(scores))
        else:
            console = make_console()
            print_rescored(scores, console)
            print_findings(findings, console)
        return findings

    @on_interruption("finished permutations are kept; continue with: {command}")
    def _of_run(self) -> Sequence[Finding]:
        from keras_emotion.audit import audit
        from keras_emotion.reports import build_audit_report

        found = audit(
            self.folder,
            output=self.output,
            n_light_permutations=self.light_permutations,
            n_permutations=self.permutations,
            data_root=self.data_root,
            workers=self.workers,
        )
        report = build_audit_report(found)
        if self.json:
            print_json(
                findings=[finding.as_dict() for finding in found.findings],
                scores=_records(found.scores),
                sentences=found.sentences,
                report=str(report.path),
            )
        else:
            report.print(make_console())
        return found.findings


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a table; what is not defined (a p-value of few labelings) is `None`."""
    return table.astype(object).where(table.notna(), None).to_dict("records")
