"""Synthetic data in the formats of SEED-VII: recordings, preprocessed signals, features, continuous intensities."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import scipy.ndimage

from keras_emotion.synthetic.facts import check_files, read_channels, read_facts, write_marker
from keras_emotion.synthetic.neuroscan_cnt import open_cnt_writer
from keras_emotion.synthetic.seed_series import (
    GAP_RMS_UV,
    Clips,
    append_variables,
    check_numbers,
    eye_feature_names,
    window_features,
    write_channel_order,
    write_gap,
)
from keras_emotion.synthetic.smoothing import smoothed_level
from keras_emotion.synthetic.workbook import write_workbook

FACTS = read_facts("seed_vii")
_EYE_FEATURES = eye_feature_names("seed_eye_features")
_ORIGINAL = list(read_channels("seed")["original"])

GAP_SECONDS = 2
"""Seconds before, between and after the clips of a recording."""

# Last element of the seeds of the intensities.
_INTENSITY = 140

Files = Literal["preprocessed", "raw", "features", "eye_features", "continuous_labels"]


def write_seed_vii(
    out: str | Path,
    n_subjects: int = 3,
    n_sessions: int = 4,
    seed: int = 0,
    effect_size: float = 1.0,
    fingerprint_size: float = 0.6,
    files: Sequence[Files] = ("preprocessed", "features", "eye_features", "continuous_labels"),
    *,
    subjects: Sequence[int] | None = None,
    stimulus_fingerprint_size: float = 0.0,
    clip_seconds: int = 20,
    sample_bytes: int = 2,
) -> Path:
    """Write a synthetic SEED-VII.

    A subject is a file in `EEG_preprocessed` with a signal `(62, 200 s)` for each clip, named `1` to `80`; one in
    `EEG_features` with `de_LDS_1`, `de_1`, `psd_1` and so on, `(windows, 5, 62)`; one in `EYE_features`, `(windows,
    33)`; one in `continuous_labels`, `(1, windows)`. A session is a Neuroscan recording in `EEG_raw`,
    `{subject}_{yyyymmdd}_{session}.cnt`, of 62 EEG channels and five others at 1000 Hz, with an event at the start (1)
    and the stop (2) of each clip, and the same as a table in `save_info`. As in the real dataset, the recordings
    `9_20221111_3` and `14_20221015_1` have no events.

    Signals of `EEG_raw` and `EEG_preprocessed` are generated separately, with different noise.

    Args:
        out: output folder; created if missing.
        n_subjects: number of subjects, 1 to 20.
        n_sessions: sessions of each subject, 1 to 4.
        seed: random seed.
        effect_size: natural log-power that a clip of a class adds in the band of the class
            (`seed_series.CLASS_EFFECTS`), and shift of eye features in standard deviations; 0 is no effect.
        fingerprint_size: standard deviation of the trial-specific natural log-power of each channel and band,
            independent of the class.
        files: folders to write.
        subjects: numbers of the subjects, instead of the first `n_subjects`.
        stimulus_fingerprint_size: standard deviation of the natural log-power specific to a subject, clip, channel and
            band, independent of the class.
        clip_seconds: duration of every clip in seconds, 4 or more.
        sample_bytes: bytes per sample of the recordings, 2 or 4.

    Returns:
        `out`.

    Raises:
        ValueError: a number is out of range, or a name is unknown.
    """
    subjects = tuple(range(1, n_subjects + 1)) if subjects is None else tuple(subjects)
    check_numbers(FACTS, max((n_subjects, *subjects)), n_sessions, clip_seconds)
    check_files(files, get_args(Files))
    sizes = effect_size, fingerprint_size, stimulus_fingerprint_size
    out = Path(out)
    for kind in files:
        (out / FACTS["folders"][kind][0]).mkdir(parents=True, exist_ok=True)
    recorded = Clips(seed, FACTS["class_names"], FACTS["sampling_rate_hz"], *sizes)
    clips = Clips(seed, FACTS["class_names"], FACTS["preprocessed_rate_hz"], *sizes)
    for subject in subjects:
        _write_subject(out, files, clips, subject, n_sessions, clip_seconds)
        for session in range(1, n_sessions + 1) if "raw" in files else ():
            _write_recording(out, recorded, subject, session, clip_seconds, sample_bytes)
    write_channel_order(out / "Channel Order.xlsx")
    rows: list[list[str | float]] = []
    for session, labels in enumerate(FACTS["labels"], 1):
        rows.append([f"Session {session}", *range(1, FACTS["n_trials"] + 1)])
        rows.append(["Emotion", *(FACTS["class_names"][label].capitalize() for label in labels)])
    write_workbook(out / FACTS["label_table"], rows)
    write_marker(
        out,
        dataset="seed_vii",
        subjects=list(subjects),
        n_sessions=n_sessions,
        seed=seed,
        effect_size=effect_size,
        fingerprint_size=fingerprint_size,
        stimulus_fingerprint_size=stimulus_fingerprint_size,
        clip_seconds=clip_seconds,
    )
    return out


def _write_subject(
    out: Path, files: Sequence[Files], clips: Clips, subject: int, n_sessions: int, seconds: int
) -> None:
    """Write the files of a subject, with one trial in memory at a time."""
    n_windows = seconds // FACTS["window_seconds"]
    with contextlib.ExitStack() as stack:
        opened = {
            kind: stack.enter_context((out / FACTS["folders"][kind][0] / f"{subject}.mat").open("wb"))
            for kind in files
            if kind != "raw"
        }
        for session in range(1, n_sessions + 1):
            for trial, label in enumerate(FACTS["labels"][session - 1], 1):
                clip = (session - 1) * FACTS["n_trials"] + trial
                where = subject, session, clip, label
                arrays: dict[str, dict[str, np.ndarray]] = {}
                if {"preprocessed", "features"} & opened.keys():
                    signal = clips.signal(*where, seconds)
                    arrays["preprocessed"] = {str(clip): signal.astype(np.float64)}
                    arrays["features"] = _features(signal, clip)
                arrays["eye_features"] = {str(clip): clips.eye_features(_EYE_FEATURES, *where, n_windows)}
                arrays["continuous_labels"] = {str(clip): _intensity(clips.seed, subject, clip, n_windows)[np.newaxis]}
                for kind, file in opened.items():
                    append_variables(file, arrays[kind])


def _features(signal: np.ndarray, clip: int) -> dict[str, np.ndarray]:
    rate, window = FACTS["preprocessed_rate_hz"], FACTS["window_seconds"]
    entropies, densities = window_features(signal, rate, window, FACTS["bands"])
    kinds = {"de_LDS": smoothed_level(entropies), "de": entropies, "psd": densities}
    return {f"{name}_{clip}": kinds[name].transpose(1, 2, 0) for name in FACTS["feature_names"]}


def _intensity(seed: int, subject: int, clip: int, n_windows: int) -> np.ndarray:
    """Generate `(windows,)` values from 0 to 1 that rise at first, and then fluctuate."""
    rng = np.random.default_rng([seed, subject, clip, _INTENSITY])
    fluctuation = scipy.ndimage.gaussian_filter1d(rng.normal(0, 0.6, n_windows), 1, mode="nearest")
    rise = 1 - np.exp(-(np.arange(n_windows) + 1) / 4)
    return np.clip(rise * (0.7 + fluctuation), 0, 1)


def _write_recording(out: Path, clips: Clips, subject: int, session: int, seconds: int, sample_bytes: int) -> None:
    rate, n_trials = FACTS["sampling_rate_hz"], FACTS["n_trials"]
    # Dates are fictitious, except those of the recordings without events.
    known = {tuple(map(int, stem.split("_"))): start for stem, start in FACTS["recording_starts"].items()}
    start = next((text for (own, _, number), text in known.items() if (own, number) == (subject, session)), None)
    begins = datetime.datetime.fromisoformat(start or f"2022-{session + 8:02d}-{subject:02d} 14:00:00")
    stem = f"{subject}_{begins:%Y%m%d}_{session}"
    seconds_of = [GAP_SECONDS + place * (seconds + GAP_SECONDS) for place in range(n_trials)]
    codes = FACTS["trigger_codes"]
    events = [
        (rate * second, code)
        for first in seconds_of
        for second, code in ((first, codes["start"]), (first + seconds, codes["stop"]))
    ]
    names = [*_ORIGINAL, *FACTS["other_channels"]]
    n_samples = rate * (GAP_SECONDS * (n_trials + 1) + seconds * n_trials)
    path = out / FACTS["folders"]["raw"][0] / f"{stem}.cnt"
    rng = np.random.default_rng([clips.seed, subject, session, n_samples])
    own_events = [] if start else events
    date = f"{begins:%m/%d/%y}"
    with open_cnt_writer(path, names, rate, n_samples, own_events, sample_bytes=sample_bytes, date=date) as writer:
        write_gap(writer, rng, len(names), rate * GAP_SECONDS)
        for trial, label in enumerate(FACTS["labels"][session - 1], 1):
            signal = clips.signal(subject, session, (session - 1) * n_trials + trial, label, seconds)
            others = rng.normal(0, GAP_RMS_UV, (len(FACTS["other_channels"]), signal.shape[1]))
            writer.write(np.concatenate([signal, others]))
            write_gap(writer, rng, len(names), rate * GAP_SECONDS)
    folder = out / FACTS["folders"]["triggers"][0]
    folder.mkdir(exist_ok=True)
    times = ((code, begins + datetime.timedelta(seconds=sample / rate)) for sample, code in events)
    lines = [f"{code},{time:%Y-%m-%d %H:%M:%S.%f}" for code, time in times]
    (folder / f"{stem}_trigger_info.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
