"""The command `keras-emotion features`: write the features of a dataset as arrays for scikit-learn."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

from keras_emotion.cli.interruptions import on_interruption
from keras_emotion.cli.output import print_json
from keras_emotion.logs import LOGGER
from keras_emotion.options import Option
from keras_emotion.schema import InputError


@dataclasses.dataclass(frozen=True)
class Features:
    """Write the features of a dataset as X, y and groups for scikit-learn.

    The .npz file holds X (windows, ...) float32, y (a column for each rating) with y_names, groups (subject, session,
    trial, stimulus), channel_names, band_names, band_edges_hz, start_seconds, stop_seconds and sampling_rate_hz.
    GroupKFold(5).split(X, y, groups=data["groups"]["subject"]) is subject-independent.

    Args:
        folder: folder of the dataset.
        output: .npz file to write.
        dataset: name of the dataset; `recordings` are your own.
        features: features to write, de, raw, raw_all or official; `de` is the differential entropy of theta, alpha,
            beta and gamma by EEG channel, `raw` are EEG samples, `raw_all` samples of all channels, `official` the
            features that the authors of the dataset distribute.
        file_format: file format of the dataset to read; by default the first one found.
        subjects: subjects to write; by default all.
        window_seconds: length of a window in seconds; by default 1, or that of the official features.
        hop_seconds: time between the starts of windows; by default windows do not overlap.
        subtract_baseline: subtract the mean waveform before the stimulus.
        sampling_rate_hz: sampling rate after resampling; by default 128 Hz if the rates of recordings differ.
        study_channels: channels if recordings have different ones; `union` are the channels of any recording, with NaN
            for missing ones, `intersection` those of every recording.
        workers: number of workers, 0 for one per core.
        feature_store: folder of computed features, shared with runs.
        overwrite: replace an existing file.
        json: print one JSON object.

    Examples:
        keras-emotion features my_study --output X.npz
        keras-emotion features SEED --dataset seed --features official --output X.npz
    """

    folder: Annotated[Path, Option(positional=True, aliases=("--data-root",))]
    output: Annotated[Path, Option(metavar="FILE")]
    dataset: Annotated[str, Option(names="dataset")] = "recordings"
    features: Annotated[str, Option(metavar="NAME")] = "de"
    file_format: Annotated[str | None, Option(names="file format")] = None
    subjects: tuple[str, ...] = ()
    window_seconds: float | None = None
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
        """Write the output, and return the exit code."""
        from keras_emotion.cli.readers import open_dataset, rate_options
        from keras_emotion.cli.subjects import chosen_subjects
        from keras_emotion.experiment.feature_table import write_feature_table
        from keras_emotion.systems.settings import Runtime

        if self.workers < 0:
            raise InputError(f"--workers {self.workers}: expected 0 or more")
        reader = open_dataset(
            self.dataset, self.folder, self.file_format, **rate_options(self.dataset, self.sampling_rate_hz)
        )
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
            LOGGER.info(f"note: {note}")
        axes = " x ".join(f"{n} {axis}" for n, axis in zip(written.shape, written.axes, strict=True))
        mark = " (synthetic data)" if written.synthetic else ""
        print(f"wrote {written.path}{mark}: X {axes}; y {', '.join(written.targets) or 'without ratings'};", end=" ")
        print(f"{written.n_trials} trials of {written.n_subjects} subjects")
        return 0
