"""Synthetic data in the format of the part of SEED with eye movements: features in windows of 4 s."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from keras_emotion.synthetic.facts import read_facts, write_marker
from keras_emotion.synthetic.seed_series import Clips, check_numbers, window_features

FACTS = read_facts("seed_multimodal")
_SAMPLING_RATE_HZ = 200

# Valence of SEED's classes, as the clip generator names them.
_CLASSES = {"negative": "sad", "neutral": "neutral", "positive": "happy"}

_EYE_FEATURES = tuple(f"event_{number}" for number in range(FACTS["n_eye_features"]))


def write_seed_multimodal(
    out: str | Path,
    n_subjects: int = 3,
    n_sessions: int = 3,
    seed: int = 0,
    effect_size: float = 1.0,
    fingerprint_size: float = 0.6,
    *,
    stimulus_fingerprint_size: float = 0.0,
    clip_seconds: int = 20,
) -> Path:
    """Write a synthetic copy of the part of SEED with eye movements: `eeg_used_4s` and `eye_tracking_feature`.

    A session is an `.npz` file with the pickled dicts `train_data` and `test_data` of differential entropies by band,
    `(windows, 62)`, concatenated over the first nine clips and the last six, and `train_label` and `test_label`; and a
    pickle with `train_data_eye` and `test_data_eye`, `(windows, 33)`. All sessions show the same 15 clips. The file
    names are fictitious.

    Args:
        out: output folder; created if missing.
        n_subjects: number of subjects, 1 to 12.
        n_sessions: sessions of each subject, 1 to 3.
        seed: random seed.
        effect_size: natural log-power that a clip of a class adds in the band of the class, and shift of eye features
            in standard deviations; 0 is no effect.
        fingerprint_size: standard deviation of the trial-specific natural log-power of each channel and band,
            independent of the class.
        stimulus_fingerprint_size: standard deviation of the natural log-power specific to a subject, clip, channel and
            band, independent of the class, the same in all sessions.
        clip_seconds: duration of every clip in seconds, 4 or more.

    Returns:
        `out`.

    Raises:
        ValueError: a number is out of range.
    """
    check_numbers(FACTS, n_subjects, n_sessions, clip_seconds)
    classes = [_CLASSES[name] for name in FACTS["class_names"]]
    clips = Clips(seed, classes, _SAMPLING_RATE_HZ, effect_size, fingerprint_size, stimulus_fingerprint_size)
    out = Path(out)
    folders = {kind: out / names[0] for kind, names in FACTS["folders"].items()}
    for folder in folders.values():
        folder.mkdir(parents=True, exist_ok=True)
    for subject in range(1, n_subjects + 1):
        for session in range(1, n_sessions + 1):
            _write_session(folders, clips, subject, session, clip_seconds)
    write_marker(
        out,
        dataset="seed_multimodal",
        n_subjects=n_subjects,
        n_sessions=n_sessions,
        seed=seed,
        effect_size=effect_size,
        fingerprint_size=fingerprint_size,
        stimulus_fingerprint_size=stimulus_fingerprint_size,
        clip_seconds=[clip_seconds] * FACTS["n_trials"],
    )
    return out


def _write_session(folders: dict[str, Path], clips: Clips, subject: int, session: int, seconds: int) -> None:
    entropies, eyes, labels = [], [], []
    n_windows = seconds // FACTS["window_seconds"]
    for clip, label in enumerate(FACTS["labels"][session - 1], 1):
        signal = clips.signal(subject, session, clip, label, seconds)
        entropy, _ = window_features(signal, _SAMPLING_RATE_HZ, FACTS["window_seconds"], FACTS["bands"])
        entropies.append(entropy)
        eyes.append(clips.eye_features(_EYE_FEATURES, subject, session, clip, label, n_windows))
        labels.append(np.full(n_windows, float(label)))
    n_training = FACTS["n_training_clips"]
    parts = {"train": slice(None, n_training), "test": slice(n_training, None)}
    of_eeg: dict[str, Any] = {}
    of_eyes: dict[str, Any] = {}
    for part, own in parts.items():
        joined = np.concatenate(entropies[own], axis=1)
        bands = {band: joined[..., place].T for place, band in enumerate(FACTS["bands"])}
        of_eeg |= {f"{part}_data": pickle.dumps(bands), f"{part}_label": np.concatenate(labels[own])}
        of_eyes[f"{part}_data_eye"] = np.concatenate(eyes[own])
    np.savez(folders["features"] / f"{subject}_{session}.npz", **of_eeg)
    (folders["eye_features"] / f"{subject}_{session}").write_bytes(pickle.dumps(of_eyes))
