"""The command `keras-emotion features`: the features of a dataset as arrays for scikit-learn."""

from __future__ import annotations

import dataclasses
import inspect
import math
import sys
from pathlib import Path
from typing import Annotated, Literal

import tyro

from keras_emotion.cli.interruptions import on_interruption
from keras_emotion.cli.output import print_json
from keras_emotion.schema import InputError


@dataclasses.dataclass(frozen=True)
class Features:
    """Write the features of a dataset as X, y and groups for scikit-learn.

    The file holds X (windows, ...) float32, y (one column a rating) with y_names, groups (subject, session, trial,
    stimulus), channel_names, band_names, band_edges_hz, start_seconds, stop_seconds and sampling_rate_hz. To keep
    people apart:

    data = numpy.load("X.npz")

    X = data["X"].reshape(len(data["X"]), -1)

    y = data["y"][:, list(data["y_names"]).index("valence")] > 5

    GroupKFold(5).split(X, y, groups=data["groups"]["subject"])

    Args:
        folder: folder of the dataset.
        output: file to write, .npz.
        dataset: name of the dataset; by default your own recordings (recordings).
        features: de: differential entropy of theta, alpha, beta and gamma by EEG channel. raw: EEG samples. raw_all:
            samples of all channels.
        subjects: subjects to write; by default all.
        window_seconds: length of a window in seconds.
        hop_seconds: seconds from the start of a window to that of the next; by default windows do not overlap.
        subtract_baseline: subtract the mean waveform before the stimulus.
        sampling_rate_hz: rate to resample to, of datasets whose recordings have rates of their own; by default 128.
        study_channels: union: all channels that some recording has, NaN where one is missing. intersection: those that
            all recordings have.
        workers: worker processes; 0 is one for each core.
        feature_store: folder of computed features, shared with runs.
        overwrite: replace an existing file.
        json: one JSON object on standard output.
    """

    folder: tyro.conf.Positional[Path]
    output: Path
    dataset: Annotated[str, tyro.conf.arg(metavar="NAME")] = "recordings"
    features: Annotated[str, tyro.conf.arg(metavar="NAME")] = "de"
    subjects: tuple[str, ...] = ()
    window_seconds: float = 1.0
    hop_seconds: float | None = None
    subtract_baseline: bool = False
    sampling_rate_hz: float | None = None
    study_channels: Literal["union", "intersection"] = "union"
    workers: int = 0
    feature_store: Path = Path("runs/features")
    overwrite: bool = False
    json: bool = False

    @on_interruption("stored features are kept, no output was written; continue with: {command}")
    def run(self) -> int:
        """Writes, and returns the exit code."""
        from keras_emotion.cli.subjects import chosen_subjects
        from keras_emotion.experiment.feature_table import write_feature_table
        from keras_emotion.systems.settings import Runtime

        if self.workers < 0:
            raise InputError(f"--workers {self.workers}: expected 0 or more")
        reader = self._reader()
        subjects, notes = chosen_subjects(reader, self.subjects) if self.subjects else ((), ())
        written = write_feature_table(
            self.output,
            self.features,
            reader,
            subjects,
            window_seconds=self.window_seconds,
            hop_seconds=self.hop_seconds,
            subtract_baseline=self.subtract_baseline,
            study_channels=self.study_channels,
            runtime=Runtime(workers=self.workers, feature_store=self.feature_store),
            overwrite=self.overwrite,
        )
        notes = [*notes, *written.notes]
        if self.json:
            print_json(**{**dataclasses.asdict(written), "path": str(written.path), "notes": notes})
            return 0
        for note in notes:
            print(f"note: {note}", file=sys.stderr)
        axes = " x ".join(f"{n} {axis}" for n, axis in zip(written.shape, written.axes, strict=True))
        mark = " (synthetic data)" if written.synthetic else ""
        print(f"wrote {written.path}{mark}: X {axes}; y {', '.join(written.targets) or 'without ratings'};", end=" ")
        print(f"{written.n_trials} trials of {written.n_subjects} subjects")
        return 0

    def _reader(self):
        from keras_emotion.datasets import READERS

        if self.dataset not in READERS:
            raise InputError(f"--dataset {self.dataset}: no such dataset; expected one of {', '.join(READERS)}")
        reader, options = READERS[self.dataset], {}
        if "sampling_rate_hz" in inspect.signature(reader).parameters:
            rate = 128.0 if self.sampling_rate_hz is None else self.sampling_rate_hz
            if not 0 < rate < math.inf:
                raise InputError(f"--sampling-rate-hz {rate:g}: expected a number above 0")
            options = {"sampling_rate_hz": rate}
        elif self.sampling_rate_hz is not None:
            raise InputError(f"--sampling-rate-hz: {self.dataset} is read at the rate it was published with")
        return reader(self.folder, **options)
