"""Synthetic data in the format of MAHNOB-HCI's emotion experiment."""

from __future__ import annotations

import dataclasses
import datetime
import functools
import math
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import scipy.fft
import scipy.io
import scipy.special

from keras_emotion.synthetic.deap import (
    EFFECTS,
    RATING_BIAS,
    RATING_MIDDLE,
    RATING_SD,
    STIMULUS_SHARE,
)
from keras_emotion.synthetic.deap_videos import (
    EXPRESSION_PER_DEVIATION,
    IDENTITY_SEED,
    check_video,
    trial_expression,
    trial_frames,
    write_video,
)
from keras_emotion.synthetic.eeg import BAND_EDGES_HZ, EEGNoise, spectrum_of_rms
from keras_emotion.synthetic.faces import AnimatedFace, FaceIdentity
from keras_emotion.synthetic.facts import read_channels, read_facts, write_marker

EffectFollows = Literal["rating", "expression"]

FACTS = read_facts("mahnob_hci")
CHANNELS = read_channels("mahnob_hci")
EEG_CHANNEL_NAMES = tuple(CHANNELS["name"][CHANNELS["kind"] == "eeg"])
STIMULI = tuple(FACTS["stimulus_seconds"])
CONTINUOUS = FACTS["continuous"]
RATE_HZ: int = FACTS["sampling_rate_hz"]

PASS_BAND_HZ = (0.5, 100.0)
MAINS_HZ, MAINS_UV = 50.0, 5.0
REFERENCE_UV, OFFSET_UV, DRIFT_UV = 20.0, 5000.0, 500.0
"""Amplifier noise: standard deviations of the common reference, and of each electrode's offset and drift."""

STATUS_CODE, STATUS_PULSE_SECONDS = 16, 0.1
AMPLIFIER_BITS, START_BIT = 0x180000, 0x010000

GSR_OHM, TEMPERATURE_C = 3e5, 31.0
ECG_UV = 300.0

NEUTRAL_SECONDS, NEUTRAL_LEAD_SECONDS = 2.0, 1.0
AUDIO_RATE_HZ = 48000
SHORTEST_LEAD_SECONDS, SHORTEST_STIMULUS_SECONDS = 3.0, 1.0
TAIL_SECONDS = (47.0, 25.0)
"""Seconds by which the videos of the first and the last trial continue after the clip."""

TAKE = datetime.datetime(2010, 1, 1, 10, 0, 0)

PHYSICAL_RANGE = (-262144, 262143)
"""Range of every channel but GSR, with 2**24 steps as in BioSemi files: 31.25 nV per step; GSR has steps of 1 ohm."""

_DIGITAL_RANGE = (-(2**23), 2**23 - 1)
_DIMENSIONS = {"GSR1": "Ohm", "GSR2": "Ohm", "Temp": "C"}
_BIOSEMI_FORMAT = (192, b"24BIT")

# Last elements of seeds `[seed, subject, stimulus, ...]`, stimulus 0 for subject-level values; none is 0. Those of the
# face, 1 to 6, belong to the videos.
_SIGNALS, _RATINGS, _ORDER, _NEUTRAL, _LEVELS = 11, 12, 13, 14, 15


@dataclasses.dataclass(frozen=True)
class _Clip:
    """Clip shown to a subject: name and number of the stimulus, position, ratings, durations of clip and tail."""

    stimulus: int
    name: str
    place: int
    ratings: Mapping[str, int]
    seconds: float
    tail_seconds: float


def session_id(subject: int, trial: int, is_neutral: bool = False) -> int:
    """Return the session id of a clip, or of the neutral clip before it.

    Example:
        >>> session_id(1, 1), session_id(1, 1, is_neutral=True), session_id(21, 9)
        (2, 1, 2618)
    """
    return FACTS["session_ids_per_subject"] * (subject - 1) + 2 * trial - is_neutral


def write_mahnob_hci(
    out: str | Path,
    n_subjects: int = 2,
    n_trials: int = 4,
    seed: int = 0,
    effect_size: float = 1.0,
    fingerprint_size: float = 0.6,
    *,
    subjects: Sequence[int] | None = None,
    stimulus_fingerprint_size: float = 0.0,
    fingerprint_in_baseline: bool = False,
    lead_seconds: float = 30.0,
    stimulus_seconds: float | None = None,
    neutral_clips: bool = True,
    face_videos: bool = False,
    face_effect_size: float = 1.0,
    video_frame_rate_hz: float = 61.0,
    video_size: tuple[int, int] = (780, 580),
    video_tail_seconds: float | None = None,
    effect_follows: EffectFollows = "rating",
    continuous_valence: bool = False,
) -> Path:
    """Write a synthetic MAHNOB-HCI: `session.xml`, BioSemi file and face video of each session.

    Signals at 256 Hz, as from an amplifier: 32 channels of correlated pink noise, some 10 microvolts, with offsets,
    drift, mains hum and noise of the common reference, all uninformative; ECG, skin resistance, respiration and
    temperature; the other channels are empty. Two pulses of the status channel, below the amplifier's own bits, are the
    start and the end of the clip. See `write_deap` for the dependence of signals and faces on ratings: it is the same
    here, with integer ratings.

    A session is a folder `Sessions/<id>/`; ids follow the formula of the published paths (`session_id`). All subjects
    see the first `n_trials` of the 20 clips, each in an individual order; the trial number is the position in it.

    **Deviations** from the dataset: without videos, the duration of a section in `session.xml` is that of the clip; no
    audio, gaze files or grey-scale videos; neutral clips are short; every subject has the requested number of trials,
    whereas some subjects of the dataset have fewer and 12 and 15 have none. Unknown properties (the code in the status
    channel, the format of date and time) are arbitrary.

    A subject's files do not depend on the number of subjects or on whether videos are written; the same seed gives the
    same files, bit for bit, on one machine.

    Args:
        out: output folder; created if missing.
        n_subjects: number of subjects, 1 to 30: the first ones.
        n_trials: trials of each subject, 1 to 20.
        seed: random seed; the same seed gives the same files.
        effect_size: size of the planted effect; natural log-power at the electrodes of the effect
            (`synthetic.deap.EFFECTS`) for a rating 1.8 above the middle of the scale; 0 is no effect.
        fingerprint_size: size of the trial-specific pattern; standard deviation of the natural log-power that is drawn
            for each trial, channel and band, independent of the rating; it fluctuates over some 20 s.
        subjects: these subjects instead of the first `n_subjects`.
        stimulus_fingerprint_size: size of the stimulus-specific pattern of a subject; standard deviation of the natural
            log-power of each stimulus, channel and band, independent of the ratings, constant from stimulus onset on;
            independent between subjects and stimuli.
        fingerprint_in_baseline: extend the pattern of a trial to the signal before the clip.
        lead_seconds: seconds recorded before and after each clip; 3 or more (the dataset has 30). A recording lasts
            whole seconds and is padded at its end.
        stimulus_seconds: duration of all clips in seconds, 1 or more; by default individual durations as in the
            dataset, 34 to 146 s.
        neutral_clips: write a session of a neutral clip before each trial.
        face_videos: also write the videos of the colour camera; H.264, from stimulus onset to the end of the rating
            that follows. At the default rate and size a video takes minutes.
        face_effect_size: size of the effect on the face; see `write_deap`.
        video_frame_rate_hz: frames per second of a video, 1 to 120 (the dataset has about 61).
        video_size: width and height of a video; even numbers from 32 on (780 x 580 is not verified).
        video_tail_seconds: duration of a video after the clip in seconds; 0 or more; by default as in the dataset,
            decreasing over trials, 47 s to 25 s.
        effect_follows: what the effect on the signals is proportional to; the `"rating"`, or the instantaneous
            `"expression"` of the face, see `write_deap`.
        continuous_valence: also write the file of continuous valence: the valence of the face, 4 times per second, with
            or without videos; the signals depend on it if `effect_follows` is `"expression"`.

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
    lasts = SHORTEST_STIMULUS_SECONDS if stimulus_seconds is None else stimulus_seconds
    for name, value, is_right, expected in (
        ("n_trials", n_trials, 1 <= n_trials <= FACTS["n_trials"], f"1 to {FACTS['n_trials']}"),
        ("effect_size", effect_size, math.isfinite(effect_size), "a finite number"),
        ("fingerprint_size", fingerprint_size, 0 <= fingerprint_size < math.inf, "0 or more"),
        (
            "stimulus_fingerprint_size",
            stimulus_fingerprint_size,
            0 <= stimulus_fingerprint_size < math.inf,
            "0 or more",
        ),
        ("lead_seconds", lead_seconds, SHORTEST_LEAD_SECONDS <= lead_seconds < math.inf, "3 or more"),
        ("stimulus_seconds", stimulus_seconds, SHORTEST_STIMULUS_SECONDS <= lasts < math.inf, "1 or more, or None"),
        ("face_effect_size", face_effect_size, math.isfinite(face_effect_size), "a finite number"),
        ("effect_follows", effect_follows, effect_follows in get_args(EffectFollows), get_args(EffectFollows)),
    ):
        if not is_right:
            raise ValueError(f"`{name}` is {value!r}; expected {expected}")
    if video_tail_seconds is not None and not 0 <= video_tail_seconds < math.inf:
        raise ValueError(f"`video_tail_seconds` is {video_tail_seconds!r}; expected 0 or more, or None")
    check_video(video_frame_rate_hz, video_size)
    out = Path(out)
    recorded: dict[str, Any] = {
        "effect_size": effect_size,
        "fingerprint_size": fingerprint_size,
        "fingerprint_in_baseline": fingerprint_in_baseline,
        "lead_seconds": lead_seconds,
    }
    if stimulus_fingerprint_size:
        recorded["stimulus_fingerprint_size"] = stimulus_fingerprint_size
    valence_of: dict[tuple[int, int], np.ndarray] = {}
    followed = face_effect_size if effect_follows == "expression" else None
    for subject in chosen:
        clips = _clips(seed, subject, n_trials, stimulus_seconds, video_tail_seconds if face_videos else 0.0)
        face = None
        if face_videos:
            identity = FaceIdentity.draw(np.random.default_rng([seed, subject, 0, IDENTITY_SEED]))
            face = AnimatedFace(video_size[1], video_size[0], identity)
        begin_seconds = 0.0
        for clip in clips:
            if neutral_clips:
                _write_neutral(out, seed, subject, clip, begin_seconds, video_frame_rate_hz)
            begin_seconds += NEUTRAL_SECONDS
            folder = out / "Sessions" / str(session_id(subject, clip.place))
            folder.mkdir(parents=True, exist_ok=True)
            recording = f"Part_{subject}_S_Trial{clip.place}_emotion.bdf"
            signal, onset, end = _signals(seed, subject, clip, followed, **recorded)
            _write_bdf(folder / recording, signal, (onset, end))
            video = None
            if face is not None:
                video = f"P{subject}-Rec1-{TAKE:%Y.%m.%d.%H.%M.%S}_C1 trigger _C_Section_{2 * clip.place}.avi"
                n_frames = round((clip.seconds + clip.tail_seconds) * video_frame_rate_hz)
                times = np.arange(n_frames) / video_frame_rate_hz
                frames = trial_frames(face, seed, subject, clip.stimulus, _deviations(clip), times, face_effect_size)
                write_video(folder / video, frames, video_frame_rate_hz, video_size)
            fields = {
                "isStim": 1,
                "feltEmo": clip.ratings["emotion"],
                **{name: clip.ratings[target] for name, target in FACTS["ratings"].items()},
                "mediaFile": f"{clip.name}.avi",
            }
            identity_fields = session_id(subject, clip.place), subject, 2 * clip.place
            span = begin_seconds, clip.seconds + clip.tail_seconds
            _write_xml(folder, *identity_fields, span, video_frame_rate_hz, fields, recording, video)
            begin_seconds += clip.seconds + clip.tail_seconds
            if continuous_valence:
                times = np.arange(0, clip.seconds, 1 / CONTINUOUS["rate_hz"])
                shown = trial_expression(seed, subject, clip.stimulus, _deviations(clip), times, face_effect_size)
                valence_of[subject, session_id(1, clip.place)] = shown["valence"]
    if continuous_valence:
        labels = np.empty((1, len(valence_of)), dtype=object)
        labels[0] = list(valence_of.values())
        included = np.array(list(valence_of), dtype=np.uint8)
        scipy.io.savemat(out / CONTINUOUS["file"], {"labels": labels, "trials_included": included})
    of_faces: dict[str, Any] = {}
    if face_videos or effect_follows == "expression":
        of_faces = {"effect_follows": effect_follows, "face_effect_size": face_effect_size, "face_videos": face_videos}
    if face_videos:
        of_faces |= {
            "video_frame_rate_hz": video_frame_rate_hz,
            "video_size": list(video_size),
            "video_tail_seconds": video_tail_seconds,
        }
    write_marker(
        out,
        dataset="mahnob_hci",
        subjects=list(chosen),
        n_trials=n_trials,
        seed=seed,
        **recorded,
        stimulus_seconds=stimulus_seconds,
        neutral_clips=neutral_clips,
        **of_faces,
        **({"continuous_valence": True} if continuous_valence else {}),
    )
    return out


def _clips(
    seed: int, subject: int, n_trials: int, stimulus_seconds: float | None, tail_seconds: float | None
) -> list[_Clip]:
    """Return the clips of a subject in the order of presentation.

    Ratings are as in `write_deap`, rounded to integers: half of their variance is due to the stimulus.
    """
    targets = tuple(FACTS["ratings"].values())
    shape = (n_trials, len(targets))
    # Drawn for all stimuli, so that the ratings of one do not depend on their number.
    stimulus = np.random.default_rng([seed, _RATINGS]).standard_normal((len(STIMULI), len(targets)))[:n_trials]
    rng = np.random.default_rng([seed, subject, 0, _RATINGS])
    latent = math.sqrt(STIMULUS_SHARE) * stimulus + math.sqrt(1 - STIMULUS_SHARE) * rng.standard_normal(shape)
    scores = scipy.special.ndtri((latent.argsort(axis=0).argsort(axis=0) + 0.5) / n_trials)
    middle = RATING_MIDDLE + rng.uniform(-RATING_BIAS, RATING_BIAS, len(targets))
    ratings = np.clip(np.rint(middle + RATING_SD * scores), *FACTS["rating_range"]).astype(int)
    names = FACTS["emotion_names"]
    clips = []
    order = np.random.default_rng([seed, subject, 0, _ORDER]).permutation(n_trials)
    for place, index in enumerate(order, 1):
        rated = dict(zip(targets, ratings[index].tolist(), strict=True))
        high = rated["valence"] > RATING_MIDDLE, rated["arousal"] > RATING_MIDDLE
        keyword = {(1, 1): "amusement", (1, 0): "joy", (0, 1): "fear", (0, 0): "sadness"}[high]
        name = STIMULI[index]
        seconds = FACTS["stimulus_seconds"][name] if stimulus_seconds is None else stimulus_seconds
        tail = float(np.interp(place, (1, len(STIMULI)), TAIL_SECONDS)) if tail_seconds is None else tail_seconds
        rated |= {"emotion": names.index(keyword)}
        clips.append(_Clip(int(index) + 1, name, place, rated, float(seconds), tail))
    return clips


def _deviations(clip: _Clip) -> dict[str, float]:
    """Convert ratings into standard deviations above the middle of the scale."""
    return {rating: (clip.ratings[rating] - RATING_MIDDLE) / RATING_SD for rating in EFFECTS}


@functools.lru_cache(maxsize=len(STIMULI))
def _noise(n_samples: int, n_baseline_samples: int, fingerprint_in_baseline: bool) -> EEGNoise:
    return EEGNoise(
        channel_names=EEG_CHANNEL_NAMES,
        sampling_rate_hz=RATE_HZ,
        n_samples=n_samples,
        n_baseline_samples=n_baseline_samples,
        pass_band_hz=PASS_BAND_HZ,
        fingerprint_in_baseline=fingerprint_in_baseline,
    )


def _signals(
    seed: int,
    subject: int,
    clip: _Clip,
    face_effect_size: float | None,
    *,
    effect_size: float,
    fingerprint_size: float,
    fingerprint_in_baseline: bool,
    lead_seconds: float,
    stimulus_fingerprint_size: float = 0.0,
) -> tuple[np.ndarray, int, int]:
    """Generate `(38, samples)` of one recording, in the units of the file, and start and end of the clip."""
    onset, end = round(lead_seconds * RATE_HZ), round((lead_seconds + clip.seconds) * RATE_HZ)
    n_samples = math.ceil(2 * lead_seconds + clip.seconds) * RATE_HZ
    noise = _noise(n_samples, onset, fingerprint_in_baseline)
    levels = np.random.default_rng([seed, subject, 0, _LEVELS])
    subject_log_power = noise.subject_log_power(levels)
    rng = np.random.default_rng([seed, subject, clip.stimulus, _SIGNALS])
    times_seconds = (np.arange(n_samples) - onset) / RATE_HZ
    deviations, bands = _deviations(clip), list(BAND_EDGES_HZ)
    courses = None
    if face_effect_size is not None:
        shown = trial_expression(seed, subject, clip.stimulus, deviations, times_seconds, face_effect_size)
        courses = np.stack([shown[rating] / EXPRESSION_PER_DEVIATION for rating in EFFECTS])
    effects = np.zeros((len(EFFECTS), *subject_log_power.shape))
    for effect, (rating, (band, electrodes)) in zip(effects, EFFECTS.items(), strict=True):
        strength = effect_size if courses is not None else effect_size * deviations[rating]
        effect[bands.index(band)] = strength * noise.focus(electrodes)
    effects = effects if courses is not None else effects.sum(axis=0)
    pattern = noise.stimulus_log_power(seed, subject, clip.stimulus, stimulus_fingerprint_size)
    eeg = noise.trial(rng, subject_log_power, effects, fingerprint_size, courses, stimulus_log_power=pattern)
    eeg = eeg.astype(np.float64)
    eeg += rng.normal(0, REFERENCE_UV, n_samples) + MAINS_UV * np.sin(2 * np.pi * MAINS_HZ * times_seconds)
    eeg += rng.normal(0, OFFSET_UV, (len(eeg), 1))
    eeg += rng.normal(0, DRIFT_UV, (len(eeg), 1)) * np.linspace(0, 1, n_samples)
    resistance = GSR_OHM * np.exp(levels.normal(0, 0.3))
    return np.vstack([eeg, _peripheral(rng, noise.frequencies_hz, n_samples, resistance)]), onset, end


def _peripheral(rng: np.random.Generator, frequencies_hz: np.ndarray, n_samples: int, gsr_ohm: float) -> np.ndarray:
    """Generate `(6, samples)`: three ECG leads, skin resistance, respiration and temperature, by their spectra."""
    f = np.maximum(frequencies_hz, frequencies_hz[1])
    heart = sum(np.exp(-(((f - 1.2 * k) / (0.06 * k)) ** 2)) / k for k in range(1, 9))
    skin = np.where(f < 0.3, f**-1.5, 0)
    breath = np.exp(-(((f - 0.25) / 0.05) ** 2))
    # In a short recording, the lowest available frequency.
    temperature = np.where(f < max(0.1, 1.5 * f[1]), f**-1.5, 0)
    rms = np.array([ECG_UV, 0.02 * gsr_ohm, 1000.0, 0.3])[:, None]
    amplitude = spectrum_of_rms(np.array([heart, skin, breath, temperature]), n_samples, rms)
    white = rng.standard_normal((len(amplitude), 2 * len(f))).view(np.complex128)
    beat, skin, breath, warmth = scipy.fft.irfft(amplitude * white, n_samples, axis=-1)
    leads = [gain * beat + rng.normal(0, 10, n_samples) for gain in (1.0, -0.6, 0.4)]
    return np.stack([*leads, gsr_ohm + skin, breath, TEMPERATURE_C + warmth])


def _write_bdf(path: Path, signal: np.ndarray, marks: Sequence[int]) -> None:
    """Write the 47 channels of a recording: the given 38, empty ones, and the status channel."""
    import edfio

    recorded = dict(zip(CHANNELS["original"], signal, strict=True))
    silence = np.zeros(signal.shape[1])
    signals = []
    for name in (*EEG_CHANNEL_NAMES, *FACTS["other_bdf_channels"]):
        dimension = _DIMENSIONS.get(name, "uV")
        physical = _DIGITAL_RANGE if dimension == "Ohm" else PHYSICAL_RANGE
        digital = np.rint(np.interp(recorded.get(name, silence), physical, _DIGITAL_RANGE)).astype(np.int32)
        signals.append(
            edfio.BdfSignal.from_digital(
                digital,
                RATE_HZ,
                label=name,
                physical_dimension=dimension,
                physical_range=physical,
                digital_range=_DIGITAL_RANGE,
            )
        )
    words = np.full(signal.shape[1], AMPLIFIER_BITS, dtype=np.int32)
    words[: RATE_HZ // 8] |= START_BIT
    for mark in marks:
        words[mark : mark + round(STATUS_PULSE_SECONDS * RATE_HZ)] |= STATUS_CODE
    signals.append(
        edfio.BdfSignal.from_digital(words, RATE_HZ, label=FACTS["status_channel"], digital_range=_DIGITAL_RANGE)
    )
    header = edfio.Recording(startdate=TAKE.date(), equipment_code="synthetic")
    edfio.Bdf(signals, recording=header, data_record_duration=1).write(path)
    with path.open("r+b") as file:
        # BioSemi's identifier of the sample format, which the library leaves blank.
        file.seek(_BIOSEMI_FORMAT[0])
        file.write(_BIOSEMI_FORMAT[1])


def _write_neutral(
    out: Path, seed: int, subject: int, clip: _Clip, begin_seconds: float, video_frame_rate_hz: float
) -> None:
    """Write the session of the neutral clip before a trial: short, without ratings and video."""
    number = session_id(subject, clip.place, is_neutral=True)
    folder = out / "Sessions" / str(number)
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng([seed, subject, clip.stimulus, _NEUTRAL])
    marks = [round(seconds * RATE_HZ) for seconds in (NEUTRAL_LEAD_SECONDS, NEUTRAL_LEAD_SECONDS + NEUTRAL_SECONDS)]
    n_samples = math.ceil(2 * NEUTRAL_LEAD_SECONDS + NEUTRAL_SECONDS) * RATE_HZ
    recording = f"Part_{subject}_N_Trial{clip.place}_emotion.bdf"
    _write_bdf(folder / recording, rng.normal(0, 10, (len(CHANNELS), n_samples)), marks)
    fields = {"isStim": 0, "mediaFile": "neutral.avi"}
    span = begin_seconds, NEUTRAL_SECONDS
    _write_xml(folder, number, subject, 2 * clip.place - 1, span, video_frame_rate_hz, fields, recording, None)


def _write_xml(
    folder: Path,
    number: int,
    subject: int,
    section: int,
    span_seconds: tuple[float, float],
    video_frame_rate_hz: float,
    fields: Mapping[str, Any],
    recording: str,
    video: str | None,
) -> None:
    """Write `session.xml`; the samples of video and audio count from the start of the take."""
    begin, length = span_seconds
    time = TAKE + datetime.timedelta(seconds=begin)
    of_streams: dict[str, Any] = {}
    for stream, rate_hz, middle in (("vid", video_frame_rate_hz, 0.5 if video else 0), ("aud", AUDIO_RATE_HZ, 0)):
        of_streams |= {
            f"{stream}Rate": f"{rate_hz:g}",
            # As in the dataset: samples of a video are counted from their middles.
            f"{stream}BeginSmp": round(begin * rate_hz) + middle,
            f"{stream}EndSmp": round((begin + length) * rate_hz) + middle,
        }
    attributes = {
        "sessionId": number,
        "date": f"{time:%Y.%m.%d}",
        "time": f"{time:%H:%M:%S}",
        "experimentType": "emotion elicitation",
        **fields,
        "cutNr": section,
        "cutLenSec": f"{length:g}",
        **of_streams,
    }
    root = ElementTree.Element("session", {name: str(value) for name, value in attributes.items()})
    ElementTree.SubElement(root, "subject", id=str(subject))
    if video is not None:
        ElementTree.SubElement(root, "track", type="Video", color="1", filename=video)
    ElementTree.SubElement(root, "track", type="Physiological", filename=recording)
    ElementTree.indent(root)
    ElementTree.ElementTree(root).write(folder / "session.xml", encoding="utf-8", xml_declaration=True)
