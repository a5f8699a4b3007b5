"""The command `keras-emotion report`: report of a run, comparison of runs, text for a thesis."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from keras_emotion.cli.output import make_console, print_json
from keras_emotion.options import Option
from keras_emotion.schema import InputError

if TYPE_CHECKING:
    from keras_emotion.experiment.records import RunFolder


@dataclasses.dataclass(frozen=True)
class Report:
    """Report on a finished run, or compare several.

    For one run: table, page and figures. For several: one table on their common subjects, and tests of the difference
    for each pair of runs with the same folds. The run folders are not changed.

    Args:
        runs: run folders.
        output: folder to write to; by default `runs/report-...` or `runs/comparison-...`, named after the identities.
        full: print all scores and notes; by default accuracies, chance and baselines.
        json: print one JSON object in place of tables.
        methods_text: print the methods paragraph of each run instead (data, features, protocol, statistics, versions).
        latex: print the table for LaTeX instead.
        bibtex: print the citations of each run as BibTeX instead.
        share: write a report for sharing to a folder instead, without ids of subjects, pictures of faces, commands and
            paths. With the data, subjects can still be identified by their scores.

    Examples:
        keras-emotion report runs/A
        keras-emotion report runs/A runs/B
        keras-emotion report runs/A --methods-text > methods.txt
        keras-emotion report runs/A --share to_share
    """

    runs: Annotated[tuple[Path, ...], Option(positional=True, metavar="RUN")]
    output: Annotated[Path | None, Option(old="--out")] = None
    full: bool = False
    json: bool = False
    methods_text: bool = False
    latex: bool = False
    bibtex: bool = False
    share: Annotated[Path | None, Option(metavar="FOLDER")] = None

    def run(self) -> int:
        """Write the output, and return the exit code."""
        from keras_emotion import reports
        from keras_emotion.experiment.records import RunFolder
        from keras_emotion.papers import REFERENCES

        folders = [RunFolder(path) for path in self.runs]
        if self.methods_text or self.latex or self.bibtex or self.share is not None:
            return self._for_a_thesis(folders)
        report: reports.Report | reports.ComparisonReport
        if len(folders) == 1:
            output = self.output or Path("runs") / f"report-{folders[0].config['identity']}"
            known = reports.ComparedWith.read(folders[0])
            report = reports.build_report(
                folders[0],
                known.printed,
                known.differences,
                output,
                known.reference,
                reports.read_references(REFERENCES),
            )
        else:
            report = reports.build_comparison(folders, self.output)
        if self.json:
            print_json(**reports.as_json(report))
        else:
            report.print(make_console(), full=self.full)
        return 0

    def _for_a_thesis(self, folders: list[RunFolder]) -> int:
        from keras_emotion import reports
        from keras_emotion.papers import bibtex

        if self.json or self.output is not None:
            other = "--json" if self.json else "--output"
            raise InputError(
                f"{other}: cannot be combined with --methods-text, --latex, --bibtex and --share; leave it out"
            )
        if self.share is not None and len(folders) > 1:
            raise InputError(f"--share {self.share}: takes one run; {len(folders)} are given")
        if self.latex and len(folders) > 1:
            raise InputError(f"--latex: takes one run; {len(folders)} are given")
        texts = []
        known = [reports.ComparedWith.read(folder) for folder in folders]
        if self.methods_text:
            texts += [
                reports.methods_text(folder, one.differences, one.reference)
                for folder, one in zip(folders, known, strict=True)
            ]
        if self.latex:
            numbers = reports.read_numbers(folders[0])
            table = reports.main_table(numbers, known[0].printed, known[0].differences, known[0].reference)
            texts.append(reports.latex_table(table))
        if self.bibtex:
            entries = [
                bibtex(
                    folder.config["science"]["name"], folder.data["dataset"], folder.environment.get("packages", {})
                ).split("\n\n")
                for folder in folders
            ]
            texts += dict.fromkeys(entry for own in entries for entry in own)
        if texts:
            print("\n\n".join(texts))
        if self.share is not None:
            shared = reports.share_report(
                folders[0], self.share, known[0].printed, known[0].differences, known[0].reference
            )
            print(f"report to share: {shared.path}")
        return 0
