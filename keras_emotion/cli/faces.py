"""The command `keras-emotion faces`: aligned face crops from videos."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Annotated, Any, Literal

from keras_emotion.cli.interruptions import on_interruption
from keras_emotion.options import Option
from keras_emotion.schema import InputError


@dataclasses.dataclass(frozen=True)
class Faces:
    """Detect, track, align and crop faces in videos.

    Writes `faces.npy` (frames, size, size, 3) uint8 RGB, `frames.csv`, `contact_sheet.png` and `quality.json` to the
    output folder; with several videos, to one folder for each. Unreadable videos are listed at the end, with exit
    code 2.

    Args:
        videos: video files.
        output: folder to write to.
        rate_hz: faces per second.
        size: width and height of a face in pixels.
        margin: margin around the face on each side, as a share of the width.
        detector: face detector; `auto` is the Face Landmarker if `--model` or the environment variable
            KERAS_EMOTION_FACE_LANDMARKER names its .task file, YuNet if `--model` is an .onnx file, else BlazeFace.
        model: file of the detector's network.
        frame_rate_hz: frame rate of the video; by default that of its time stamps.

    Examples:
        keras-emotion faces video.mp4 --output faces
        keras-emotion faces s01/*.avi --output faces --rate-hz 5 --size 64
    """

    videos: Annotated[tuple[Path, ...], Option(positional=True, metavar="VIDEO")]
    output: Annotated[Path, Option(old="--out")]
    rate_hz: Annotated[float, Option(old="--rate")] = 5.0
    size: int = 64
    margin: float = 0.1
    detector: Literal["auto", "blazeface", "yunet", "face_landmarker"] = "auto"
    model: Path | None = None
    frame_rate_hz: Annotated[float | None, Option(old="--frame-rate")] = None

    @on_interruption("finished videos are kept, nothing was written of the others; start again: {command}")
    def run(self) -> int:
        """Write the output, and return the exit code."""
        from keras_emotion import faces

        if not self.videos:
            raise InputError("give at least one video; see --help")
        names = [video.stem for video in self.videos]
        if doubles := sorted({name for name in names if names.count(name) > 1}):
            raise InputError(f"several videos are named {', '.join(doubles)}; give each its own --output")
        for option, value, is_right, wanted in (
            ("rate-hz", self.rate_hz, 0 < self.rate_hz < math.inf, "a number above 0"),
            ("size", self.size, self.size >= 8, "8 or more"),
            ("margin", self.margin, 0 <= self.margin <= 1, "0 to 1"),
            (
                "frame-rate-hz",
                self.frame_rate_hz,
                self.frame_rate_hz is None or 0 < self.frame_rate_hz < math.inf,
                "a number above 0",
            ),
        ):
            if not is_right:
                raise InputError(f"--{option} {value}: expected {wanted}")
        failed = []
        with faces.make_detector(self.detector, self.model) as detector:
            for video in self.videos:
                out = self.output if len(self.videos) == 1 else self.output / video.stem
                try:
                    quality = self._extract(video, detector, out)
                except InputError as error:
                    failed.append(str(error))
                    continue
                _print_quality(quality, out, detector.name)
                if quality["problem"]:
                    failed.append(str(quality["problem"]))
                elif not quality["found"]:
                    failed.append(f"{video}: no face found in {quality['frames']} frames")
        if failed:
            raise InputError("\n".join(failed))
        return 0

    def _extract(self, video: Path, detector: Any, out: Path) -> dict[str, Any]:
        import os
        import shutil

        import cv2

        from keras_emotion import faces
        from keras_emotion.array_files import save_array
        from keras_emotion.files import remove_leftovers, temporary_path
        from keras_emotion.tables import csv_bytes

        sequence = faces.extract_faces(
            video,
            detector,
            self.rate_hz,
            size=self.size,
            margin=self.margin,
            assumed_frame_rate_hz=self.frame_rate_hz,
            n_threads=os.cpu_count() or 1,
        )
        quality = {**sequence.quality, "detector": detector.name}
        # Write complete files only, however the command ends.
        temporary = temporary_path(out)
        try:
            temporary.mkdir(parents=True)
            remove_leftovers(out)
            save_array(temporary / "faces.npy", sequence.faces)
            (temporary / "frames.csv").write_bytes(csv_bytes(sequence.frames, float_format="%.6g"))
            for name, values in sequence.details.items():
                save_array(temporary / f"{name}.npy", values)
            # Not by `imwrite`, which is silent where it cannot write.
            _, picture = cv2.imencode(".png", faces.contact_sheet(sequence)[:, :, ::-1])
            (temporary / "contact_sheet.png").write_bytes(picture.tobytes())
            (temporary / "quality.json").write_text(json.dumps(quality, indent=1))
            for path in temporary.iterdir():
                os.replace(path, out / path.name)
        except OSError as error:
            raise InputError(f"{out}: cannot be written ({error.strerror})") from None
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return quality


def _print_quality(quality: dict[str, Any], out: Path, detector: str) -> None:
    blur = "-" if quality["median_blur"] is None else f"{quality['median_blur']:.0f}"
    print(
        f"{quality['video']}: face in {quality['found']} of {quality['frames']} frames ({quality['found_share']:.1%}), "
        f"longest gap {quality['longest_gap_seconds']:.1f} s, {quality['jumps']} jumps, sharpness {blur}, "
        f"at most {quality['most_faces']} faces at once, by {detector}; wrote {out}"
    )
