"""Stimulus pattern of a subject: the same at each presentation, and independent of everything else."""

import json

import edfio
import mne
import numpy as np
import pandas as pd
import pytest
import scipy.io
import scipy.signal

from keras_emotion.synthetic import write_deap, write_mahnob_hci, write_recordings
from keras_emotion.synthetic.deap import EEG_CHANNEL_NAMES
from keras_emotion.synthetic.eeg import EEGNoise
from keras_emotion.synthetic.recordings import EMOTIV_CHANNEL_NAMES

BANDS_HZ = ((2, 6.5), (8.5, 12.5), (15, 29), (32, 44))
"""Within the four bands that are steered, away from their edges."""

ONLY_STIMULI = {"effect_size": 0.0, "fingerprint_size": 0.0}


def band_log_power(signal, rate):
    """`(bands, channels)` natural log-power of `(channels, samples)`, mean over time."""
    frequencies, power = scipy.signal.welch(signal, rate, nperseg=2 * rate)
    return np.log([power[:, (low <= frequencies) & (frequencies <= high)].mean(axis=1) for low, high in BANDS_HZ])


def expected_log_power(noise, log_power):
    """`(bands, channels)` natural log of the power that average-referenced noise has, up to a constant of each band.

    Channels are `C diag(exp(p / 2)) M w` of white noise `w`, with the mixing `M` and the centring `C`.
    """
    n_channels = len(noise.channel_names)
    centring = np.eye(n_channels) - 1 / n_channels
    gains = np.exp(log_power / 2)
    return np.log([np.square(centring @ (gain[:, np.newaxis] * noise.mixing)).sum(axis=1) for gain in gains])


def correlations(patterns, others):
    """Correlation of each pattern with each other one, over channels and bands, with the mean of each band removed."""
    patterns, others = (
        (values - values.mean(axis=2, keepdims=True)).reshape(len(values), -1) for values in (patterns, others)
    )
    return np.corrcoef(patterns, others)[: len(patterns), len(patterns) :]


@pytest.fixture(scope="module")
def noise():
    return EEGNoise(EMOTIV_CHANNEL_NAMES, 128, 20 * 128, 4 * 128, (1.0, 45.0))


# --- the pattern itself


def test_patterns_have_the_size_asked_for_and_are_independent(noise):
    patterns = np.array(
        [
            [noise.stimulus_log_power(5, subject, stimulus, 0.5).ravel() for stimulus in range(1, 31)]
            for subject in range(1, 31)
        ]
    )
    # 50,400 numbers: their mean and deviation have standard errors of 0.0022 and 0.0016.
    assert patterns.mean() == pytest.approx(0, abs=0.01)
    assert patterns.std() == pytest.approx(0.5, abs=0.008)
    # 56 numbers a pattern: correlations of independent ones have a standard deviation of 0.13 each.
    between = np.corrcoef(patterns.reshape(900, -1))[np.triu_indices(900, 1)]
    assert between.mean() == pytest.approx(0, abs=0.003)
    assert between.std() == pytest.approx(1 / np.sqrt(55), rel=0.02)


def test_pattern_scales_with_its_size_and_depends_on_the_seed(noise):
    one = noise.stimulus_log_power(0, 1, 2, 0.3)
    np.testing.assert_allclose(noise.stimulus_log_power(0, 1, 2, 0.6), 2 * one)
    assert not np.allclose(noise.stimulus_log_power(1, 1, 2, 0.3), one)
    assert noise.stimulus_log_power(0, 1, 2, 0.0) is None


@pytest.mark.parametrize("has_courses", [False, True])
def test_the_same_pattern_everywhere_scales_the_signal_from_the_onset_on(noise, has_courses):
    """Log-power `p` in all bands and channels is a factor of `exp(p / 2)`, whatever the average reference."""
    zeros = np.zeros((4, len(EMOTIV_CHANNEL_NAMES)))
    courses = np.sin(np.arange(noise.n_samples) / 500)[np.newaxis] if has_courses else None
    effect = np.full_like(zeros, 0.4)
    without, with_pattern = (
        noise.trial(np.random.default_rng(3), zeros, effect, 0.6, courses, stimulus_log_power=pattern)
        for pattern in (None, np.full_like(zeros, 0.7))
    )
    onset = noise.n_baseline_samples
    np.testing.assert_allclose(with_pattern[:, :onset], without[:, :onset], rtol=0, atol=1e-4)
    np.testing.assert_allclose(with_pattern[:, onset:], np.exp(0.35) * without[:, onset:], rtol=0, atol=1e-4)


# --- recordings


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Two subjects, two sessions, six stimuli twice in each: only the pattern of a stimulus is planted."""
    return write_recordings(
        tmp_path_factory.mktemp("study"),
        2,
        6,
        n_sessions=2,
        n_presentations=2,
        stimulus_fingerprint_size=0.6,
        sampling_rate_hz=128,
        trial_seconds=16,
        baseline_seconds=4,
        **ONLY_STIMULI,
    )


@pytest.fixture(scope="module")
def powers(study):
    """`subject, session, stimulus, presentation` and the band log-power of each trial, less its baseline's place.

    Read by MNE from the files; the mean over a session is taken off, and with it what subject and session are.
    """
    table = pd.read_csv(study / "trials.csv")
    table["again"] = table.groupby(["subject", "session", "stimulus"]).cumcount()
    logs, before = [], []
    for row in table.itertuples():
        raw = mne.io.read_raw_edf(study / row.file, verbose="ERROR")
        eeg = raw.get_data(picks=raw.ch_names[:14], units="uV")
        start, stop = row.start_seconds * 128, row.stop_seconds * 128
        logs.append(band_log_power(eeg[:, start:stop], 128))
        before.append(band_log_power(eeg[:, start - 4 * 128 : start], 128))
    logs, before = np.array(logs), np.array(before)
    for _, rows in table.groupby(["subject", "session"]):
        logs[rows.index] -= logs[rows.index].mean(axis=0)
        before[rows.index] -= before[rows.index].mean(axis=0)
    return table, logs, before


def select(powers, subject, session, again, values=1):
    table = powers[0]
    rows = table[(table["subject"] == subject) & (table["session"] == session) & (table["again"] == again)]
    return powers[values][rows.sort_values("stimulus").index]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("s01", 1, 0), ("s01", 1, 1)),
        (("s01", 1, 0), ("s01", 2, 0)),
        (("s02", 1, 1), ("s02", 2, 1)),
        (("s02", 2, 0), ("s02", 2, 1)),
    ],
)
def test_a_stimulus_looks_the_same_again_in_the_same_person(powers, one, other):
    found = correlations(select(powers, *one), select(powers, *other))
    assert np.diag(found).min() > 0.85
    # Another one: the mean over stimuli is taken off, which leaves -1 / (n - 1) between them.
    assert found[~np.eye(6, dtype=bool)].mean() == pytest.approx(-0.2, abs=0.06)
    assert found[~np.eye(6, dtype=bool)].max() < 0.5


def test_in_another_person_a_stimulus_looks_like_any_other(powers):
    found = correlations(select(powers, "s01", 1, 0), select(powers, "s02", 1, 0))
    assert np.diag(found).mean() == pytest.approx(0, abs=0.2)
    assert np.abs(found).max() < 0.6


def test_the_baseline_has_no_pattern(powers):
    found = correlations(select(powers, "s01", 1, 0, values=2), select(powers, "s01", 1, 1, values=2))
    assert np.diag(found).mean() == pytest.approx(0, abs=0.35)


def test_power_is_what_the_pattern_makes_of_it(powers):
    """In closed form: from the patterns, through mixing and average reference, to the log-power of the files."""
    noise = EEGNoise(EMOTIV_CHANNEL_NAMES, 128, 20 * 128, 4 * 128, (1.0, 45.0))
    for subject in (1, 2):
        own = noise.subject_log_power(np.random.default_rng([0, subject, 0]))
        expected = np.array(
            [expected_log_power(noise, own + noise.stimulus_log_power(0, subject, clip, 0.6)) for clip in range(1, 7)]
        )
        expected -= expected.mean(axis=0)
        # Mean of four trials of 16 s: a standard deviation of 1 / sqrt(64 s x 4.5 Hz) in the narrowest band.
        found = np.mean(
            [select(powers, f"s{subject:02d}", session, again) for session in (1, 2) for again in (0, 1)], axis=0
        )
        assert np.sqrt(np.mean((found - expected) ** 2)) < 0.08
        assert np.polyfit(expected.ravel(), found.ravel(), 1)[0] == pytest.approx(1, abs=0.05)


def test_ratings_do_not_depend_on_it(study, tmp_path):
    write_recordings(
        tmp_path,
        2,
        6,
        n_sessions=2,
        n_presentations=2,
        sampling_rate_hz=128,
        trial_seconds=16,
        baseline_seconds=4,
    )
    assert (tmp_path / "trials.csv").read_bytes() == (study / "trials.csv").read_bytes()


def test_with_a_pattern_of_the_trial_repetitions_are_less_alike(powers, tmp_path):
    options = {"n_presentations": 2, "stimulus_fingerprint_size": 0.6, "sampling_rate_hz": 128, "trial_seconds": 16}
    write_recordings(tmp_path, 1, 6, effect_size=0.0, fingerprint_size=0.6, **options)
    table = pd.read_csv(tmp_path / "trials.csv").sort_values("trial")
    raw = mne.io.read_raw_edf(tmp_path / "s01.edf", verbose="ERROR")
    eeg = raw.get_data(picks=raw.ch_names[:14], units="uV")
    logs = np.array(
        [band_log_power(eeg[:, row.start_seconds * 128 : row.stop_seconds * 128], 128) for row in table.itertuples()]
    )
    logs -= logs.mean(axis=0)
    found = np.diag(correlations(logs[:6], logs[6:]))
    # Its share of the variance equals that of the trial's pattern, which fluctuates.
    assert 0.25 < found.mean() < 0.75


# --- DEAP and MAHNOB-HCI show a stimulus once: with and without the pattern all else is the same


def difference(pattern, noise, subject_log_power):
    """`(bands, channels)` that a pattern adds to the log-power of average-referenced noise."""
    return expected_log_power(noise, subject_log_power + pattern) - expected_log_power(noise, subject_log_power)


@pytest.mark.parametrize("follows", ["rating", "expression"])
def test_deap(tmp_path, follows):
    options = {"subjects": (1, 3), "n_trials": 3, "files": ("matlab",), "effect_follows": follows, **ONLY_STIMULI}
    plain = write_deap(tmp_path / "plain", **options)
    planted = write_deap(tmp_path / "planted", stimulus_fingerprint_size=0.5, **options)
    assert json.loads((planted / "synthetic.json").read_text())["stimulus_fingerprint_size"] == 0.5
    assert "stimulus_fingerprint_size" not in (plain / "synthetic.json").read_text()
    noise = EEGNoise(EEG_CHANNEL_NAMES, 128, 8064, 384, (4.0, 45.0))
    found, expected = [], []
    for subject in (1, 3):
        one, other = (
            scipy.io.loadmat(root / "data_preprocessed_matlab" / f"s{subject:02d}.mat") for root in (plain, planted)
        )
        np.testing.assert_array_equal(one["labels"], other["labels"])
        # Before stimulus onset, and in all channels but the EEG, the files are identical.
        np.testing.assert_allclose(one["data"][..., :384], other["data"][..., :384], rtol=1e-6, atol=1e-4)
        np.testing.assert_array_equal(one["data"][:, 32:], other["data"][:, 32:])
        own = noise.subject_log_power(np.random.default_rng([0, subject, 0]))
        for stimulus in range(1, 4):
            found.append(
                band_log_power(other["data"][stimulus - 1, :32, 384:], 128)
                - band_log_power(one["data"][stimulus - 1, :32, 384:], 128)
            )
            expected.append(difference(noise.stimulus_log_power(0, subject, stimulus, 0.5), noise, own))
    assert np.sqrt(np.mean((np.array(found) - expected) ** 2)) < 0.08
    between = correlations(np.array(found), np.array(expected))
    assert np.diag(between).min() > 0.95
    assert np.abs(between[~np.eye(6, dtype=bool)]).max() < 0.4


def test_mahnob_hci(tmp_path):
    options = {"n_subjects": 2, "n_trials": 2, "lead_seconds": 3, "stimulus_seconds": 20, "neutral_clips": False}
    plain = write_mahnob_hci(tmp_path / "plain", **options, **ONLY_STIMULI)
    planted = write_mahnob_hci(tmp_path / "planted", stimulus_fingerprint_size=0.5, **options, **ONLY_STIMULI)
    assert json.loads((planted / "synthetic.json").read_text())["stimulus_fingerprint_size"] == 0.5
    changes = {}
    for path in sorted(plain.rglob("*.bdf")):
        xml = (path.parent / "session.xml").read_bytes()
        twin = planted / path.relative_to(plain)
        assert (twin.parent / "session.xml").read_bytes() == xml
        one, other = (np.array([signal.data for signal in edfio.read_bdf(file).signals[:32]]) for file in (path, twin))
        # Bits of the amplifier: 31.25 nV.
        np.testing.assert_allclose(one[:, : 3 * 256], other[:, : 3 * 256], rtol=0, atol=0.05)
        # Without offset, drift and what all electrodes have in common.
        clip = slice(3 * 256, 23 * 256)
        one, other = (signal[:, clip] - signal[:, clip].mean(axis=0) for signal in (one, other))
        subject = int(path.name.split("_")[1])
        stimulus = xml.decode().partition('mediaFile="')[2].partition('"')[0]
        changes[stimulus, subject] = (band_log_power(other, 256) - band_log_power(one, 256))[1:]
    assert len(changes) == 4
    assert np.std(list(changes.values())) == pytest.approx(0.5, abs=0.1)
    patterns = np.array(list(changes.values()))
    between = correlations(patterns, patterns)[np.triu_indices(4, 1)]
    assert np.abs(between).max() < 0.4


def test_mahnob_hci_is_the_pattern_of_the_clip(tmp_path):
    """The number of a clip is its position in the list of stimuli, not in the order of presentation."""
    from keras_emotion.synthetic.mahnob_hci import CHANNELS, STIMULI

    names = tuple(CHANNELS["name"][CHANNELS["kind"] == "eeg"])
    noise = EEGNoise(names, 256, 26 * 256, 3 * 256, (0.5, 100.0))
    options = {"subjects": (2,), "n_trials": 3, "lead_seconds": 3, "stimulus_seconds": 20, "neutral_clips": False}
    write_mahnob_hci(tmp_path, stimulus_fingerprint_size=1.0, **options, **ONLY_STIMULI)
    found, expected = [], []
    own = noise.subject_log_power(np.random.default_rng([0, 2, 0, 15]))
    for path in sorted(tmp_path.rglob("*.bdf")):
        clip = (path.parent / "session.xml").read_text().partition('mediaFile="')[2].partition(".avi")[0]
        raw = mne.io.read_raw_bdf(path, verbose="ERROR")
        assert raw.info["sfreq"] == 256
        eeg = raw.get_data(picks=list(names), units="uV")[:, 3 * 256 : 23 * 256]
        found.append(band_log_power(eeg - eeg.mean(axis=0), 256)[1:])
        pattern = noise.stimulus_log_power(0, 2, STIMULI.index(clip) + 1, 1.0)
        expected.append(expected_log_power(noise, own + pattern)[1:])
    between = correlations(np.array(found), np.array(expected))
    assert np.diag(between).min() > 0.95
