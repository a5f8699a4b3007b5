"""Face extraction from a video: decoding only, our pipeline at five faces per second and at every frame, two peers.

Every contender reads the same file with one thread, in a new process, and imports only what it needs; CPU seconds
include all threads, because MediaPipe starts its own. The detectors get the same sampled frames.
"""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import itertools
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from measurement import Outcome, in_fresh_process, peak_memory_bytes

DECODE = "PyAV, decode only"
RGB = "PyAV, every frame to RGB"
OURS = "keras_emotion, 5 Hz"
OURS_EVERY = "keras_emotion, every frame"
YUNET = "keras_emotion with YuNet, 5 Hz"
LANDMARKER = "MediaPipe Face Landmarker, 5 Hz"
MTCNN = "MTCNN, 5 Hz"

RATE_HZ = 5.0
MTCNN_INSTALLATION = "pip install --no-deps mtcnn==1.0.0 lz4"
MTCNN_SAMPLES = 20
"""Sampled frames for MTCNN, unless all are requested."""

WEIGHTS_FOLDER = Path(__file__).parents[2] / "shared" / "data" / "weights"
"""Folder of the files of YuNet and of the Face Landmarker, which are not part of packages."""

N_FRAMES, FRAME_RATE_HZ, HEIGHT, WIDTH = 400, 50.0, 576, 720
"""The synthetic video has the size and the rate of DEAP's."""

DEAP_FRAMES = 22 * 40 * 60 * 50
"""Frames of all of DEAP's face video: 22 subjects, 40 trials of 60 s, 50 frames per second."""

LONGER = 4
"""Number of repetitions of the video to test for memory growth."""

EYES_AGREE = 0.15
"""Largest median distance of an eye from its known position, in interocular distances."""

Job = Callable[[str, int | None], tuple[int, int, dict[str, list[list[float]]]]]
"""Function that reads a video, optionally a number of samples: frames or samples read, faces found, eyes by frame."""


def _decode_only(convert: bool) -> Job:
    import av

    def run(file, n_samples):
        with av.open(file) as container:
            stream = container.streams.video[0]
            stream.thread_type, stream.thread_count = "NONE", 1
            n_frames = 0
            for frame in container.decode(stream):
                if convert:
                    frame.to_ndarray(format="rgb24", threads=1)
                n_frames += 1
        return n_frames, 0, {}

    return run


def _ours(rate_hz: float | None, model: str | None = None) -> Job:
    import cv2
    import numpy as np

    from keras_emotion import faces

    cv2.setNumThreads(1)
    detector = faces.make_detector("yunet" if model else "blazeface", model)

    def run(file, n_samples):
        rate = rate_hz or faces.video_facts(file).frame_rate_hz
        when = {"rate_hz": rate} if n_samples is None else {"times_seconds": np.arange(n_samples) / rate}
        frames = faces.extract_faces(file, detector, **when).frames
        found = frames[frames["found"]]
        eyes = found[["right_eye_x", "right_eye_y", "left_eye_x", "left_eye_y"]].to_numpy()
        by_frame = dict(zip(found["frame"].astype(str), eyes.reshape(-1, 2, 2).tolist(), strict=True))
        return len(frames), len(found), by_frame

    return run


def _landmarker() -> Job:
    import mediapipe
    from mediapipe.tasks import python as tasks

    from keras_emotion.faces import sample_frames

    vision = tasks.vision
    options = vision.FaceLandmarkerOptions(
        base_options=tasks.BaseOptions(model_asset_path=_weights("face_landmarker.task")),
        # Each picture independently, without tracking.
        running_mode=vision.RunningMode.IMAGE,
    )
    landmarker = vision.FaceLandmarker.create_from_options(options)

    def run(file, n_samples):
        n_taken, by_frame = 0, {}
        for _, frame in itertools.islice(sample_frames(file, RATE_HZ), n_samples):
            n_taken += 1
            image = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=frame.image)
            if found := landmarker.detect(image).face_landmarks:
                height, width = frame.shape[:2]
                # Corners of the subject's right eye and of the left one.
                eyes = [[found[0][corner] for corner in corners] for corners in ((33, 133), (362, 263))]
                by_frame[str(frame.number)] = [
                    [width * sum(point.x for point in eye) / 2, height * sum(point.y for point in eye) / 2]
                    for eye in eyes
                ]
        return n_taken, len(by_frame), by_frame

    # Closed explicitly: at interpreter exit, it prints an error.
    run.close = landmarker.close
    return run


def _mtcnn() -> Job:
    os.environ.update(TF_NUM_INTRAOP_THREADS="1", TF_NUM_INTEROP_THREADS="1", TF_CPP_MIN_LOG_LEVEL="3")
    import cv2
    from mtcnn import MTCNN as Network

    from keras_emotion.faces import sample_frames

    cv2.setNumThreads(1)
    network = Network()

    def run(file, n_samples):
        n_taken, by_frame = 0, {}
        for _, frame in itertools.islice(sample_frames(file, RATE_HZ), n_samples):
            n_taken += 1
            if found := network.detect_faces(frame.image):
                points = max(found, key=lambda face: face["box"][2] * face["box"][3])["keypoints"]
                # Left and right are those of the viewer.
                by_frame[str(frame.number)] = [[float(x) for x in points[name]] for name in ("left_eye", "right_eye")]
        return n_taken, len(by_frame), by_frame

    return run


def _weights(pattern: str) -> str | None:
    files = sorted(WEIGHTS_FOLDER.glob(pattern))
    return str(files[-1]) if files else None


CONTENDERS: dict[str, Callable[[], Job]] = {
    DECODE: functools.partial(_decode_only, convert=False),
    RGB: functools.partial(_decode_only, convert=True),
    OURS: functools.partial(_ours, rate_hz=RATE_HZ),
    OURS_EVERY: functools.partial(_ours, rate_hz=None),
    YUNET: lambda: _ours(RATE_HZ, _weights(WEIGHTS[YUNET])),
    LANDMARKER: _landmarker,
    MTCNN: _mtcnn,
}

WEIGHTS = {YUNET: "face_detection_yunet_*.onnx", LANDMARKER: "face_landmarker.task"}
"""Files that contenders need."""


# --- run in new processes


def prepare(folder: str, video: str | None) -> dict[str, Any]:
    """Provide the video to measure, synthetic by default, and the same one repeated `LONGER` times.

    Returns:
        The two files, facts of the video, and the eyes of each frame if known.
    """
    import numpy as np

    from keras_emotion.faces import four_landmarks, sample_frames, video_facts
    from keras_emotion.synthetic.deap_videos import write_video
    from keras_emotion.synthetic.faces import AnimatedFace, FaceIdentity, expression_course, pose_course

    eyes = []
    if video is None:
        video = str(Path(folder, "face.avi"))
        face, times = AnimatedFace(HEIGHT, WIDTH, FaceIdentity()), np.arange(N_FRAMES) / FRAME_RATE_HZ
        # In eight seconds the head moves as far as normally in a minute.
        moments = list(
            zip(
                expression_course(np.random.default_rng(0), 4 * times, 0.0),
                expression_course(np.random.default_rng(1), 4 * times, 0.0),
                pose_course(np.random.default_rng(2), 4 * times),
                strict=True,
            )
        )
        write_video(Path(video), (face.frame(*moment) for moment in moments), FRAME_RATE_HZ, (WIDTH, HEIGHT))
        eyes = [four_landmarks(face.landmarks(*moment))[:2].tolist() for moment in moments]
    facts = video_facts(video)
    longer = str(Path(folder, "longer.mkv"))
    n_frames, seconds = _repeat(video, longer)
    return {
        "file": video,
        "longer": longer,
        "eyes": eyes,
        "facts": f"{facts.width}x{facts.height}, {facts.codec}, {n_frames} frames, {seconds:.1f} s",
        "n_frames": n_frames,
        "n_samples": sum(1 for _ in sample_frames(video, RATE_HZ)),
    }


def _repeat(video: str, longer: str) -> tuple[int, float]:
    """Write a video repeated `LONGER` times, without re-encoding; return its frames and seconds."""
    import av

    with av.open(video) as container:
        times = [frame.pts for frame in container.decode(video=0)]
        length = max(times) - min(times) + (max(times) - min(times)) // max(len(times) - 1, 1)
        seconds = float(length * container.streams.video[0].time_base)
    with av.open(longer, "w", format="matroska") as target:
        stream = None
        for repetition in range(LONGER):
            with av.open(video) as source:
                if stream is None:
                    stream = target.add_stream_from_template(source.streams.video[0])
                for packet in source.demux(video=0):
                    if packet.dts is None:
                        continue
                    packet.dts += repetition * length
                    packet.pts = packet.dts if packet.pts is None else packet.pts + repetition * length
                    packet.stream = stream
                    target.mux(packet)
    return len(times), seconds


def measure(contender: str, file: str, n_samples: int | None) -> dict[str, Any]:
    """Measure time and memory of a contender on a video.

    Returns:
        Wall and CPU seconds, without imports, the loading of networks and the first two samples of the process, which
        are negligible in a dataset of hundreds of videos; frames or samples read, faces found, eyes by frame; peak
        memory of this process in bytes, and the excess over the peak after imports.
    """
    run = CONTENDERS[contender]()
    loaded_bytes = peak_memory_bytes()
    run(file, 2)
    start = time.perf_counter(), time.process_time()
    n_taken, n_found, eyes = run(file, n_samples)
    wall_seconds, cpu_seconds = time.perf_counter() - start[0], time.process_time() - start[1]
    peak_bytes = peak_memory_bytes()
    getattr(run, "close", lambda: None)()
    return {
        "wall_seconds": wall_seconds,
        "cpu_seconds": cpu_seconds,
        "n_taken": n_taken,
        "n_found": n_found,
        "eyes": eyes,
        "peak_bytes": peak_bytes,
        "peak_above_imports_bytes": peak_bytes - loaded_bytes,
    }


# --- the benchmark


def benchmark(data_root: Path | None = None, repeats: int = 5, full: bool = False) -> Outcome:
    """Measure every contender `repeats` times, in turns, so that other load on the machine affects all of them equally.

    Args:
        data_root: a video, or a folder of DEAP, whose first face video is used; `None`: a synthetic video.
        repeats: number of new processes per contender.
        full: MTCNN on all sampled frames instead of `MTCNN_SAMPLES`.
    """
    missing = {}
    if importlib.util.find_spec("mtcnn") is None or importlib.util.find_spec("lz4") is None:
        missing[MTCNN] = f"not installed: {MTCNN_INSTALLATION}"
    for name, pattern in WEIGHTS.items():
        if _weights(pattern) is None:
            missing[name] = f"no {pattern} in {WEIGHTS_FOLDER}"
    contenders = [name for name in CONTENDERS if name not in missing]
    with tempfile.TemporaryDirectory() as folder:
        video = in_fresh_process(prepare, folder=folder, video=_video_of(data_root))
        known = video.pop("eyes")
        n_measured: dict[str, int | None] = dict.fromkeys(contenders)
        if MTCNN in contenders and not full and video["n_samples"] > MTCNN_SAMPLES:
            n_measured[MTCNN] = MTCNN_SAMPLES
        load = [os.getloadavg()[0]]
        runs: dict[str, list[dict[str, Any]]] = {name: [] for name in contenders}
        for _ in range(repeats):
            for name in contenders:
                runs[name].append(
                    in_fresh_process(measure, contender=name, file=video["file"], n_samples=n_measured[name])
                )
        longer = {
            name: in_fresh_process(measure, contender=name, file=video["longer"], n_samples=None)
            for name in (OURS, OURS_EVERY)
        }
        load.append(os.getloadavg()[0])
    medians = {name: _medians(runs[name], n_measured[name], video["n_samples"]) for name in contenders}
    eyes_off = {name: _eyes_off(runs[name][0].pop("eyes"), known) for name in contenders}
    for run in [*longer.values(), *(run for name in contenders for run in runs[name][1:])]:
        del run["eyes"]
    rows = [
        _row(name, medians, eyes_off[name], runs[name][0], video)
        if name in medians
        else (name, *[""] * 8, missing[name])
        for name in CONTENDERS
    ]
    return Outcome(
        title=f"Faces of a video ({video['facts']}), one thread, medians of {repeats}",
        columns=(
            *("", "frames/s, wall", "frames/s, CPU", "wall ratio", "CPU ratio", "faces found", "eyes off"),
            *("peak MB", "above imports MB", "measured"),
        ),
        rows=tuple(rows),
        notes=tuple(_notes(data_root is None, medians, longer, video, load)),
        measured={
            "video": video,
            "n_measured": n_measured,
            "load_average": load,
            "runs": runs,
            "longer": longer,
            "eyes_off": eyes_off,
            "deap_minutes": _deap_minutes(medians, video),
        },
        passed=all(off is None or off <= EYES_AGREE for off in eyes_off.values()),
    )


def _video_of(data_root: Path | None) -> str | None:
    if data_root is None or data_root.is_file():
        return None if data_root is None else str(data_root)
    videos = sorted(data_root.glob("face_video/s*/*.avi"))
    if not videos:
        raise SystemExit(f"{data_root}: no face_video/s*/*.avi in it; give a video or a folder of DEAP")
    return str(videos[0])


def _medians(runs: list[dict[str, Any]], n_measured: int | None, n_samples: int) -> dict[str, float]:
    scale = 1 if n_measured is None else n_samples / n_measured
    medians = {
        key: statistics.median(run[key] for run in runs)
        for key in ("wall_seconds", "cpu_seconds", "peak_bytes", "peak_above_imports_bytes")
    }
    return medians | {key: scale * medians[key] for key in ("wall_seconds", "cpu_seconds")}


def _eyes_off(found: dict[str, list[list[float]]], known: list[list[list[float]]]) -> float | None:
    """Return the median distance of the eyes from their known positions, in interocular distances."""
    off = []
    for number, eyes in found.items():
        if known:
            right, left = (complex(*point) for point in known[int(number)])
            pairs = zip((complex(*point) for point in eyes), (right, left), strict=True)
            off += [abs(ours - theirs) / abs(left - right) for ours, theirs in pairs]
    return statistics.median(off) if off else None


def _row(
    name: str, medians: dict[str, dict[str, float]], eyes_off: float | None, run: dict[str, Any], video: dict[str, Any]
) -> tuple[str, ...]:
    median, ours = medians[name], medians[OURS]
    detects = name not in (DECODE, RGB)
    n_all = video["n_frames"] if name in (DECODE, RGB, OURS_EVERY) else video["n_samples"]
    kind = "frames" if n_all == video["n_frames"] else "samples"
    if name == MTCNN:
        name = f"{MTCNN}, {importlib.metadata.version('mtcnn')}"
    return (
        name,
        f"{video['n_frames'] / median['wall_seconds']:.0f}",
        f"{video['n_frames'] / median['cpu_seconds']:.0f}",
        f"{median['wall_seconds'] / ours['wall_seconds']:.2f}",
        f"{median['cpu_seconds'] / ours['cpu_seconds']:.2f}",
        f"{run['n_found'] / run['n_taken']:.1%}" if detects else "",
        "" if eyes_off is None else f"{eyes_off:.3f}",
        f"{median['peak_bytes'] / 1e6:.0f}",
        f"{median['peak_above_imports_bytes'] / 1e6:.0f}",
        f"{run['n_taken']} of {n_all} {kind}{', scaled' if run['n_taken'] < n_all else ''}",
    )


def _deap_minutes(medians: dict[str, dict[str, float]], video: dict[str, Any]) -> dict[str, float]:
    """Return the minutes of two cores for the video of all of DEAP's subjects, at five faces per second."""
    names = [name for name in medians if name not in (RGB, OURS_EVERY)]
    return {name: DEAP_FRAMES * medians[name]["cpu_seconds"] / video["n_frames"] / 2 / 60 for name in names}


def _notes(
    synthetic: bool,
    medians: dict[str, dict[str, float]],
    longer: dict[str, dict[str, Any]],
    video: dict[str, Any],
    load: list[float],
) -> list[str]:
    notes = [
        "A synthetic face: the numbers are about speed and memory, not about people."
        if synthetic
        else f"The video {video['file']}."
    ]
    notes.append(
        "Frames/s: frames of the video per second, regardless of how many are processed. Eyes off: median distance "
        "from "
        "the known eye positions, in interocular distances"
        + (f" (allowed: {EYES_AGREE:g})." if synthetic else "; known for the synthetic video only.")
    )
    minutes = "; ".join(f"{name} {value:.1f} min" for name, value in _deap_minutes(medians, video).items())
    notes.append(
        "All of DEAP's face video on two cores, a process on each, from the CPU seconds (22 subjects x 40 trials x "
        f"60 s x 50 frames/s = {DEAP_FRAMES:,} frames / frames per CPU second / 2 / 60): {minutes}."
    )
    for name, run in longer.items():
        before, after = medians[name]["peak_above_imports_bytes"] / 1e6, run["peak_above_imports_bytes"] / 1e6
        notes.append(
            f"Memory of {name}: {before:.0f} MB above imports for the video, {after:.0f} MB for {LONGER} times its "
            f"length ({run['n_taken']} samples)."
        )
    notes.append(
        "Excluding imports, the loading of networks and the first two samples of each process. Wall times depend "
        "on other load; "
        f"load average {load[0]:.1f} before and {load[1]:.1f} after."
    )
    return notes
