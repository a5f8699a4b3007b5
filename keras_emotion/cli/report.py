"""The command `keras-emotion report`: the report of a run, or a comparison of several."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import tyro

from keras_emotion.cli.output import make_console, print_json
from keras_emotion.schema import InputError


@dataclasses.dataclass(frozen=True)
class Report:
    """Report on a finished run, or compare several of them on the subjects that they share.

    Of one run: its table, page and figures, without a paper's numbers beside them. Of several: one table, and for each
    pair that was tested in the same folds, tests of the difference. The runs' folders are left as they are.

    Args:
        runs: run folders.
        out: folder to write to; by default `runs/report-...` or `runs/comparison-...`, named after the identities.
        json: one JSON object on standard output in place of tables.
    """

    runs: tyro.conf.Positional[tuple[Path, ...]]
    out: Path | None = None
    json: bool = False

    def run(self) -> int:
        """Writes, and returns the exit code."""
        from keras_emotion import reports
        from keras_emotion.experiment.records import RunFolder

        if not self.runs:
            raise InputError("give at least one run folder; `keras-emotion runs` lists them")
        folders = [RunFolder(path) for path in self.runs]
        report: reports.Report | reports.ComparisonReport
        if len(folders) == 1:
            out = self.out or Path("runs") / f"report-{folders[0].config['identity']}"
            report = reports.build_report(folders[0], output=out)
        else:
            report = reports.build_comparison(folders, self.out)
        if self.json:
            print_json(**reports.as_json(report))
        else:
            report.print(make_console())
        return 0
