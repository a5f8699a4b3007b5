"""Synthetic data in the formats of DEAP."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
import scipy.fft
import scipy.special

from keras_emotion.synthetic.deap_original import CHANNELS, FACTS, write_original
from keras_emotion.synthetic.deap_videos import (
    EXPRESSION_PER_DEVIATION,
    check_video,
    trial_expression,
    write_face_videos,
    write_openface_files,
)
from keras_emotion.synthetic.eeg import BAND_EDGES_HZ, EEGNoise, spectrum_of_rms
from keras_emotion.synthetic.facts import write_marker
from keras_emotion.synthetic.python2_pickle import write_python2_pickle
from keras_emotion.synthetic.stimuli import write_stimuli

FileFormat = Literal["python", "matlab", "original"]
EffectFollows = Literal["rating", "expression"]
EffectIn = Literal["power", "connectivity"]
EEG_CHANNEL_NAMES = tuple(CHANNELS["name"][CHANNELS["kind"] == "eeg"])

RATING_SD = 1.8
RATING_MIDDLE = 5.0
RATING_BIAS = 0.4
"""Largest shift of all ratings of a subject."""

STIMULUS_SHARE = 0.5
"""Share of the variance of ratings that is due to the stimulus, the same for all subjects."""

EFFECTS = {"valence": ("gamma", ("F7", "F8", "T7", "T8")), "arousal": ("alpha", ("P3", "Pz", "P4", "Oz"))}
"""Band whose power follows each rating, and its main electrodes."""

COUPLINGS = {"valence": (("F7", "T7"), ("F8", "T8")), "arousal": (("P3", "O1"), ("P4", "O2"))}
"""Electrodes that a common source drives, and those that it drives with the opposite sign, in proportion to a rating:
left and right, so that the average reference contains none of it."""

_STRONGEST_COUPLING = 0.65
"""Coupling strength at which two sources leave each channel some noise of its own."""

SKIN_RESISTANCE_OHM = 3e5

# The eight channels after the EEG, in order.
_GSR, _TEMPERATURE = 4, 7
_PERIPHERAL_RMS = np.array([30.0, 30.0, 5.0, 5.0, 0.02 * SKIN_RESISTANCE_OHM, 1000.0, 1000.0, 0.5])

_N_VIDEOS_RATED_ONLINE = 120


def write_deap(
    out: str | Path,
    n_subjects: int = 4,
    n_trials: int = 40,
    seed: int = 0,
    effect_size: float = 1.0,
    fingerprint_size: float = 0.6,
    files: Sequence[FileFormat] = ("python",),
    *,
    subjects: Sequence[int] | None = None,
    stimulus_fingerprint_size: float = 0.0,
    fingerprint_in_baseline: bool = False,
    face_videos: bool = False,
    face_effect_size: float = 1.0,
    video_frame_rate_hz: float = 50.0,
    video_size: tuple[int, int] = (720, 576),
    effect_follows: EffectFollows = "rating",
    effect_in: EffectIn = "power",
    openface: bool = False,
    rating_agreement: float = STIMULUS_SHARE,
    stimuli: bool = False,
    stimulus_identity_size: float = 1.0,
    stimulus_emotion_size: float = 1.0,
    stimulus_silent_share: float = 0.2,
) -> Path:
    """Write a synthetic DEAP: ratings, recordings in any of the three formats, and face videos.

    Signals: 32 channels of correlated pink noise, 4-45 Hz, some 10 microvolts, average-referenced; EOG, EMG, GSR,
    respiration, pulse and temperature channels of plausible scales. Gamma power over temporal electrodes follows the
    subject's valence rating, alpha power over parietal ones the arousal rating.

    The original recordings contain the same trials at 512 Hz, in the order of presentation, with electrode offsets,
    drift and noise of the reference, and with shortened intervals between trials. `.dat` files have the byte layout of
    Python 2.

    Videos show one photographed face, altered to look like a different person for each subject, whose mouth follows
    valence and whose brows, lids and jaw follow arousal (see `faces`); head and light vary independently of the
    ratings.

    A subject's files do not depend on the number of subjects or the choice of `files`, and recordings do not depend on
    whether videos are written; the same seed gives the same files, bit for bit, on one machine.

    Args:
        out: output folder; created if missing.
        n_subjects: number of subjects, 1 to 32: the first ones.
        n_trials: trials of each subject, 1 to 40 (DEAP has 40).
        seed: random seed; the same seed gives the same files.
        effect_size: size of the planted effect; natural log-power at the electrodes of the effect (`EFFECTS`) for a
            rating one standard deviation (`RATING_SD`) above the middle of the scale; 0 is no effect. The average
            reference, which mixes in the other electrodes, leaves some eight tenths of it.
        fingerprint_size: size of the trial-specific pattern; standard deviation of the natural log-power that is drawn
            for each trial, channel and band, independent of the rating, before the average reference; it fluctuates
            over some 20 s. 0 is no pattern. With the defaults, a linear model on differential entropies classifies high
            against low correctly in about 0.8 of the windows of unseen trials, and in nearly all if windows of the same
            trial were in the training set; with `effect_size` 0 in half of the former and still in nearly all of the
            latter.
        files: formats to write; `"python"`, `"matlab"`, `"original"`.
        subjects: these subjects instead of the first `n_subjects`.
        stimulus_fingerprint_size: size of the stimulus-specific pattern of a subject; standard deviation of the natural
            log-power of each stimulus, channel and band, independent of the ratings, constant from stimulus onset on;
            independent between subjects and stimuli.
        fingerprint_in_baseline: extend the pattern of a trial to its baseline.
        face_videos: also write face videos; `face_video/sNN/sNN_trialMM.avi`, H.264, for the subjects with videos in
            DEAP. A subject with all 40 trials lacks as many as in DEAP, the last presented (which ones is not
            verified). At the default rate and size a video takes several megabytes and about a minute.
        face_effect_size: size of the effect on the face; during a trial, valence and arousal of the face, in [-1, 1],
            fluctuate around `tanh(face_effect_size / 2 * d)` for a rating `d` standard deviations (`RATING_SD`) above
            the middle of the scale, over some 10 s; at 0 they fluctuate equally around 0.
        video_frame_rate_hz: frames per second of a video, 1 to 120 (DEAP has 50).
        video_size: width and height of a video; even numbers from 32 on (DEAP: 720 x 576, not verified).
        effect_follows: what the effect on the signals is proportional to, from stimulus onset on; the `"rating"`,
            constant during a trial, or the instantaneous `"expression"` of the face, with an equal effect per standard
            deviation. In the latter case the signals follow the ratings only through the face, by `face_effect_size`;
            also without videos, and for subjects who have none.
        effect_in: property of the signals that carries the effect; the `"power"` of bands at some electrodes
            (`EFFECTS`), or the `"connectivity"`: channels of both hemispheres share a source (`COUPLINGS`), whose share
            of their noise rises with the rating and with `effect_size`, while their power is unchanged. The latter
            follows the rating only.
        openface: also write OpenFace output for the face videos; `openface/sNN_trialMM.csv`, ten frames per second:
            action units follow the expression of the face; place, rotation and gaze vary randomly.
        rating_agreement: share of the variance of ratings that is due to the stimulus, 0 to 1; at 1 all subjects agree.
        stimuli: also write the clips; `stimuli/<experiment id>.mp4`, and the column `Highlight_start` of
            `video_list.csv`. Video and audio of a clip depend on whether its mean valence and arousal are above or
            below the median of the clips.
        stimulus_identity_size: factor of the properties specific to each clip, unrelated to emotion; see
            `write_stimuli`.
        stimulus_emotion_size: factor of the properties common to clips of one emotion.
        stimulus_silent_share: share of the clips that are silent in their middle third.

    Returns:
        `out`.

    Raises:
        ValueError: a number is out of range, or a name is unknown.
    """
    chosen = tuple(range(1, n_subjects + 1)) if subjects is None else tuple(subjects)
    if not chosen or len(set(chosen)) < len(chosen) or not set(chosen) <= set(range(1, FACTS["n_subjects"] + 1)):
        raise ValueError(
            f"`subjects` is {chosen}; expected different ids from 1 to {FACTS['n_subjects']}, at least one"
        )
    if not 1 <= n_trials <= FACTS["n_trials"]:
        raise ValueError(f"`n_trials` is {n_trials}; expected 1 to {FACTS['n_trials']}")
    if not files or not set(files) <= set(get_args(FileFormat)):
        raise ValueError(f"`files` is {tuple(files)}; expected some of {get_args(FileFormat)}")
    for name, size in (
        ("fingerprint_size", fingerprint_size),
        ("stimulus_fingerprint_size", stimulus_fingerprint_size),
    ):
        if not 0 <= size < np.inf:
            raise ValueError(f"`{name}` is {size}; expected 0 or more")
    if effect_follows not in get_args(EffectFollows):
        raise ValueError(f"`effect_follows` is {effect_follows!r}; expected one of {get_args(EffectFollows)}")
    if effect_in not in get_args(EffectIn):
        raise ValueError(f"`effect_in` is {effect_in!r}; expected one of {get_args(EffectIn)}")
    if effect_in == "connectivity" and effect_follows != "rating":
        raise ValueError("`effect_in` 'connectivity' follows the rating; expected `effect_follows` 'rating'")
    if not 0 <= rating_agreement <= 1:
        raise ValueError(f"`rating_agreement` is {rating_agreement}; expected 0 to 1")
    check_video(video_frame_rate_hz, video_size)
    out = Path(out)
    (out / "metadata_csv").mkdir(parents=True, exist_ok=True)
    noise = EEGNoise(
        channel_names=EEG_CHANNEL_NAMES,
        sampling_rate_hz=FACTS["preprocessed"]["sampling_rate_hz"],
        n_samples=FACTS["preprocessed"]["n_samples"],
        n_baseline_samples=FACTS["baseline_seconds"] * FACTS["preprocessed"]["sampling_rate_hz"],
        pass_band_hz=(4.0, 45.0),
        fingerprint_in_baseline=fingerprint_in_baseline,
    )
    tables = []
    for subject in chosen:
        table = _ratings(seed, subject, n_trials, rating_agreement)
        followed = face_effect_size if effect_follows == "expression" else None
        fingerprint_sizes = fingerprint_size, stimulus_fingerprint_size
        data = _signals(noise, seed, subject, table, effect_size, fingerprint_sizes, followed, effect_in)
        labels = table[[name.capitalize() for name in FACTS["ratings"]]].to_numpy(float)
        _write_recordings(out, subject, data, labels, table["Trial"].to_numpy(), files, seed)
        deviations = {name: _deviation(table[name.capitalize()].to_numpy()) for name in EFFECTS}
        if openface:
            write_openface_files(out / "openface", seed, subject, table, deviations, face_effect_size)
        if face_videos:
            write_face_videos(
                out / "face_video",
                seed,
                subject,
                table,
                deviations,
                face_effect_size,
                video_frame_rate_hz,
                video_size,
            )
        tables.append(table)
    table = pd.concat(tables, ignore_index=True)
    table.to_csv(
        out / "metadata_csv" / "participant_ratings.csv", index=False, encoding="utf-8-sig", float_format="%.2f"
    )
    if stimuli:
        write_stimuli(
            out / "stimuli",
            _emotions(seed, n_trials),
            {str(stimulus): float(FACTS["trial_seconds"]) for stimulus in range(1, n_trials + 1)},
            seed,
            identity_size=stimulus_identity_size,
            emotion_size=stimulus_emotion_size,
            silent_share=stimulus_silent_share,
        )
    _video_list(n_trials, stimuli).to_csv(out / "metadata_csv" / "video_list.csv", index=False, encoding="utf-8")
    # Options that are not used are omitted, so that files written without them remain unchanged.
    more: dict[str, Any] = {}
    if stimulus_fingerprint_size:
        more["stimulus_fingerprint_size"] = stimulus_fingerprint_size
    if face_videos or effect_follows == "expression":
        more |= {"effect_follows": effect_follows, "face_effect_size": face_effect_size, "face_videos": face_videos}
    if face_videos:
        more |= {"video_frame_rate_hz": video_frame_rate_hz, "video_size": list(video_size)}
    if effect_in != "power":
        more["effect_in"] = effect_in
    if openface:
        more |= {"openface": True, "face_effect_size": face_effect_size}
    if rating_agreement != STIMULUS_SHARE:
        more["rating_agreement"] = rating_agreement
    if stimuli:
        more["stimuli"] = True
    write_marker(
        out,
        dataset="deap",
        subjects=list(chosen),
        n_trials=n_trials,
        seed=seed,
        effect_size=effect_size,
        fingerprint_size=fingerprint_size,
        fingerprint_in_baseline=fingerprint_in_baseline,
        **more,
    )
    return out


def _stimulus_ratings(seed: int, n_trials: int) -> np.ndarray:
    """Draw the `(n_trials, ratings)` stimulus component of the ratings, equal for all subjects."""
    # Drawn for all 40 stimuli, so that the ratings of a stimulus do not depend on how many are written.
    return np.random.default_rng([seed, 0]).standard_normal((FACTS["n_trials"], len(FACTS["ratings"])))[:n_trials]


def _emotions(seed: int, n_trials: int) -> dict[str, dict[str, float]]:
    """Return valence and arousal of each stimulus: 1 in the upper half of all stimuli, -1 in the lower."""
    common = pd.DataFrame(_stimulus_ratings(seed, n_trials), columns=FACTS["ratings"])[list(EFFECTS)]
    sides = np.where(common.rank() > (n_trials + 1) / 2, 1.0, -1.0)
    return {str(number): dict(zip(EFFECTS, map(float, row), strict=True)) for number, row in enumerate(sides, start=1)}


def _ratings(seed: int, subject: int, n_trials: int, agreement: float = STIMULUS_SHARE) -> pd.DataFrame:
    """Draw the rows of `participant_ratings.csv` of one subject, by experiment id."""
    shape = (n_trials, len(FACTS["ratings"]))
    stimulus = _stimulus_ratings(seed, n_trials)
    rng = np.random.default_rng([seed, subject])
    latent = np.sqrt(agreement) * stimulus + np.sqrt(1 - agreement) * rng.standard_normal(shape)
    valence = latent[:, [0]]
    # Dominance and liking correlate with valence, as in the dataset.
    latent[:, 2:] = 0.6 * valence + 0.8 * latent[:, 2:]
    # Ranks as normal scores: half of each subject's trials are on either side of the subject's median, and even with
    # few trials, the extremes are further from the median than the median is from the middle of the scale.
    ranks = latent.argsort(axis=0).argsort(axis=0)
    scores = scipy.special.ndtri((ranks + 0.5) / n_trials)
    bias = RATING_BIAS * np.sqrt((1 - agreement) / (1 - STIMULUS_SHARE))
    middle = RATING_MIDDLE + rng.uniform(-bias, bias, shape[1])
    ratings = np.clip(middle + RATING_SD * scores, *FACTS["rating_range"]).round(2)
    presentation = rng.permutation(n_trials) + 1
    seconds = 200 + 75 * (presentation - 1) + rng.uniform(0, 5, n_trials)
    familiarity = pd.array(rng.integers(1, 6, n_trials), dtype="Int64")
    if subject in FACTS["familiarity_blank_for_subjects"]:
        familiarity[:] = pd.NA
    return pd.DataFrame(
        {
            "Participant_id": subject,
            "Trial": presentation,
            "Experiment_id": np.arange(1, n_trials + 1),
            "Start_time": (seconds * 1e4).astype(np.int64),
            **{name.capitalize(): column for name, column in zip(FACTS["ratings"], ratings.T, strict=True)},
            "Familiarity": familiarity,
        }
    )


def _deviation(rating: Any) -> Any:
    """Convert ratings into standard deviations above the middle of the scale."""
    return (rating - RATING_MIDDLE) / RATING_SD


def _signals(
    noise: EEGNoise,
    seed: int,
    subject: int,
    table: pd.DataFrame,
    effect_size: float,
    fingerprint_sizes: tuple[float, float],
    face_effect_size: float | None,
    effect_in: EffectIn,
) -> np.ndarray:
    """Generate the `(trials, 40, samples)` float64 signals of one subject, by experiment id.

    The effect follows the expression of the face if `face_effect_size` is given, else the ratings. The two fingerprints
    are those of the trial and the stimulus.
    """
    rng = np.random.default_rng([seed, subject, 0])
    subject_log_power = noise.subject_log_power(rng)
    levels = np.zeros(len(_PERIPHERAL_RMS))
    levels[_GSR], levels[_TEMPERATURE] = SKIN_RESISTANCE_OHM * np.exp(rng.normal(0, 0.3)), rng.uniform(29, 34)
    bands = list(BAND_EDGES_HZ)
    times_seconds = (np.arange(noise.n_samples) - noise.n_baseline_samples) / noise.sampling_rate_hz
    data = np.empty((len(table), len(CHANNELS), noise.n_samples))
    for index, row in enumerate(table.to_dict("records")):
        rng = np.random.default_rng([seed, subject, row["Experiment_id"]])
        deviations = {rating: _deviation(row[rating.capitalize()]) for rating in EFFECTS}
        courses = None
        if face_effect_size is not None:
            expression = trial_expression(
                seed, subject, row["Experiment_id"], deviations, times_seconds, face_effect_size
            )
            courses = np.stack([expression[rating] / EXPRESSION_PER_DEVIATION for rating in EFFECTS])
        effects = np.zeros((len(EFFECTS), *subject_log_power.shape))
        for effect, (rating, (band, electrodes)) in zip(effects, EFFECTS.items(), strict=True):
            strength = effect_size if courses is not None else effect_size * deviations[rating]
            effect[bands.index(band)] = (effect_in == "power") * strength * noise.focus(electrodes)
        couplings = None
        if effect_in == "connectivity":
            shares = [_STRONGEST_COUPLING * (1 + np.tanh(effect_size * deviations[rating])) / 2 for rating in COUPLINGS]
            sides = [noise.focus(one) - noise.focus(other) for one, other in COUPLINGS.values()]
            couplings = np.array(shares)[:, np.newaxis] * sides
        if courses is None:
            effects = effects.sum(axis=0)
        n_eeg = len(EEG_CHANNEL_NAMES)
        of_trial, of_stimulus = fingerprint_sizes
        pattern = noise.stimulus_log_power(seed, subject, row["Experiment_id"], of_stimulus)
        data[index, :n_eeg] = noise.trial(rng, subject_log_power, effects, of_trial, courses, couplings, pattern)
        data[index, n_eeg:] = _peripheral(rng, noise.frequencies_hz, noise.n_samples, levels)
    return data


def _peripheral(rng: np.random.Generator, frequencies_hz: np.ndarray, n_samples: int, levels: np.ndarray) -> np.ndarray:
    """Generate `(8, samples)`: EOG, EMG, GSR, respiration, pulse and temperature, each noise with its own spectrum."""
    f = np.maximum(frequencies_hz, frequencies_hz[1])
    eye = np.where(f < 10, 1 / f, 0)
    muscle = np.where((f > 20) & (f < 60), 1, 0)
    skin = np.where(f < 0.3, f**-1.5, 0)
    breath = np.exp(-(((f - 0.25) / 0.05) ** 2))
    pulse = np.exp(-(((f - 1.2) / 0.08) ** 2)) + 0.5 * np.exp(-(((f - 2.4) / 0.16) ** 2))
    temperature = np.where(f < 0.1, f**-1.5, 0)
    shapes = np.array([eye, eye, muscle, muscle, skin, breath, pulse, temperature])
    amplitude = spectrum_of_rms(shapes, n_samples, _PERIPHERAL_RMS[:, None])
    white = rng.standard_normal((len(shapes), 2 * len(f))).view(np.complex128)
    return levels[:, None] + scipy.fft.irfft(amplitude * white, n_samples, axis=-1)


def _video_list(n_trials: int, has_starts: bool) -> pd.DataFrame:
    """Return `video_list.csv`: 120 videos rated online, the first of which were shown."""
    online = np.arange(1, _N_VIDEOS_RATED_ONLINE + 1)
    return pd.DataFrame(
        {
            "Online_id": online,
            "Experiment_id": pd.array([n if n <= n_trials else pd.NA for n in online], dtype="Int64"),
            "Lastfm_tag": "synthetic",
            "Artist": [f"Artist {number}" for number in online],
            "Title": [f"Title {number}" for number in online],
            **({"Highlight_start": 10 + 7 * online % 60} if has_starts else {}),
        }
    )


def _write_recordings(
    out: Path,
    subject: int,
    data: np.ndarray,
    labels: np.ndarray,
    presentation: np.ndarray,
    files: Sequence[FileFormat],
    seed: int,
) -> None:
    def place(folder: str, suffix: str) -> Path:
        (out / folder).mkdir(exist_ok=True)
        return out / folder / f"s{subject:02d}{suffix}"

    if "python" in files:
        write_python2_pickle(place("data_preprocessed_python", ".dat"), {"labels": labels, "data": data})
    if "matlab" in files:
        import scipy.io

        scipy.io.savemat(place("data_preprocessed_matlab", ".mat"), {"data": data, "labels": labels})
    if "original" in files:
        rng = np.random.default_rng([seed, subject, FACTS["n_trials"] + 1])
        write_original(place("data_original", ".bdf"), subject, data[np.argsort(presentation)], rng)
