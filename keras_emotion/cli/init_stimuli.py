"""The command `keras-emotion init-stimuli`: an initial stimuli.csv for a folder with the stimuli of a dataset."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Annotated

from keras_emotion.cli.interruptions import on_interruption
from keras_emotion.options import Option


@dataclasses.dataclass(frozen=True)
class InitStimuli:
    """Write an initial stimuli.csv, for you to complete.

    For a folder with the stimuli of a dataset. Each stimulus has a row with the file named by its id (12.mp4). In files
    that last 15 s longer than the trial, start and stop of the clip are filled in where the dataset states them (DEAP:
    Highlight_start of video_list.csv). An existing stimuli.csv is not overwritten. Exit code 0: written; 1: written,
    but some stimuli have no file or an unreadable one; 2: not written.

    Args:
        folder: folder that holds the clips.
        data_root: folder of the dataset.
        dataset: name of the dataset; `recordings` are your own.
        file_format: file format of the dataset to read; by default the first one found.

    Examples:
        keras-emotion init-stimuli clips --dataset deap --data-root /data/DEAP
        keras-emotion init-stimuli clips --data-root my_study
    """

    folder: Annotated[Path, Option(positional=True)]
    data_root: Annotated[Path, Option(metavar="FOLDER")]
    dataset: Annotated[str, Option(names="dataset")] = "recordings"
    file_format: Annotated[str | None, Option(names="file format")] = None

    @on_interruption("no stimuli.csv was written; start again: {command}")
    def run(self) -> int:
        """Write the output, and return the exit code."""
        from keras_emotion.cli.readers import open_dataset
        from keras_emotion.datasets.stimuli import write_first_stimuli

        reader = open_dataset(self.dataset, self.data_root, self.file_format)
        written = write_first_stimuli(self.folder, reader)
        if written.cut:
            print(f"start and stop from the dataset: stimulus {', '.join(written.cut)}")
        if written.without_start:
            print(
                f"much longer than the trial, and the dataset has no start: stimulus "
                f"{', '.join(written.without_start)}; fill in start_seconds"
            )
        if written.not_used:
            print(f"not used, no stimulus of this name: {', '.join(path.name for path in written.not_used)}")
        if written.without_file:
            print(f"no file: stimulus {', '.join(written.without_file)}; fill in the column file")
        print(f"wrote {written.path}, {written.n_stimuli} stimuli")
        for fault in written.faults:
            print(f"error: {fault}", file=sys.stderr)
        return 1 if written.without_file or written.faults else 0
