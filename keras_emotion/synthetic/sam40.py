"""Synthetic data in the published format of SAM40."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pandas as pd

from keras_emotion.synthetic.eeg import BAND_EDGES_HZ, EEGNoise
from keras_emotion.synthetic.facts import read_channels, read_facts, write_marker

FACTS = read_facts("sam40")
CHANNEL_NAMES = tuple(read_channels("sam40")["name"])

TASK_EFFECTS = {
    "Relax": ("alpha", ("P3", "Pz", "P4", "Oz")),
    "Stroop": ("theta", ("Fz", "FC1", "FC2")),
    "Arithmetic": ("beta", ("F3", "F4")),
    "Mirror_image": ("gamma", ("O1", "Oz", "O2")),
}
"""Band whose power is higher during each task, and its main electrodes."""

STRESS_EFFECT = ("beta", ("T7", "T8"))
"""The same for the stress rating of a task."""

STRESS_MIDDLE, STRESS_SD = 5.0, 2.0

Files = Literal["filtered", "raw"]
_LABEL_NAMES = {"Relax": "Relaxation", "Mirror_image": "Mirror_Image"}


def write_sam40(
    out: str | Path,
    n_subjects: int = 4,
    seed: int = 0,
    effect_size: float = 1.0,
    fingerprint_size: float = 0.6,
    files: Sequence[Files] = ("filtered",),
) -> Path:
    """Write a synthetic SAM40: twelve recordings of 25 s per subject, and their stress ratings.

    A subject's files do not depend on the number of subjects. See `write_deap` for the signals.

    Args:
        out: output folder; created if missing.
        n_subjects: number of subjects, 1 to 40: the first ones.
        seed: random seed; the same seed gives the same files.
        effect_size: size of the planted effect; natural log-power that a task adds in its band (`TASK_EFFECTS`), and
            stress in its own band for a rating one `STRESS_SD` above the middle; 0 is no effect.
        fingerprint_size: size of the recording-specific pattern; standard deviation of the natural log-power that is
            drawn for each recording, channel and band, independent of the task; it fluctuates over some 20 s.
        files: formats to write; `"filtered"` (in `filtered_data/`, variable `Clean_data`) and `"raw"` (in `raw_data/`,
            variable `Data`, with offsets and drift of the electrodes).

    Returns:
        `out`.

    Raises:
        ValueError: a number is out of range, or a name is unknown.
    """
    import scipy.io

    if not 1 <= n_subjects <= FACTS["n_subjects"]:
        raise ValueError(f"`n_subjects` is {n_subjects}; expected 1 to {FACTS['n_subjects']}")
    if not files or not set(files) <= set(get_args(Files)):
        raise ValueError(f"`files` is {tuple(files)}; expected some of {get_args(Files)}")
    if fingerprint_size < 0:
        raise ValueError(f"`fingerprint_size` is {fingerprint_size}; expected 0 or more")
    out = Path(out)
    noise = EEGNoise(CHANNEL_NAMES, FACTS["sampling_rate_hz"], FACTS["n_samples"], 0, pass_band_hz=(1.0, 45.0))
    bands = list(BAND_EDGES_HZ)
    labels = []
    for subject in range(1, n_subjects + 1):
        rng = np.random.default_rng([seed, subject])
        subject_log_power = noise.subject_log_power(rng)
        for index, task in enumerate(FACTS["tasks"]):
            for repetition in range(1, FACTS["n_trials_per_task"] + 1):
                rng = np.random.default_rng([seed, subject, index + 1, repetition])
                is_task = task != "Relax"
                stress = int(np.clip(np.rint(rng.normal(STRESS_MIDDLE, STRESS_SD)), 1, 10)) if is_task else 0
                effect = np.zeros_like(subject_log_power)
                deviation = (stress - STRESS_MIDDLE) / STRESS_SD if is_task else 0.0
                for (band, electrodes), strength in ((TASK_EFFECTS[task], 1.0), (STRESS_EFFECT, deviation)):
                    effect[bands.index(band)] += effect_size * strength * noise.focus(electrodes)
                signal = noise.trial(rng, subject_log_power, effect, fingerprint_size).astype(np.float64)
                drift = rng.normal(0, 50, (len(CHANNEL_NAMES), 2)) @ np.stack(
                    [np.ones(noise.n_samples), np.linspace(-1, 1, noise.n_samples)]
                )
                for kind, content in (("filtered", signal), ("raw", signal + drift)):
                    if kind in files:
                        folder = out / f"{kind}_data"
                        folder.mkdir(parents=True, exist_ok=True)
                        scipy.io.savemat(
                            folder / f"{task}_sub_{subject}_trial{repetition}.mat", {FACTS["variables"][kind]: content}
                        )
                level = "Relaxed" if stress <= 3 else "Low Stress" if stress <= 6 else "High Stress"
                labels.append((subject, _LABEL_NAMES.get(task, task), repetition, stress, level))
    columns = ["subject", "task", "trial", "rating", "stress_level"]
    pd.DataFrame(labels, columns=columns).to_csv(out / "stress_labels.csv", index=False)
    write_marker(
        out,
        dataset="sam40",
        n_subjects=n_subjects,
        seed=seed,
        effect_size=effect_size,
        fingerprint_size=fingerprint_size,
    )
    return out
