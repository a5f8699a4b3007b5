"""The command `keras-emotion init-trials`: a first trials.csv for a folder of recordings."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import tyro


@dataclasses.dataclass(frozen=True)
class InitTrials:
    """Write a first trials.csv for a folder of recordings, from the marks in them; the ratings are yours to fill in.

    A mark with a duration is a trial; where no mark has one, a trial lasts from one to the next. A file that is there
    is not overwritten. Exit code 0: written; 2: not written.

    Args:
        folder: folder that holds the recordings, in it or below (or a BIDS tree).
    """

    folder: tyro.conf.Positional[Path]

    def run(self) -> int:
        """Writes, and returns the exit code."""
        from keras_emotion.datasets.first_trials import RATINGS, write_first_trials

        path, found = write_first_trials(self.folder)
        for recording, what in found.items():
            print(f"{recording.relative_to(self.folder)}: {what}")
        print(f"wrote {path}; fill in {' and '.join(RATINGS)} (or columns of your own), and check subject and trial")
        return 0
