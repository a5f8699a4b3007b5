"""Synthetic data in the published format of DREAMER."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from keras_emotion.synthetic.eeg import BAND_EDGES_HZ, EEGNoise
from keras_emotion.synthetic.facts import read_facts, read_table, write_marker
from keras_emotion.synthetic.heart import heart_beats
from keras_emotion.synthetic.matlab73 import write_matlab73

FACTS = read_facts("dreamer")
VIDEOS = read_table("dreamer_videos")
CHANNEL_NAMES = tuple(FACTS["channels"])

RATING_EFFECTS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "valence": ("gamma", ("T7", "T8")),
    "arousal": ("beta", ("F3", "F4")),
    "dominance": ("alpha", ("O1", "O2")),
}
"""Band whose power follows each rating, and its main electrodes."""

RATING_SD = 1.2
OFFSET_UV = 4200.0
"""Offset of the amplifier: the signals are far from zero."""

PASS_BAND_HZ = (0.5, 45.0)

Version = Literal["5", "7.3"]

# Last elements of the seeds `[seed, subject or 0, video, ...]`; those of signals have none.
_RATING_SEED, _PERSON_SEED = 41, 42


def write_dreamer(
    out: str | Path,
    n_subjects: int = 4,
    seed: int = 0,
    effect_size: float = 1.0,
    fingerprint_size: float = 0.6,
    *,
    stimulus_fingerprint_size: float = 0.0,
    clip_seconds: int = 20,
    version: Version = "5",
    compressed: bool = True,
) -> Path:
    """Write a synthetic `DREAMER.mat`: 18 clips per subject, each after 61 s of rest.

    The file has 14 EEG channels at 128 Hz around an offset of 4200, and two ECG channels at 256 Hz. Each clip has its
    own duration. Over all 23 subjects, the ratings have the dataset's mean for each video; a subject's data do not
    depend on the number of subjects. See `write_deap` for the signals.

    Args:
        out: output folder; created if missing.
        n_subjects: number of subjects, 1 to 23: the first ones.
        seed: random seed; the same seed gives the same file.
        effect_size: natural log-power that a rating adds in its band (`RATING_EFFECTS`) per `RATING_SD` above 3; 0 is
            no effect.
        fingerprint_size: standard deviation of the trial-specific natural log-power of each channel and band,
            independent of the ratings; it fluctuates over some 20 s.
        stimulus_fingerprint_size: standard deviation of the natural log-power specific to a subject, clip, channel and
            band, independent of the ratings.
        clip_seconds: duration of the shortest clip in seconds, 2 or more; others are up to 3 s longer.
        version: version of the MATLAB file, 5 or 7.3 (HDF5).
        compressed: compress a file of version 5.

    Returns:
        `out`.

    Raises:
        ValueError: a number is out of range, or the version is unknown.
    """
    import scipy.io

    if not 1 <= n_subjects <= FACTS["n_subjects"]:
        raise ValueError(f"`n_subjects` is {n_subjects}; expected 1 to {FACTS['n_subjects']}")
    sizes = {"fingerprint_size": fingerprint_size, "stimulus_fingerprint_size": stimulus_fingerprint_size}
    for name, value in sizes.items():
        if value < 0:
            raise ValueError(f"`{name}` is {value}; expected 0 or more")
    if clip_seconds < 2:
        raise ValueError(f"`clip_seconds` is {clip_seconds}; expected 2 or more")
    if version not in get_args(Version):
        raise ValueError(f"`version` is {version!r}; expected one of {get_args(Version)}")
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    ratings = {name: _ratings(name, seed) for name in FACTS["ratings"]}
    lengths = [clip_seconds + video % 4 for video in range(FACTS["n_videos"])]
    people = [
        _person(
            subject, lengths, {name: table[subject - 1] for name, table in ratings.items()}, seed, effect_size, **sizes
        )
        for subject in range(1, n_subjects + 1)
    ]
    content = {
        "Data": _cell(people, (1, -1)),
        "EEG_SamplingRate": np.array([[float(FACTS["eeg_sampling_rate_hz"])]]),
        "ECG_SamplingRate": np.array([[float(FACTS["ecg_sampling_rate_hz"])]]),
        "EEG_Electrodes": _cell(CHANNEL_NAMES, (1, -1)),
        "noOfSubjects": np.array([[float(n_subjects)]]),
        "noOfVideoSequences": np.array([[float(FACTS["n_videos"])]]),
        **dict.fromkeys(FACTS["fields"][6:], "synthetic"),
    }
    path = out / FACTS["file"]
    if version == "7.3":
        write_matlab73(path, {FACTS["variable"]: content})
    else:
        scipy.io.savemat(path, {FACTS["variable"]: content}, do_compression=compressed)
    write_marker(out, dataset="dreamer", n_subjects=n_subjects, seed=seed, effect_size=effect_size, **sizes)
    return out


def _cell(values: Any, shape: tuple[int, int]) -> np.ndarray:
    cell = np.empty(len(values), dtype=object)
    for place, value in enumerate(values):
        cell[place] = value
    return cell.reshape(shape)


def _ratings(name: str, seed: int) -> np.ndarray:
    """Draw `(23, 18)` integers from 1 to 5 of all subjects, with the known means, or around 3 if unknown."""
    low, high = FACTS["rating_range"]
    n_subjects = FACTS["n_subjects"]
    means = VIDEOS[f"mean_{name}"].to_numpy() if f"mean_{name}" in VIDEOS else np.full(len(VIDEOS), 3.0)
    place = list(FACTS["ratings"]).index(name)
    columns = []
    for video, mean in enumerate(means, 1):
        rng = np.random.default_rng([seed, place, video, _RATING_SEED])
        scores = np.clip(np.rint(rng.normal(mean, RATING_SD, n_subjects)), low, high)
        while missing := round(mean * n_subjects) - int(scores.sum()):
            step = np.sign(missing)
            movable = np.flatnonzero((low <= scores + step) & (scores + step <= high))
            scores[rng.choice(movable)] += step
        columns.append(scores)
    return np.column_stack(columns)


def _person(
    subject: int,
    lengths: list[int],
    ratings: Mapping[str, np.ndarray],
    seed: int,
    effect_size: float,
    fingerprint_size: float,
    stimulus_fingerprint_size: float,
) -> dict[str, Any]:
    eeg_rate, ecg_rate = FACTS["eeg_sampling_rate_hz"], FACTS["ecg_sampling_rate_hz"]
    rest = FACTS["baseline_seconds"]
    rng = np.random.default_rng([seed, subject, 0, _PERSON_SEED])
    offsets = OFFSET_UV + rng.normal(0, 30, len(CHANNEL_NAMES))
    age, gender = int(rng.integers(22, 34)), ("male", "female")[subject % 2]
    signals: dict[str, dict[str, list[np.ndarray]]] = {kind: {"baseline": [], "stimuli": []} for kind in ("EEG", "ECG")}
    subject_log_power = None
    for video, seconds in enumerate(lengths, 1):
        noise = _noise(rest + seconds)
        if subject_log_power is None:
            subject_log_power = noise.subject_log_power(rng)
        effect = np.zeros_like(subject_log_power)
        for name, (band, electrodes) in RATING_EFFECTS.items():
            deviation = (ratings[name][video - 1] - FACTS["rating_threshold"]) / RATING_SD
            effect[list(BAND_EDGES_HZ).index(band)] += effect_size * deviation * noise.focus(electrodes)
        rng_of_trial = np.random.default_rng([seed, subject, video])
        stimulus = noise.stimulus_log_power(seed, subject, video, stimulus_fingerprint_size)
        eeg = noise.trial(
            rng_of_trial, subject_log_power, effect, fingerprint_size, stimulus_log_power=stimulus
        ).astype(np.float64)
        ecg = heart_beats(rng_of_trial, ecg_rate, (rest + seconds) * ecg_rate, len(FACTS["ecg_channels"]))
        for kind, signal, rate in (("EEG", eeg.T + offsets, eeg_rate), ("ECG", 2000 + ecg.T, ecg_rate)):
            signals[kind]["baseline"].append(signal[: rest * rate])
            signals[kind]["stimuli"].append(signal[rest * rate :])
    values: dict[str, Any] = {"Age": str(age), "Gender": gender}
    for kind, parts in signals.items():
        values[kind] = {part: _cell(arrays, (-1, 1)) for part, arrays in parts.items()}
    for name, field in FACTS["ratings"].items():
        values[field] = ratings[name][:, np.newaxis]
    return {name: values[name] for name in FACTS["subject_fields"]}


def _noise(seconds: int) -> EEGNoise:
    rate = FACTS["eeg_sampling_rate_hz"]
    n_baseline = FACTS["baseline_seconds"] * rate
    return EEGNoise(CHANNEL_NAMES, rate, seconds * rate, n_baseline, PASS_BAND_HZ)
