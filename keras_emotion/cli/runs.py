"""The command `keras-emotion runs`: the runs in a folder."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

from keras_emotion.cli.output import make_console, print_json
from keras_emotion.options import Option


@dataclasses.dataclass(frozen=True)
class Runs:
    """List the runs in a folder: dataset, model, progress, accuracy and chance.

    The accuracy is that of the first protocol without flags, with its 95 % chance band; if a run has none, that of its
    first protocol, with the flags. Exit code 0: done; 1: the files of some run are damaged; 2: no such folder.

    Args:
        folder: folder of run folders, or a run folder.
        json: print one JSON object in place of a table.

    Examples:
        keras-emotion runs
        keras-emotion runs /data/study/runs --json
    """

    folder: Annotated[Path, Option(positional=True)] = Path("runs")
    json: bool = False

    def run(self) -> int:
        """List the runs, and return the exit code."""
        from keras_emotion.reports.listing import list_runs, rendered_runs, runs_as_json

        runs = list_runs(self.folder)
        if self.json:
            print_json(**runs_as_json(self.folder, runs))
        elif runs:
            make_console().print(rendered_runs(runs), crop=False)
        else:
            print(f"{self.folder}: holds no runs")
        return 1 if any(run.problem for run in runs) else 0
