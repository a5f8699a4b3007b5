"""The command `keras-emotion predict`: apply a saved model to a recording or a live stream."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from keras_emotion.cli.interruptions import is_sigterm, on_interruption
from keras_emotion.options import Option
from keras_emotion.refusals import refusing_unreadable
from keras_emotion.schema import InputError

if TYPE_CHECKING:
    from keras_emotion.inference.looks import Looks
    from keras_emotion.inference.prediction import Prediction
    from keras_emotion.reports import LooksPanel

_SOURCE = "absolute_path"
"""Key of the absolute path of the recording in prediction.json; paths as given may be relative."""


_MOST_SHOWN = 20
"""Maximum number of windows whose selected frames are drawn; each takes up to 4 inches."""


@dataclasses.dataclass(frozen=True)
class Predict:
    """Predict class probabilities for each window of a recording or a live stream.

    Windows, features and scaling are those of the training; channels are matched by name, and missing channels are
    reported and mean-imputed. The file is read in blocks, so its length does not matter. A window without a signal has
    no probability; the column `problem` gives the reason. Models that select frames report their number and times
    (`looks`, `look_seconds`). Writes `prediction.csv`, `prediction.png` and
    `prediction.json` into the output folder, which must not contain the prediction of another recording. With --lsl a
    live stream is read, and one line is printed for each window. Models with faces need --video, models that read the
    stimulus need --media; models of only faces or stimuli need no recording.

    Args:
        model: model file (.keras) of a run with --save-models.
        recording: .set, .edf, .bdf, .vhdr, .fif or another format that MNE reads; .npy or .mat with a sidecar.
        lsl: name of a stream of the Lab Streaming Layer, instead of a recording.
        seconds: seconds of the stream after which to stop; by default at its end, or at Ctrl-C.
        silence_seconds: seconds without samples after which the stream has ended; one that is lost and comes back
            earlier is continued, and what changed is reported.
        lag_seconds: delay of each window of the stream in seconds; the filters use the samples after its end.
        channels: `channels.csv` with electrodes and units that the recording or stream lacks; by default the one
            next to the recording, if there is one.
        video: face video of the recording; some faces are drawn below the probabilities.
        video_offset_seconds: time in the video at which the recording starts.
        media: clip of the stimulus that was shown during the recording, for models that read stimuli.
        media_start: time in the clip at which the recording starts, in seconds.
        picture_weights: weights of the network that encodes pictures, for models trained with released ones (a saved
            model stores only their hash).
        sound_weights: weights of the network that encodes sound, likewise.
        face_weights: weights of the network that encodes faces, likewise.
        shown_windows: number of windows whose selected frames are drawn below the probabilities (faces and EEG images),
            for models that select frames; evenly spaced over the valid windows.
        output: folder to write to; by default `predictions/<recording>`, with a hash of its path if that is the
            prediction of another recording.
        baseline_seconds: length of the baseline at the start, for models that subtract one.
        block_seconds: length of the blocks that are read at once.

    Examples:
        keras-emotion predict MODEL.keras recording.edf --output predicted
        keras-emotion predict MODEL.keras recording.edf --video face.mp4
        keras-emotion predict MODEL.keras recording.edf --media clip.mp4
        keras-emotion predict MODEL.keras --lsl NAME --lag-seconds 0.5
    """

    model: Annotated[Path, Option(positional=True)]
    recording: Annotated[Path | None, Option(positional=True)] = None
    lsl: Annotated[str | None, Option(metavar="NAME")] = None
    seconds: float = math.inf
    silence_seconds: float = 5.0
    lag_seconds: float = 0.0
    channels: Path | None = None
    video: Path | None = None
    video_offset_seconds: float = 0.0
    media: Path | None = None
    media_start: float = 0.0
    picture_weights: Annotated[Path | None, Option(common=False)] = None
    sound_weights: Annotated[Path | None, Option(common=False)] = None
    face_weights: Annotated[Path | None, Option(common=False)] = None
    shown_windows: Annotated[int, Option(common=False)] = 3
    output: Annotated[Path | None, Option(old="--out")] = None
    baseline_seconds: float = 3.0
    block_seconds: float = 60.0

    @on_interruption("nothing was written; start again: {command}")
    def run(self) -> int:
        """Write or print the predictions, and return the exit code."""
        has_file = any(path is not None for path in (self.recording, self.video, self.media))
        if has_file == (self.lsl is not None):
            raise InputError("give a recording, or --lsl with the name of a stream; see --help")
        for option, value in (("baseline-seconds", self.baseline_seconds), ("block-seconds", self.block_seconds)):
            if not 0 < value < math.inf:
                raise InputError(f"--{option} {value}: expected a number above 0")
        for option, value in (("seconds", self.seconds), ("silence-seconds", self.silence_seconds)):
            if not value > 0:
                raise InputError(f"--{option} {value}: expected a number above 0")
        if self.channels is not None and not self.channels.is_file():
            raise InputError(f"--channels {self.channels}: no such file")
        if not 0 <= self.lag_seconds < math.inf:
            raise InputError(f"--lag-seconds {self.lag_seconds}: expected a number of 0 or more")
        if not 0 <= self.shown_windows <= _MOST_SHOWN:
            raise InputError(f"--shown-windows {self.shown_windows}: expected a number from 0 to {_MOST_SHOWN}")
        return self._of_stream(self.lsl) if self.lsl is not None else self._of_files()

    @property
    def _weights(self) -> dict[str, Path]:
        given = {"picture": self.picture_weights, "sound": self.sound_weights, "face": self.face_weights}
        return {name: path for name, path in given.items() if path is not None}

    def _of_stream(self, name: str) -> int:
        from keras_emotion.datasets.electrodes import ChannelTable
        from keras_emotion.inference.export import random_windows
        from keras_emotion.inference.live import LabStreamingLayer, live_windows, missing_text
        from keras_emotion.inference.predictor import Predictor

        predictor = Predictor.from_file(self.model, self.baseline_seconds, self._weights)
        # Compile before the first window arrives.
        predictor.apply(random_windows(predictor.model, 1))
        table = None if self.channels is None else ChannelTable(self.channels)
        stream = LabStreamingLayer(name, channel_table=table)
        for note in stream.notes:
            print(f"note: {note}")
        if missing := predictor.select_channels(stream.channel_names, stream.name, stream.units).missing:
            print(f"note: {missing_text(missing, len(predictor.channel_names))}")
        if predictor.warning:
            print(f"warning: {predictor.warning}")
        try:
            windows = live_windows(
                predictor,
                stream,
                self.lag_seconds,
                lambda text: print(f"note: {text}", flush=True),
                self.silence_seconds,
            )
            for window in windows:
                names = predictor.class_names or range(len(window.probabilities))
                said = ", ".join(f"{name} {p:.3f}" for name, p in zip(names, window.probabilities, strict=True))
                said = f"no probability: {window.problem}" if window.problem else said
                latency = window.latency_seconds
                # No latency for time stamps ahead of the clock.
                late = f"{latency:.2f} s" if latency > -0.005 else "unknown"
                print(f"{window.start_seconds:8.1f} s  {said}  latency {late}", flush=True)
                if window.stop_seconds >= self.seconds:
                    break
        except KeyboardInterrupt as interruption:
            # Ctrl-C ends a stream; SIGTERM interrupts.
            if is_sigterm(interruption):
                raise
        finally:
            stream.close()
        return 0

    def _of_files(self) -> int:
        from keras_emotion.datasets.continuous import ContinuousRecording
        from keras_emotion.datasets.electrodes import ChannelTable
        from keras_emotion.faces import video_facts
        from keras_emotion.files import remove_leftovers, write_whole
        from keras_emotion.inference.predictor import Predictor
        from keras_emotion.reports.timeline import draw_timeline
        from keras_emotion.tables import csv_bytes

        table = None if self.channels is None else ChannelTable(self.channels)
        path = self.recording or self.video or self.media or Path()
        out = self.output or _default_folder(path)
        _check_folder(out, path)
        recording = None if self.recording is None else ContinuousRecording(self.recording, table)
        predictor = Predictor.from_file(self.model, self.baseline_seconds, self._weights)
        if self.video is not None:
            # Checked before the computation, not when the faces are drawn.
            video_facts(self.video)
        found = predictor.predict(
            recording,
            self.block_seconds,
            self.video,
            self.video_offset_seconds,
            self.media,
            self.media_start,
            self.shown_windows,
        )
        faces = None
        if self.video is not None:
            faces = _faces_at_times(self.video, found.duration_seconds, self.video_offset_seconds)
        picture = draw_timeline(
            found.table,
            title=f"{path.name}: {predictor.block.target or 'prediction'}",
            warning=found.warning,
            bands=found.bands,
            band_attention=found.band_attention,
            faces=faces,
            below=None if found.looks is None else _looks_below(found, found.looks),
        )
        try:
            out.mkdir(parents=True, exist_ok=True)
            remove_leftovers(out)
            write_whole(out / "prediction.csv", csv_bytes(found.table, float_format="%.9g"))
            write_whole(out / "prediction.png", picture)
            summary = {
                "model": str(self.model),
                _SOURCE: str(path.resolve()),
                **found.summary,
                "notes": found.notes,
                "warning": found.warning,
            }
            write_whole(out / "prediction.json", json.dumps(summary, indent=1).encode())
        except OSError as error:
            raise InputError(f"{error.filename or out}: cannot be written ({error.strerror})") from None
        for note in found.notes:
            print(f"note: {note}")
        probabilities = found.table.filter(like="probability_")
        means, n_without = probabilities.mean(), int(probabilities.isna().any(axis=1).sum())
        mean = ", ".join(f"{name.removeprefix('probability_')} {value:.3f}" for name, value in means.items())
        without = f", {n_without} of them without a probability" if n_without else ""
        hop_seconds = predictor.hop_seconds
        every = "" if hop_seconds == predictor.window_seconds else f" every {hop_seconds:g} s"
        print(f"{len(found.table)} windows of {predictor.window_seconds:g} s{every}{without}, mean probability {mean}")
        if found.looks is not None:
            print(f"{found.looks.looks.mean():.1f} of {found.looks.n_frames} frames of a window selected, on average")
        if found.warning:
            print(f"warning: {found.warning}")
        times = found.duration_seconds / found.elapsed_seconds
        print(f"wrote {out}; {found.duration_seconds:.0f} s in {found.elapsed_seconds:.1f} s, {times:.0f} x real time")
        return 0


def _default_folder(source: Path) -> Path:
    """Folder of the prediction of a recording, different for recordings with the same file name."""
    from keras_emotion.file_names import file_name

    folder = Path("predictions") / source.stem
    try:
        _check_folder(folder, source)
    except InputError:
        return Path("predictions") / file_name([source.stem], str(source.resolve()))
    return folder


def _check_folder(folder: Path, source: Path) -> None:
    """Refuse to overwrite the prediction of another recording."""
    from keras_emotion.json_files import read_user_json

    file = folder / "prediction.json"
    if not file.exists():
        return
    message = "{path}: not a prediction that can be replaced ({reason}); give another --output"
    with refusing_unreadable(file, message):
        there = read_user_json(file, message)
        known = there.get(_SOURCE) or there.get("recording") or there.get("video")
    if known and Path(known).resolve() != source.resolve():
        raise InputError(f"{file}: is the prediction of {known}, not of {source}; give another --output")


def _looks_below(found: Prediction, looks: Looks) -> LooksPanel:
    """Panel of the frames that a model selected."""
    from keras_emotion.reports import LooksPanel

    strips = []
    for number, window in enumerate(looks.shown):
        row = found.table.iloc[looks.windows[window]]
        probabilities = row.filter(like="probability_").astype(float)
        most = probabilities.idxmax()
        said = f"{most.removeprefix('probability_')} {probabilities[most]:.2f}"
        title = f"{row['start_seconds']:g} to {row['stop_seconds']:g} s: {said}"
        faces, images = (None if of_all is None else of_all[number] for of_all in (looks.faces, looks.images))
        strips.append((title, int(window), faces, images))
    return LooksPanel(looks.looks, looks.positions, looks.frame_seconds, looks.n_frames, strips, found.bands)


def _faces_at_times(
    video: Path, duration_seconds: float, offset_seconds: float = 0.0, n_faces: int = 16
) -> tuple[Any, Any]:
    """Detected faces at evenly spaced times of a recording: `(times, pictures)`."""
    import numpy as np

    from keras_emotion import faces

    # Dense enough to track a face from one frame to the next.
    times = np.arange(0, duration_seconds, 0.5) + offset_seconds
    with faces.make_detector("auto", None) as detector:
        sequence = faces.extract_faces(video, detector, times_seconds=times[times >= 0])
    if len(sequence.frames) < len(times):
        print(f"note: {video} lacks {(len(times) - len(sequence.frames)) / 2:g} s of the recording")
    found = np.flatnonzero(sequence.frames["found"])
    seconds = sequence.frames["time_seconds"].to_numpy()[found] - offset_seconds
    wanted = (np.arange(n_faces) + 0.5) * duration_seconds / n_faces
    if not len(found):
        return seconds, sequence.faces[found]
    nearest = np.abs(seconds - wanted[:, np.newaxis]).argmin(axis=1)
    near_enough = np.abs(seconds[nearest] - wanted) <= duration_seconds / n_faces / 2
    chosen = nearest[near_enough]
    return seconds[chosen], sequence.faces[found[chosen]]
