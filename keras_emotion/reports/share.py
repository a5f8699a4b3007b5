"""Report for sharing: pseudonymous subjects, no pictures of faces, no paths."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from keras_emotion.experiment.records import Jobs, RunFolder
from keras_emotion.reports.numbers import natural_order
from keras_emotion.reports.report import Report, build_report, output_folder
from keras_emotion.schema import InputError

_PATH = re.compile(r"(?<![\w<:/])(?:[A-Za-z]:[\\/]|~?/)[\w.+-]+(?:[\\/][^\s,;:'\"<>()]+)+")
"""A path with at least one folder, not part of a word or of a URL."""

_KEPT_OF_ENVIRONMENT = ("started", "python", "packages", "backend", "keras_settings", "cpu", "n_cores", "gpu")
_DROPPED_OF_DATA = ("subjects", "fingerprints", "system_files", "stimuli")


class SharedRun(RunFolder):
    """Run with pseudonymous subjects (S01, S02, ... in random order), without paths and commands.

    It has what a report reads; nothing is written to the folder of the run.

    Args:
        path: folder of a finished run.
    """

    def __init__(self, path: Path | str):
        super().__init__(path)
        run = RunFolder(path)
        subjects = list(natural_order(run.predictions()["subject"].astype(str)))
        subjects += [str(name) for name in run.data.get("subjects", ()) if str(name) not in subjects]
        # Random numbers of the operating system: a seeded order could be reproduced from the data.
        random.SystemRandom().shuffle(subjects)
        letter = next(one for one in "SPXYZQ" if not any(re.fullmatch(rf"{one}\d+", name) for name in subjects))
        self.pseudonyms = {name: f"{letter}{place:02d}" for place, name in enumerate(subjects, 1)}
        self._named = re.compile(
            r"\b(subjects? )(" + "|".join(re.escape(name) for name in sorted(subjects, key=len, reverse=True)) + r")\b"
        )

    @property
    def config(self) -> dict[str, Any]:
        """Configuration without the subjects."""
        config = super().config
        science = {name: value for name, value in config["science"].items() if name not in ("subjects", "sessions")}
        return {"identity": config["identity"], "science": self._cleaned(science), "data": self.data}

    @property
    def data(self) -> dict[str, Any]:
        """Data with the number of subjects instead of their ids."""
        data = {name: value for name, value in super().data.items() if name not in _DROPPED_OF_DATA}
        # Required by reports; fingerprints are listed by subject ids, which are left out.
        return {**self._cleaned(data), "n_subjects": len(self.pseudonyms), "fingerprints": {}}

    @property
    def environment(self) -> dict[str, Any]:
        """Versions and hardware."""
        known = super().environment
        return self._cleaned({name: known[name] for name in _KEPT_OF_ENVIRONMENT if name in known})

    @property
    def summary(self) -> dict[str, Any]:
        """Summary of the run with pseudonyms."""
        summary = super().summary
        for name in ("dropped_windows", "n_windows"):
            if name in summary:
                summary[name] = {self._called(subject): value for subject, value in summary[name].items()}
        for entry in [*summary["failed"], *summary.get("not_evaluable", ())]:
            entry["subject"] = self._called(entry["subject"])
            if "left_out" in entry:
                entry["left_out"] = [self._called(name) for name in entry["left_out"]]
        return self._cleaned(summary)

    def predictions(self) -> pd.DataFrame:
        """Predictions with pseudonyms."""
        return self._renamed(super().predictions())

    def results(self) -> pd.DataFrame:
        """Results with pseudonyms."""
        return self._renamed(super().results())

    def check_jobs(self) -> Jobs:
        """Check the records of the jobs.

        Raises:
            InputError: some records are damaged; a note about them would name a subject.
        """
        jobs = RunFolder(self.path).check_jobs()
        if jobs.damaged:
            raise InputError(
                f"{self.path}: {len(jobs.damaged)} records are damaged; repeat their jobs (--resume) before you "
                "share the report"
            )
        return jobs

    def cleaned(self, lines: Sequence[str]) -> list[str]:
        """Lines without ids of subjects and without paths."""
        return [self._cleaned(line) for line in lines]

    def _called(self, subject: Any) -> str:
        return self.pseudonyms.get(str(subject), str(subject))

    def _renamed(self, table: pd.DataFrame) -> pd.DataFrame:
        return table.assign(subject=[self._called(name) for name in table["subject"]])

    def _cleaned(self, value: Any) -> Any:
        if isinstance(value, str):
            text = self._named.sub(lambda found: found[1] + self.pseudonyms[found[2]], value)
            return _PATH.sub("[path]", text)
        if isinstance(value, Mapping):
            return {self._cleaned(name): self._cleaned(one) for name, one in value.items()}
        return [self._cleaned(one) for one in value] if isinstance(value, (list, tuple)) else value


def share_report(
    folder: RunFolder,
    output: Path,
    paper: pd.DataFrame | None = None,
    differences: Sequence[str] = (),
    reference: str = "the paper",
) -> Report:
    """Write a report for sharing: `report.html` and the figures of its scores.

    Subjects get random pseudonyms; pictures that show faces or single trials, the command, environment variables and
    paths are left out. Names of targets, classes and protocols and the scores of each subject stay: with the data and
    the models, subjects can be identified by their scores.

    Args:
        folder: a finished run.
        output: folder to write into.
        paper: see `build_report`.
        differences: its `reductions`.
        reference: see `build_report`.

    Raises:
        InputError: the run is not finished, `output` lies in its folder, or the page would still contain a subject id
            or a path.
    """
    if output.resolve().is_relative_to(folder.path.resolve()):
        raise InputError(
            f"--share {output}: lies in the folder of the run; expected a folder outside of it; give another folder"
        )
    shared = SharedRun(folder.path)
    lines = shared.cleaned(differences)
    written = output_folder(output)
    report = build_report(shared, paper, lines, output=output, reference=reference, with_drawn=False)
    page = report.path.read_text(encoding="utf-8")
    visible = re.sub(r'src="data:[^"]*"', "", page)
    ids = [name for name in shared.pseudonyms if len(name) > 2 and re.search(rf"\b{re.escape(name)}\b", visible)]
    private = [*(f"the subject {name}" for name in ids), *(f"the path {path[0]}" for path in _PATH.finditer(visible))]
    if private:
        report.path.unlink()
        raise InputError(
            f"{written.path}: the page would still contain {private[0]} and was deleted; rename it in the data, or "
            "share the table alone (--latex)"
        )
    return report
