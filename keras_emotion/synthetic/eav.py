"""Synthetic data in the format of EAV: EEG, audio and face videos of conversations."""

from __future__ import annotations

import wave
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, get_args

import joblib
import numpy as np

from keras_emotion.synthetic.deap_videos import check_video, trial_frames
from keras_emotion.synthetic.eeg import BAND_EDGES_HZ, EEGNoise
from keras_emotion.synthetic.faces import AnimatedFace, FaceIdentity
from keras_emotion.synthetic.facts import read_channels, read_facts, write_marker
from keras_emotion.synthetic.stimuli import SAMPLING_RATE_HZ, Look, write_clip

FACTS = read_facts("eav")
CHANNEL_NAMES = tuple(read_channels("eav")["name"])
EMOTIONS = tuple(FACTS["class_names"])
TASKS = tuple(FACTS["task_names"])
RATE_HZ: int = FACTS["sampling_rate_hz"]

CLASS_EFFECTS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "neutral": ("alpha", ("P3", "Pz", "P4", "Oz")),
    "sadness": ("theta", ("Fz", "Cz")),
    "anger": ("beta", ("F7", "F8")),
    "happiness": ("gamma", ("T7", "T8")),
    "calmness": ("alpha", ("F3", "F4")),
}
"""Band whose power is higher during trials of each class, and its main electrodes."""

AFFECT: Mapping[str, Mapping[str, float]] = {
    "neutral": {"valence": 0.0, "arousal": 0.0},
    "sadness": {"valence": -1.0, "arousal": -0.7},
    "anger": {"valence": -0.8, "arousal": 1.0},
    "happiness": {"valence": 1.0, "arousal": 0.8},
    "calmness": {"valence": 0.7, "arousal": -0.9},
}
"""Valence and arousal of face and voice, -1 to 1."""

FACE_DEVIATIONS = 2.0
"""Standard deviations of a rating that a face shows for an affect of 1."""

PASS_BAND_HZ = (0.5, 100.0)

# Last elements of the seeds `[seed, subject, ...]`; trials have `[seed, subject, trial]`.
_VOICE, _SOUND, _FACE = 61, 62, 63

Variable = Literal["seg1", "seg"]


def write_eav(
    out: str | Path,
    n_subjects: int = 2,
    n_conversations: int = 4,
    seed: int = 0,
    effect_size: float = 1.0,
    fingerprint_size: float = 0.6,
    *,
    stimulus_fingerprint_size: float = 0.0,
    trial_seconds: int = 20,
    face_effect_size: float = 1.0,
    voice_effect_size: float = 1.0,
    media: bool = True,
    video_frame_rate_hz: float = 10.0,
    video_size: tuple[int, int] = (96, 96),
    variable: Variable = "seg1",
    zero_padded: bool = False,
) -> Path:
    """Write a synthetic EAV: `EEG`, `Audio` and `Video` of each subject.

    A conversation has ten trials, a neutral exchange of listening and speaking and four exchanges of its emotion. The
    EEG is `(500 s, 30, trials)` float64, correlated pink noise, 0.5 to 100 Hz, some 10 microvolts, average-referenced;
    see `EEGNoise`. Labels are one-hot, row `2 e` for listening and `2 e + 1` for speaking with emotion `e`. Faces show
    the affect of the emotion (`AFFECT`) while the subject speaks and half of it while listening; the speech is a
    subject-specific tone of four partials, whose pitch, timbre and level follow the emotion.

    A subject's files do not depend on the number of subjects.

    Args:
        out: output folder; created if missing.
        n_subjects: number of subjects, 1 to 42.
        n_conversations: conversations of each subject, 1 to 20; with fewer than 20 their emotions alternate, with 20
            they are in the order of EAV.
        seed: random seed.
        effect_size: natural log-power that a trial of a class adds in the band of the class (`CLASS_EFFECTS`); 0 is no
            effect.
        fingerprint_size: standard deviation of the trial-specific natural log-power of each channel and band,
            independent of the class; it fluctuates over some 20 s.
        stimulus_fingerprint_size: standard deviation of the natural log-power specific to a subject, block of trials of
            one emotion, channel and band, independent of the class.
        trial_seconds: duration of a trial in seconds, 2 or more; 20 in EAV, with which a subject with 200 trials takes
            480 MB.
        face_effect_size: size of the effect on the face; see `trial_expression`.
        voice_effect_size: factor of the effect of emotion on the speech; 0 is no effect.
        media: write audio and video.
        video_frame_rate_hz: frames per second of a video, 1 to 120; 30 in EAV.
        video_size: width and height of a video; even numbers from 32 on.
        variable: name of the EEG variable.
        zero_padded: name the folders and files `subject01` instead of `subject1`.

    Returns:
        `out`.

    Raises:
        ValueError: a number is out of range, or a name is unknown.
    """
    for name, value, lowest, highest in (
        ("n_subjects", n_subjects, 1, FACTS["n_subjects"]),
        ("n_conversations", n_conversations, 1, len(FACTS["conversations"])),
        ("trial_seconds", trial_seconds, 2, 600),
    ):
        if not lowest <= value <= highest:
            raise ValueError(f"`{name}` is {value}; expected {lowest} to {highest}")
    sizes = {
        "fingerprint_size": fingerprint_size,
        "stimulus_fingerprint_size": stimulus_fingerprint_size,
        "face_effect_size": face_effect_size,
        "voice_effect_size": voice_effect_size,
    }
    for name, value in sizes.items():
        if value < 0:
            raise ValueError(f"`{name}` is {value}; expected 0 or more")
    if variable not in get_args(Variable):
        raise ValueError(f"`variable` is {variable!r}; expected one of {get_args(Variable)}")
    check_video(video_frame_rate_hz, video_size)
    out = Path(out)
    conversations = conversations_of(n_conversations)
    emotions = [emotion for own in conversations for emotion in _exchanges(own)]
    noise = EEGNoise(CHANNEL_NAMES, RATE_HZ, trial_seconds * RATE_HZ, 0, PASS_BAND_HZ)
    for subject in range(1, n_subjects + 1):
        own = f"subject{subject:02d}" if zero_padded else f"subject{subject}"
        folder = out / own
        for name in FACTS["folders"].values():
            (folder / name).mkdir(parents=True, exist_ok=True)
        _write_eeg(
            folder / FACTS["folders"]["eeg"],
            own,
            variable,
            noise,
            seed,
            subject,
            emotions,
            effect_size,
            fingerprint_size,
            stimulus_fingerprint_size,
        )
        if media:
            _write_media(
                folder,
                seed,
                subject,
                emotions,
                trial_seconds,
                face_effect_size,
                voice_effect_size,
                video_frame_rate_hz,
                video_size,
            )
    write_marker(
        out,
        dataset="eav",
        subjects=list(range(1, n_subjects + 1)),
        conversations=list(conversations),
        n_trials=2 * len(emotions),
        seed=seed,
        effect_size=effect_size,
        **sizes,
        trial_seconds=trial_seconds,
        media=media,
    )
    return out


def conversations_of(n_conversations: int) -> list[str]:
    """Return the emotions of the conversations, in order."""
    order = FACTS["conversations"]
    if n_conversations == len(order):
        return list(order)
    turns = list(dict.fromkeys(order))
    return [turns[place % len(turns)] for place in range(n_conversations)]


def _exchanges(emotion: str) -> list[str]:
    """Return the emotions of the exchanges of a conversation: a neutral one first."""
    n_neutral = FACTS["n_neutral_exchanges_of_conversation"]
    return ["neutral"] * n_neutral + [emotion] * (FACTS["n_exchanges_of_conversation"] - n_neutral)


def _write_eeg(
    folder: Path,
    own: str,
    variable: str,
    noise: EEGNoise,
    seed: int,
    subject: int,
    emotions: list[str],
    effect_size: float,
    fingerprint_size: float,
    stimulus_fingerprint_size: float,
) -> None:
    """Write the EEG and its labels."""
    import scipy.io

    n_trials = len(TASKS) * len(emotions)
    # In MATLAB's memory order, to avoid a copy.
    signals = np.empty((noise.n_samples, len(CHANNEL_NAMES), n_trials), order="F")
    labels = np.zeros((len(EMOTIONS) * len(TASKS), n_trials))
    subject_log_power = noise.subject_log_power(np.random.default_rng([seed, subject, 0]))
    block = 0
    for place in range(n_trials):
        emotion = emotions[place // len(TASKS)]
        block += place == 0 or emotion != emotions[(place - 1) // len(TASKS)]
        band, electrodes = CLASS_EFFECTS[emotion]
        effect = np.zeros_like(subject_log_power)
        effect[list(BAND_EDGES_HZ).index(band)] = effect_size * noise.focus(electrodes)
        signals[:, :, place] = noise.trial(
            np.random.default_rng([seed, subject, place + 1]),
            subject_log_power,
            effect,
            fingerprint_size,
            stimulus_log_power=noise.stimulus_log_power(seed, subject, block, stimulus_fingerprint_size),
        ).T
        labels[len(TASKS) * EMOTIONS.index(emotion) + place % len(TASKS), place] = 1
    scipy.io.savemat(folder / f"{own}_eeg.mat", {variable: signals})
    scipy.io.savemat(folder / f"{own}_eeg_label.mat", {FACTS["label_variable"]: labels})


def _write_media(
    folder: Path,
    seed: int,
    subject: int,
    emotions: list[str],
    seconds: int,
    face_effect_size: float,
    voice_effect_size: float,
    frame_rate_hz: float,
    size: tuple[int, int],
) -> None:
    """Write videos of all trials, and the audio of speaking trials."""
    identity = FaceIdentity.draw(np.random.default_rng([seed, subject, 0, _FACE]))
    times = np.arange(round(seconds * frame_rate_hz)) / frame_rate_hz

    def write(place: int) -> None:
        emotion, task = emotions[place // len(TASKS)], TASKS[place % len(TASKS)]
        # The number after `Trial` restarts after two conversations.
        name = f"{place + 1:03d}_Trial_{place % 20 + 1:02d}_{task.capitalize()}_{emotion.capitalize()}"
        share = 1.0 if task == "speaking" else 0.5
        deviations = {name: share * FACE_DEVIATIONS * value for name, value in AFFECT[emotion].items()}
        # A face has its own buffers, so each thread needs one.
        face = AnimatedFace(size[1], size[0], identity)
        frames = trial_frames(face, seed, subject, place + 1, deviations, times, face_effect_size)
        write_clip(folder / FACTS["folders"]["video"] / f"{name}.mp4", frames, None, frame_rate_hz, size)
        if task == "speaking":
            # The timbre depends on the subject, the course on the trial.
            voice, course = (np.random.default_rng([seed, subject, own]) for own in (_VOICE, place + 1 + 1000 * _SOUND))
            sound = Look.draw(voice, 0.5, voice_effect_size, AFFECT[emotion]).sound(course, seconds, False)
            _write_wave(folder / FACTS["folders"]["voice"] / f"{name}_Aud.wav", sound)

    # Threads, because warping and encoding release the interpreter lock.
    joblib.Parallel(n_jobs=-1, prefer="threads")(
        joblib.delayed(write)(place) for place in range(len(TASKS) * len(emotions))
    )


def _write_wave(path: Path, sound: np.ndarray) -> None:
    """Write a 16-bit mono file."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLING_RATE_HZ)
        file.writeframes(np.rint(32767 * sound).astype("<i2").tobytes())
