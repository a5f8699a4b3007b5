"""The command `keras-emotion export`: a saved model in a format that does without Keras."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Literal

import tyro

from keras_emotion.cli.interruptions import on_interruption


@dataclasses.dataclass(frozen=True)
class Export:
    """Write a saved model in a format that does without Keras, and check it by running it beside the Keras model.

    Exit code 0: written; 1: its outputs differ by more than 1e-4, and nothing is kept; 2: unusable input.

    Args:
        model: file of the model (.keras), as a run with --save-models leaves it.
        format: saved_model, a folder for TensorFlow; onnx; litert, a file for LiteRT (TensorFlow Lite).
        out: where to write; by default beside the model, named after it.
        check_on: recording whose windows both models are given; by default they are random.
        video: the face video beside it, for models that see faces.
    """

    model: tyro.conf.Positional[Path]
    format: Literal["saved_model", "onnx", "litert"]
    out: Path | None = None
    check_on: Path | None = None
    video: Path | None = None

    @on_interruption("nothing was written; start again: {command}")
    def run(self) -> int:
        """Writes, and returns the exit code."""
        from keras_emotion.inference import export

        model = export.load_saved_model(self.model)
        windows, of = None, "random windows"
        if self.check_on is not None or self.video is not None:
            from keras_emotion.datasets.continuous import ContinuousRecording
            from keras_emotion.inference.predictor import Predictor

            recording = None if self.check_on is None else ContinuousRecording(self.check_on)
            windows = Predictor(model, source=self.model).some_windows(recording, video=self.video)
            of = f"windows of {self.check_on or self.video}"
        default = self.model.with_name(self.model.stem + export.FORMATS[self.format].ending_of_file)
        exported = export.export_model(model, self.format, self.out or default, windows)
        difference = f"largest difference to the Keras model {exported.largest_difference:.1e}"
        on = f"on {exported.n_windows} {of}"
        if exported.path is None:
            print(f"error: {difference} {on}, above {export.TOLERANCE:g}: not kept", file=sys.stderr)
            return 1
        print(f"wrote {exported.path}, {difference} {on}")
        return 0
