"""Synthetic data in the formats of SEED-IV: signals, EEG and eye features, and eye-tracker events."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from keras_emotion.synthetic.facts import check_files, read_facts, write_marker
from keras_emotion.synthetic.seed_series import (
    INITIALS,
    Clips,
    append_variables,
    check_numbers,
    eye_feature_names,
    window_features,
    write_channel_order,
)
from keras_emotion.synthetic.smoothing import moving_average, smoothed_level

FACTS = read_facts("seed_iv")
_EYE_FEATURES = eye_feature_names("seed_iv_eye_features")

Files = Literal["raw", "features", "eye_features", "eye_events"]


def write_seed_iv(
    out: str | Path,
    n_subjects: int = 3,
    n_sessions: int = 3,
    seed: int = 0,
    effect_size: float = 1.0,
    fingerprint_size: float = 0.6,
    files: Sequence[Files] = ("raw", "features", "eye_features", "eye_events"),
    *,
    stimulus_fingerprint_size: float = 0.0,
    clip_seconds: int = 20,
    compressed: bool = False,
) -> Path:
    """Write a synthetic SEED-IV: `eeg_raw_data`, `eeg_feature_smooth`, `eye_raw_data`, `eye_feature_smooth`.

    A session is a file with 24 signals of 62 channels, `{initials}_eeg1` and so on, float64 `(62, 200 s)`; one with 96
    arrays of features (see `seed_series.window_features`), one with 24 arrays of eye features `(31, windows)`, and five
    with the events of 24 clips. The 72 clips of three sessions differ. Pupils and eye features follow the class of the
    clip as the EEG does; their values are rough guesses.

    A subject's files do not depend on the number of subjects and sessions or the choice of `files`.

    Args:
        out: output folder; created if missing.
        n_subjects: number of subjects, 1 to 15.
        n_sessions: sessions of each subject, 1 to 3.
        seed: random seed.
        effect_size: natural log-power that a clip of a class adds in the band of the class
            (`seed_series.CLASS_EFFECTS`), and shift of eye features in standard deviations; 0 is no effect.
        fingerprint_size: standard deviation of the trial-specific natural log-power of each channel and band,
            independent of the class.
        files: folders to write.
        stimulus_fingerprint_size: standard deviation of the natural log-power specific to a subject, clip, channel and
            band, independent of the class.
        clip_seconds: duration of every clip in seconds, 4 or more.
        compressed: compress the signals as MATLAB does.

    Returns:
        `out`.

    Raises:
        ValueError: a number is out of range, or a name is unknown.
    """
    check_numbers(FACTS, n_subjects, n_sessions, clip_seconds)
    check_files(files, get_args(Files))
    clips = Clips(
        seed, FACTS["class_names"], FACTS["sampling_rate_hz"], effect_size, fingerprint_size, stimulus_fingerprint_size
    )
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    for subject in range(1, n_subjects + 1):
        for session in range(1, n_sessions + 1):
            _write_session(out, files, clips, subject, session, clip_seconds, compressed)
    write_channel_order(out / "Channel Order.xlsx")
    lines = [f"session{session}_label = {labels};" for session, labels in enumerate(FACTS["labels"], 1)]
    classes = ", ".join(f"{code} {name}" for code, name in enumerate(FACTS["class_names"]))
    text = "\n".join(["Synthetic files in the format of SEED-IV.", f"Labels: {classes}.", *lines, ""])
    (out / FACTS["label_file"]).write_text(text.replace(", ", ","), encoding="utf-8")
    write_marker(
        out,
        dataset="seed_iv",
        n_subjects=n_subjects,
        n_sessions=n_sessions,
        seed=seed,
        effect_size=effect_size,
        fingerprint_size=fingerprint_size,
        stimulus_fingerprint_size=stimulus_fingerprint_size,
        clip_seconds=clip_seconds,
    )
    return out


def _write_session(
    out: Path,
    files: Sequence[Files],
    clips: Clips,
    subject: int,
    session: int,
    seconds: int,
    compressed: bool,
) -> None:
    """Write the files of a session, with one trial in memory at a time."""
    name = f"{subject}_{FACTS['session_dates'][str(subject)][session - 1]}"
    with contextlib.ExitStack() as stack:

        def opened(kind: Files, file: str):
            path = out / FACTS["folders"][kind][0] / file
            path.parent.mkdir(parents=True, exist_ok=True)
            return stack.enter_context(path.open("wb"))

        whole = {kind: opened(kind, f"{session}/{name}.mat") for kind in files if kind != "eye_events"}
        kinds = FACTS["eye_events"] if "eye_events" in files else ()
        events = {kind: opened("eye_events", f"{name}_{kind}.mat") for kind in kinds}
        for trial, label in enumerate(FACTS["labels"][session - 1], 1):
            clip = (session - 1) * FACTS["n_trials"] + trial
            if {"raw", "features"} & whole.keys():
                signal = clips.signal(subject, session, clip, label, seconds).astype(np.float64)
            if "raw" in whole:
                append_variables(whole["raw"], {f"{INITIALS[subject - 1]}_eeg{trial}": signal}, compressed)
            if "features" in whole:
                append_variables(whole["features"], _features(signal, trial))
            if "eye_features" in whole:
                n_windows = seconds // FACTS["window_seconds"]
                values = clips.eye_features(_EYE_FEATURES, subject, session, clip, label, n_windows)
                append_variables(whole["eye_features"], {f"eye_{trial}": values.T})
            if events:
                arrays = clips.eye_events(subject, session, clip, label, seconds)
                for kind, file in events.items():
                    append_variables(file, {f"{kind}_{trial}": arrays[kind]})


def _features(signal: np.ndarray, trial: int) -> dict[str, np.ndarray]:
    """Return the released features of a trial by variable name, in file order."""
    rate = FACTS["sampling_rate_hz"]
    kinds = dict(
        zip(("de", "psd"), window_features(signal, rate, FACTS["window_seconds"], FACTS["bands"]), strict=True)
    )
    smoothings = {"movingAve": moving_average, "LDS": smoothed_level}
    arrays = {}
    for name in FACTS["feature_names"]:
        kind, smoothing = name.split("_")
        arrays[f"{name}{trial}"] = smoothings[smoothing](kinds[kind])
    return arrays
