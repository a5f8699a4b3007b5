"""Synthetic data in the formats of SEED-V: Neuroscan recordings, and pickled EEG and eye features."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from keras_emotion.synthetic.facts import check_files, read_channels, read_facts, write_marker
from keras_emotion.synthetic.neuroscan_cnt import open_cnt_writer
from keras_emotion.synthetic.seed_series import (
    GAP_RMS_UV,
    Clips,
    check_numbers,
    eye_feature_names,
    window_features,
    write_channel_order,
    write_gap,
)
from keras_emotion.synthetic.workbook import write_workbook

FACTS = read_facts("seed_v")
_EYE_FEATURES = eye_feature_names("seed_eye_features")
_ORIGINAL = list(read_channels("seed")["original"])

GAP_SECONDS = 2
"""Seconds before, between and after the clips of a recording."""

Files = Literal["raw", "features", "eye_features"]


def write_seed_v(
    out: str | Path,
    n_subjects: int = 3,
    n_sessions: int = 3,
    seed: int = 0,
    effect_size: float = 1.0,
    fingerprint_size: float = 0.6,
    files: Sequence[Files] = ("raw", "features", "eye_features"),
    *,
    stimulus_fingerprint_size: float = 0.0,
    clip_seconds: int = 20,
    sample_bytes: int = 2,
) -> Path:
    """Write a synthetic SEED-V: `EEG_raw`, `EEG_DE_features`, `Eye_movement_features` and tables.

    A session is a Neuroscan recording `{subject}_{session}_{yyyymmdd}.cnt` of 62 EEG channels, M1, M2, VEO and HEO at
    1000 Hz, with 15 clips 2 s apart; a subject is an `.npz` file of differential entropies and one of eye features,
    each with a pickled dict `data` of the trials 0 to 44, `(windows, 310)` and `(windows, 33)`, and a pickled dict
    `label`. Clips of the real dataset are minutes apart; `synthetic.json` has the times of a synthetic copy.

    A subject's files do not depend on the number of subjects or the choice of `files`.

    Args:
        out: output folder; created if missing.
        n_subjects: number of subjects, 1 to 16.
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
        sample_bytes: bytes per sample of the recordings, 2 or 4.

    Returns:
        `out`.

    Raises:
        ValueError: a number is out of range, or a name is unknown.
    """
    check_numbers(FACTS, n_subjects, n_sessions, clip_seconds)
    check_files(files, get_args(Files))
    rate = FACTS["sampling_rate_hz"]
    clips = Clips(seed, FACTS["class_names"], rate, effect_size, fingerprint_size, stimulus_fingerprint_size)
    out = Path(out)
    folders = {kind: out / FACTS["folders"][kind][0] for kind in files}
    for folder in folders.values():
        folder.mkdir(parents=True, exist_ok=True)
    spans = [
        [first := GAP_SECONDS + place * (clip_seconds + GAP_SECONDS), first + clip_seconds]
        for place in range(FACTS["n_trials"])
    ]
    sessions = range(1, n_sessions + 1)
    for subject in range(1, n_subjects + 1):
        entropies, eyes, labels = {}, {}, {}
        for session in sessions:
            own = _session(clips, subject, session, clip_seconds)
            if "raw" in folders:
                path = folders["raw"] / f"{subject}_{session}_2018{session + 6:02d}{subject:02d}.cnt"
                _write_recording(path, own, seed, subject, session, sample_bytes)
            for place, signal in enumerate(own):
                key = (session - 1) * FACTS["n_trials"] + place
                label = FACTS["labels"][session - 1][place]
                n_windows = clip_seconds // FACTS["window_seconds"]
                entropy, _ = window_features(signal, rate, FACTS["window_seconds"], FACTS["bands"])
                entropies[key] = entropy.transpose(1, 0, 2).reshape(n_windows, -1)
                eyes[key] = clips.eye_features(_EYE_FEATURES, subject, session, key + 1, label, n_windows)
                labels[key] = np.full(n_windows, label)
        for kind, data in (("features", entropies), ("eye_features", eyes)):
            if kind in folders:
                name = f"{subject}_{''.join(map(str, sessions))}.npz"
                np.savez(folders[kind] / name, data=pickle.dumps(data), label=pickle.dumps(labels))
    _write_tables(out)
    write_marker(
        out,
        dataset="seed_v",
        n_subjects=n_subjects,
        n_sessions=n_sessions,
        seed=seed,
        effect_size=effect_size,
        fingerprint_size=fingerprint_size,
        stimulus_fingerprint_size=stimulus_fingerprint_size,
        clip_spans=[spans] * FACTS["n_sessions"],
    )
    return out


def _session(clips: Clips, subject: int, session: int, seconds: int) -> list[np.ndarray]:
    """Return the signals of the clips of a session, `(62, samples)` float32 each."""
    first = (session - 1) * FACTS["n_trials"] + 1
    labels = FACTS["labels"][session - 1]
    return [clips.signal(subject, session, clip, label, seconds) for clip, label in enumerate(labels, first)]


def _write_recording(
    path: Path, signals: Sequence[np.ndarray], seed: int, subject: int, session: int, sample_bytes: int
) -> None:
    rate = FACTS["sampling_rate_hz"]
    rng = np.random.default_rng([seed, subject, session, len(signals)])
    names = [*_ORIGINAL, *FACTS["other_channels"]]
    n_samples = rate * GAP_SECONDS * (len(signals) + 1) + sum(signal.shape[1] for signal in signals)
    with open_cnt_writer(path, names, rate, n_samples, (), sample_bytes=sample_bytes) as writer:
        write_gap(writer, rng, len(names), rate * GAP_SECONDS)
        for signal in signals:
            others = rng.normal(0, GAP_RMS_UV, (len(FACTS["other_channels"]), signal.shape[1]))
            writer.write(np.concatenate([signal, others]))
            write_gap(writer, rng, len(names), rate * GAP_SECONDS)


def _write_tables(out: Path) -> None:
    write_channel_order(out / "Channel Order.xlsx")
    rows: list[list[str | float]] = [["", "", *range(1, FACTS["n_trials"] + 1)]]
    for session, labels in enumerate(FACTS["labels"], 1):
        rows.append([f"Session {session}", "Emotion", *(FACTS["class_names"][label].capitalize() for label in labels)])
    write_workbook(out / FACTS["label_table"], rows)
    lines = []
    for session, own in enumerate(FACTS["clip_spans"], 1):
        starts, stops = zip(*own, strict=True)
        lines += [f"Session {session}:", f"start_second: {list(starts)}", f"end_second: {list(stops)}"]
    text = "Of the real recordings; synthetic.json has those of this copy.\n" + "\n".join(lines) + "\n"
    (out / "trial_start_end_timestamp.txt").write_text(text, encoding="utf-8")
