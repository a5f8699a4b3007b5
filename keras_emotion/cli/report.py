"""The command `keras-emotion report`: the report of a run, or a comparison of several."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

from keras_emotion.cli.output import make_console, print_json
from keras_emotion.options import Option


@dataclasses.dataclass(frozen=True)
class Report:
    """Report on a finished run, or compare several on their common subjects.

    For one run: table, page and figures, without the numbers of the paper. For several: one table, and tests of the
    difference for each pair of runs with the same folds. The run folders are not changed.

    Args:
        runs: run folders.
        output: folder to write to; by default `runs/report-...` or `runs/comparison-...`, named after the identities.
        json: print one JSON object in place of tables.

    Examples:
        keras-emotion report runs/A
        keras-emotion report runs/A runs/B
    """

    runs: Annotated[tuple[Path, ...], Option(positional=True, metavar="RUN")]
    output: Annotated[Path | None, Option(old="--out")] = None
    json: bool = False

    def run(self) -> int:
        """Writes, and returns the exit code."""
        from keras_emotion import reports
        from keras_emotion.experiment.records import RunFolder
        from keras_emotion.papers import REFERENCES

        folders = [RunFolder(path) for path in self.runs]
        report: reports.Report | reports.ComparisonReport
        if len(folders) == 1:
            output = self.output or Path("runs") / f"report-{folders[0].config['identity']}"
            references = reports.read_references(REFERENCES)
            report = reports.build_report(folders[0], output=output, references=references)
        else:
            report = reports.build_comparison(folders, self.output)
        if self.json:
            print_json(**reports.as_json(report))
        else:
            report.print(make_console())
        return 0
