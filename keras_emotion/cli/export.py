"""The command `keras-emotion export`: export a saved model to a format that runs without Keras."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Annotated, Literal

from keras_emotion.cli.interruptions import on_interruption
from keras_emotion.files import write_whole
from keras_emotion.options import Option
from keras_emotion.schema import InputError


@dataclasses.dataclass(frozen=True)
class Export:
    """Export a saved model to a format that runs without Keras, and check its outputs.

    The outputs are compared with those of the Keras model on the same windows. A description of the inputs (arrays,
    feature extraction, channels, classes) is written to `<output>.json`: an exported model takes features as inputs;
    the networks that encode stimuli are not part of it. Exit code 0: written; 1: the outputs differ by more than 1e-4,
    and nothing is written; 2: unusable input.

    Args:
        model: model file (.keras) of a run with --save-models.
        format: `saved_model` is a folder for TensorFlow, `litert` a file for LiteRT (TensorFlow Lite).
        output: file or folder to write; by default beside the model, with its name.
        check_on: recording whose windows are compared; by default random windows.
        video: face video of that recording, for models with faces.
        media: clip of the stimulus of that recording, for models that read stimuli.
        media_start: time in the clip at which the recording starts, in seconds.
        picture_weights: weights of the network that encodes pictures, for models trained with released ones.
        sound_weights: weights of the network that encodes sound, likewise.
        face_weights: weights of the network that encodes faces, likewise.

    Examples:
        keras-emotion export MODEL.keras --format onnx
        keras-emotion export MODEL.keras --format litert --check-on recording.edf
    """

    model: Annotated[Path, Option(positional=True)]
    format: Literal["saved_model", "onnx", "litert"]
    output: Annotated[Path | None, Option(old="--out")] = None
    check_on: Path | None = None
    video: Path | None = None
    media: Path | None = None
    media_start: float = 0.0
    picture_weights: Annotated[Path | None, Option(common=False)] = None
    sound_weights: Annotated[Path | None, Option(common=False)] = None
    face_weights: Annotated[Path | None, Option(common=False)] = None

    @on_interruption("nothing was written; start again: {command}")
    def run(self) -> int:
        """Write the output, and return the exit code."""
        from keras_emotion.inference import export

        model = export.load_saved_model(self.model)
        windows, of = None, "random windows"
        if any(path is not None for path in (self.check_on, self.video, self.media)):
            from keras_emotion.datasets.continuous import ContinuousRecording
            from keras_emotion.inference.predictor import Predictor

            recording = None if self.check_on is None else ContinuousRecording(self.check_on)
            given = {"picture": self.picture_weights, "sound": self.sound_weights, "face": self.face_weights}
            weights = {name: path for name, path in given.items() if path is not None}
            predictor = Predictor(model, source=self.model, weights=weights)
            windows = predictor.some_windows(
                recording, video=self.video, media=self.media, media_start_seconds=self.media_start
            )
            of = f"windows of {self.check_on or self.video or self.media}"
        output = self.output or self.model.with_name(self.model.stem + export.FORMATS[self.format].ending_of_file)
        described = output.with_name(f"{output.name}.json")
        if described.exists():
            raise InputError(f"{described}: exists already; remove it or give another --output")
        exported = export.export_model(model, self.format, output, windows)
        difference = f"largest difference to the Keras model {exported.largest_difference:.1e}"
        on = f"on {exported.n_windows} {of}"
        if exported.n_undecided:
            on += f" ({exported.n_undecided} more not compared: a position half-way between two frames)"
        if exported.path is None:
            print(f"error: {difference} {on}, above {export.TOLERANCE:g}: not kept", file=sys.stderr)
            return 1
        description = export.describe_model(model)
        try:
            write_whole(described, json.dumps(description, indent=1).encode())
        except OSError as error:
            raise InputError(f"{described}: cannot be written ({error.strerror})") from None
        print(f"wrote {exported.path}, {difference} {on}")
        inputs = [
            f"{name} {tuple(one['shape'][1:])}" + (f" of {one['part']['kind']}" if "part" in one else "")
            for name, one in description["inputs"].items()
        ]
        print(f"wrote {described}; inputs: {', '.join(inputs)}")
        return 0
