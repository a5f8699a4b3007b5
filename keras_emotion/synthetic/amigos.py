"""Synthetic data in the published format of AMIGOS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from keras_emotion.synthetic.eeg import BAND_EDGES_HZ, EEGNoise
from keras_emotion.synthetic.facts import read_facts, write_marker
from keras_emotion.synthetic.heart import heart_beats

FACTS = read_facts("amigos")
VIDEOS = (*FACTS["short_videos"], *FACTS["long_videos"])
CHANNEL_NAMES = tuple(FACTS["eeg_channels"])

RATING_EFFECTS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "valence": ("gamma", ("T7", "T8")),
    "arousal": ("beta", ("F3", "F4")),
}
"""Band whose power follows each rating, and its main electrodes."""

ANNOTATION_EFFECTS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "valence": ("alpha", ("O1", "O2")),
    "arousal": ("theta", ("AF3", "AF4")),
}
"""The same for the external annotation, per segment."""

RATING_SD, GROUP_RATING_SD = 1.8, 0.5
ANNOTATION_SD = 0.4
PASS_BAND_HZ = (4.0, 45.0)
SKIN_LEVEL, SKIN_SD = 2e5, 2e3

Layout = Literal["flat", "folders", "matlab"]

# Last elements of the seeds `[seed, number, ...]`.
_RATING_SEED, _ANNOTATION_SEED, _ORDER_SEED = 51, 52, 53

_SHUFFLED_PERSON, _UNBOUNDED_PERSON = 2, 3
_BROKEN_COLUMNS = {9: "GSR", 12: "T7"}
"""Subjects with NaN in a column of one video."""


def write_amigos(
    out: str | Path,
    n_subjects: int = 4,
    seed: int = 0,
    effect_size: float = 1.0,
    fingerprint_size: float = 0.6,
    *,
    subjects: Sequence[int] | None = None,
    stimulus_fingerprint_size: float = 0.0,
    clip_seconds: int = 24,
    layout: Layout = "flat",
) -> Path:
    """Write synthetic files `Data_Preprocessed_P01.mat` and so on: 16 short and 4 long videos per subject.

    The files have 14 EEG channels, two ECG channels and the skin response at 128 Hz, starting with 5 s of baseline;
    self-assessments, and the external annotation of segments of 20 s. Each video has its own duration; long ones last
    twice as long as short ones. The short videos have the dataset's mean valence and arousal over all 40 subjects;
    ratings of subjects who watched a long video together differ little. A subject's file does not depend on the number
    of subjects. See `write_deap` for the signals.

    Gaps are those of the dataset: 8, 24 and 28 have no long videos, 32 has no ratings of them, 9 and 12 have a column
    of NaN, 21, 22, 23 and 33 lack the signal of a video. The video ids of subject 2 are in another order, and a rating
    of subject 3 is above 9.

    Args:
        out: output folder; created if missing.
        n_subjects: number of subjects, 1 to 40: the first ones.
        seed: random seed; the same seed gives the same files.
        effect_size: natural log-power that a rating adds in its band (`RATING_EFFECTS`) per `RATING_SD` above 5, and an
            annotation in its own band (`ANNOTATION_EFFECTS`) per `ANNOTATION_SD`; 0 is no effect.
        fingerprint_size: standard deviation of the trial-specific natural log-power of each channel and band,
            independent of the ratings; it fluctuates over some 20 s.
        subjects: numbers of the subjects, instead of the first ones.
        stimulus_fingerprint_size: standard deviation of the natural log-power specific to a subject, video, channel and
            band, independent of the ratings.
        clip_seconds: duration of the shortest video in seconds, 16 or more.
        layout: all files in one folder (`flat`), each in a folder of its name (`folders`), or all in `Physiological
            Recordings/Matlab Preprocessed Data` (`matlab`).

    Returns:
        `out`.

    Raises:
        ValueError: a number is out of range, or the layout is unknown.
    """
    import scipy.io

    persons = tuple(range(1, n_subjects + 1)) if subjects is None else tuple(subjects)
    if not persons or not {*persons} <= {*range(1, FACTS["n_subjects"] + 1)}:
        name, value = ("n_subjects", n_subjects) if subjects is None else ("subjects", persons)
        raise ValueError(f"`{name}` is {value}; expected 1 to {FACTS['n_subjects']}")
    sizes = {"fingerprint_size": fingerprint_size, "stimulus_fingerprint_size": stimulus_fingerprint_size}
    for name, value in sizes.items():
        if value < 0:
            raise ValueError(f"`{name}` is {value}; expected 0 or more")
    if clip_seconds < 16:
        raise ValueError(f"`clip_seconds` is {clip_seconds}; expected 16 or more")
    if layout not in get_args(Layout):
        raise ValueError(f"`layout` is {layout!r}; expected one of {get_args(Layout)}")
    out = Path(out)
    assessments = [_assessments(video, seed) for video in VIDEOS]
    for person in persons:
        name = f"Data_Preprocessed_P{person:02d}"
        folder = {
            "flat": out,
            "folders": out / name,
            "matlab": out / "Physiological Recordings" / "Matlab Preprocessed Data",
        }[layout]
        folder.mkdir(parents=True, exist_ok=True)
        own = [rows[person - 1] for rows in assessments]
        scipy.io.savemat(folder / f"{name}.mat", _file(person, own, clip_seconds, seed, effect_size, **sizes))
    write_marker(out, dataset="amigos", subjects=list(persons), seed=seed, effect_size=effect_size, **sizes)
    return out


def _assessments(video: str, seed: int) -> np.ndarray:
    """Draw `(40, 12)` self-assessments of all subjects; NaN for missing ones."""
    place = VIDEOS.index(video)
    is_long = video in FACTS["long_videos"]
    rng = np.random.default_rng([seed, place, _RATING_SEED])
    low, high = FACTS["rating_range"]
    names = FACTS["self_assessment"]
    values = np.empty((FACTS["n_subjects"], len(names)))
    for column, name in enumerate(names[: FACTS["n_scales"]]):
        known = FACTS["mean_ratings"].get(name)
        mean = known[place] if known and not is_long else 5.0
        rated = np.clip(rng.normal(mean, RATING_SD, len(values)), low, high)
        if is_long:
            for group in FACTS["groups"]:
                rows = np.array(group) - 1
                shared = rng.normal(5.0, RATING_SD)
                rated[rows] = np.clip(shared + rng.normal(0, GROUP_RATING_SD, len(rows)), low, high)
        else:
            # Clipped again after each shift, until the mean is the known one.
            while abs(mean - rated.mean()) > 1e-6:
                rated = np.clip(rated + mean - rated.mean(), low, high)
        values[:, column] = rated
    values[:, FACTS["n_scales"] :] = rng.integers(0, 2, (len(values), len(names) - FACTS["n_scales"]))
    if is_long:
        values[np.array([*FACTS["without_long_videos"], *FACTS["without_long_ratings"]]) - 1] = np.nan
    return values


def _file(
    person: int,
    assessments: Sequence[np.ndarray],
    clip_seconds: int,
    seed: int,
    effect_size: float,
    fingerprint_size: float,
    stimulus_fingerprint_size: float,
) -> dict[str, np.ndarray]:
    """Return the variables of a subject's file."""
    rate, baseline = FACTS["sampling_rate_hz"], FACTS["baseline_seconds"]
    subject_log_power = None
    cells: dict[str, list[Any]] = {name: [] for name in FACTS["variables"].values()}
    for place, (video, assessment) in enumerate(zip(VIDEOS, assessments, strict=True)):
        is_long = video in FACTS["long_videos"]
        seconds = (clip_seconds + place % 4) * (2 if is_long else 1)
        noise = EEGNoise(CHANNEL_NAMES, rate, (baseline + seconds) * rate, baseline * rate, PASS_BAND_HZ)
        if subject_log_power is None:
            subject_log_power = noise.subject_log_power(np.random.default_rng([seed, person, 0]))
        rng = np.random.default_rng([seed, person, place + 1])
        # The same for all subjects: the external annotation depends on the video as much as on the face.
        annotation, courses = _annotation(np.random.default_rng([seed, place, _ANNOTATION_SEED]), seconds)
        effects, factors = [], []
        for name, effect in RATING_EFFECTS.items():
            rating = assessment[FACTS["self_assessment"].index(name)]
            effects.append(effect)
            factors.append(np.full(noise.n_samples, 0.0 if np.isnan(rating) else (rating - 5) / RATING_SD))
        for name, effect in ANNOTATION_EFFECTS.items():
            effects.append(effect)
            factors.append(courses[name] / ANNOTATION_SD)
        log_power = np.zeros((len(effects), *subject_log_power.shape))
        for row, (band, electrodes) in enumerate(effects):
            log_power[row, list(BAND_EDGES_HZ).index(band)] = effect_size * noise.focus(electrodes)
        eeg = noise.trial(
            rng,
            subject_log_power,
            log_power,
            fingerprint_size,
            effect_courses=np.array(factors),
            stimulus_log_power=noise.stimulus_log_power(seed, person, place + 1, stimulus_fingerprint_size),
        )
        ecg = heart_beats(rng, rate, noise.n_samples, 2)
        skin = SKIN_LEVEL + SKIN_SD * np.cumsum(rng.normal(0, 1 / rate**0.5, noise.n_samples))
        signal = np.vstack([eeg, ecg, skin]).T.astype(np.float64)
        rating = assessment[np.newaxis].copy()
        if place == person % 16:
            signal, rating = _with_gaps(person, signal, rating)
        if is_long and person in FACTS["without_long_videos"]:
            signal, annotation = np.empty((0, 0)), np.empty((0, 0))
        cells[FACTS["variables"]["videos"]].append(np.array([video]))
        cells[FACTS["variables"]["signals"]].append(signal)
        cells[FACTS["variables"]["ratings"]].append(rating if np.isfinite(rating).all() else np.empty((1, 0)))
        cells[FACTS["variables"]["annotations"]].append(annotation)
    order = np.arange(len(VIDEOS))
    if person == _SHUFFLED_PERSON:
        np.random.default_rng([seed, person, _ORDER_SEED]).shuffle(order)
    return {name: _cells([values[place] for place in order]) for name, values in cells.items()}


def _with_gaps(person: int, signal: np.ndarray, rating: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Add the dataset's known faults to the signal and the ratings of one video of a subject."""
    if person in _BROKEN_COLUMNS:
        signal[:, [*CHANNEL_NAMES, *FACTS["other_channels"]].index(_BROKEN_COLUMNS[person])] = np.nan
    elif person in FACTS["with_gaps"] and person not in FACTS["without_long_videos"]:
        signal = np.empty((0, 0))
    if person == _UNBOUNDED_PERSON:
        rating[0, FACTS["self_assessment"].index("familiarity")] = FACTS["rating_range"][1] + 0.25
    return signal, rating


def _annotation(rng: np.random.Generator, seconds: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Draw the `(segments, 3)` annotation of a video, and the course of each column over the samples."""
    rate, baseline, length = FACTS["sampling_rate_hz"], FACTS["baseline_seconds"], FACTS["segment_seconds"]
    n_segments = 1 + -(-seconds // length)
    middles = [length / 2, *(baseline + length * (one + 0.5) for one in range(n_segments - 2))]
    middles.append(baseline + seconds - length / 2)
    low, high = FACTS["annotation_range"]
    names = FACTS["annotation_columns"][1:]
    values = np.clip(rng.normal(0, ANNOTATION_SD, (n_segments, len(names))), low, high)
    times = np.arange((baseline + seconds) * rate) / rate
    courses = {name: np.interp(times, middles, values[:, column]) for column, name in enumerate(names)}
    return np.column_stack([np.arange(1, n_segments + 1), values]), courses


def _cells(values: Sequence[Any]) -> np.ndarray:
    cells = np.empty((1, len(values)), dtype=object)
    for place, value in enumerate(values):
        cells[0, place] = value
    return cells
