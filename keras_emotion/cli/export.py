"""The command `keras-emotion export`: a saved model in a format that does without Keras."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Annotated, Literal

from keras_emotion.cli.interruptions import on_interruption
from keras_emotion.options import Option


@dataclasses.dataclass(frozen=True)
class Export:
    """Export a saved model to a format that runs without Keras, and check its outputs.

    The outputs are compared with those of the Keras model on the same windows. Exit code 0: written; 1: the outputs
    differ by more than 1e-4, and nothing is written; 2: unusable input.

    Args:
        model: model file (.keras) of a run with --save-models.
        format: `saved_model` is a folder for TensorFlow, `litert` a file for LiteRT (TensorFlow Lite).
        output: file or folder to write; by default beside the model, with its name.
        check_on: recording whose windows are compared; by default random windows.
        video: face video of that recording, for models with faces.

    Examples:
        keras-emotion export MODEL.keras --format onnx
        keras-emotion export MODEL.keras --format litert --check-on recording.edf
    """

    model: Annotated[Path, Option(positional=True)]
    format: Literal["saved_model", "onnx", "litert"]
    output: Annotated[Path | None, Option(old="--out")] = None
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
        exported = export.export_model(model, self.format, self.output or default, windows)
        difference = f"largest difference to the Keras model {exported.largest_difference:.1e}"
        on = f"on {exported.n_windows} {of}"
        if exported.path is None:
            print(f"error: {difference} {on}, above {export.TOLERANCE:g}: not kept", file=sys.stderr)
            return 1
        print(f"wrote {exported.path}, {difference} {on}")
        return 0
