"""Writer of synthetic SEED files: their format, and features compared with other computations."""

import filecmp
import itertools
import json

import numpy as np
import pytest
import scipy.io
import scipy.signal

from keras_emotion.datasets import SEED
from keras_emotion.synthetic import seed, smoothing, write_seed

BANDS_HZ = ((1, 4), (4, 8), (8, 14), (14, 31), (31, 50))
ONLY_STIMULI = {"effect_size": 0.0, "fingerprint_size": 0.0}


def load(path):
    return {name: array for name, array in scipy.io.loadmat(path).items() if not name.startswith("__")}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """One subject, two sessions, clips of 5 s: read-only."""
    return write_seed(tmp_path_factory.mktemp("seed"), n_subjects=1, n_sessions=2, clip_seconds=5)


def test_layout(root):
    assert sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()) == sorted(
        [
            *("Channel Order.xlsx", "seed-stimulation.xlsx", "synthetic.json"),
            *(
                f"{folder}/{name}"
                for folder in ("Preprocessed_EEG", "ExtractedFeatures")
                for name in ("1_20131027.mat", "1_20131030.mat", "label.mat", "readme.txt")
            ),
        ]
    )
    signals = load(root / "Preprocessed_EEG" / "1_20131027.mat")
    assert list(signals) == [f"ab_eeg{trial}" for trial in range(1, 16)]
    for signal in signals.values():
        assert (signal.dtype, signal.shape) == (np.float64, (62, 5 * 200 + 1))
        # Average-referenced, up to the electrode gains in later sessions.
        assert np.abs(signal.mean(axis=0)).max() < 1e-3
        assert 2 < signal.std() < 50
    assert json.loads((root / "synthetic.json").read_text())["clip_seconds"] == [5] * 15


def spectral_powers(signal):
    """`(channels, windows, bands)` by the definition of the windowed periodogram."""
    windows = signal[:, : signal.shape[1] // 200 * 200].reshape(len(signal), -1, 200)
    taper = np.sin(np.pi * np.arange(200) / 200) ** 2
    density = 2 * np.abs(np.fft.rfft(windows * taper)) ** 2 / (200 * (taper**2).sum())
    return np.stack([density[..., low:high].sum(axis=-1) for low, high in BANDS_HZ], axis=-1)


def test_features_are_those_of_the_written_signals(root):
    for name in ("1_20131027.mat", "1_20131030.mat"):
        signals, features = (load(root / folder / name) for folder in ("Preprocessed_EEG", "ExtractedFeatures"))
        assert list(features) == [
            f"{feature}_{smoothing}{trial}"
            for trial in range(1, 16)
            for feature in ("de", "psd", "dasm", "rasm", "asm", "dcau")
            for smoothing in ("movingAve", "LDS")
        ]
        powers = spectral_powers(signals["ab_eeg7"])
        entropies = 0.5 * np.log(2 * np.pi * np.e * powers)
        densities = powers / [high - low for low, high in BANDS_HZ]
        for kind, values in (("de", entropies), ("psd", densities)):
            assert features[f"{kind}_LDS7"].shape == (62, 5, 5)
            # Five windows: those of two to either side, as far as there are any.
            means = [values[:, max(window - 2, 0) : window + 3].mean(axis=1) for window in range(5)]
            np.testing.assert_allclose(features[f"{kind}_movingAve7"], np.stack(means, axis=1), rtol=1e-9)


def test_smoothed_level_is_the_likeliest(root):
    """Of all levels the one with the least squares of noise and, ten times as heavy, of steps."""
    values = np.random.default_rng(0).standard_normal((3, 40, 2))
    steps = np.diff(np.eye(40), axis=0)
    system = np.eye(40) + steps.T @ steps / smoothing.LDS_VARIANCE_RATIO
    expected = np.einsum("ij,cjb->cib", np.linalg.inv(system), values)
    np.testing.assert_allclose(smoothing.smoothed_level(values), expected, rtol=1e-9, atol=1e-12)
    assert smoothing.smoothed_level(values[:, :1]).tolist() == values[:, :1].tolist()


@pytest.mark.parametrize(("hz", "band"), [(2, 0), (6, 1), (10, 2), (20, 3), (40, 4)])
def test_entropy_of_a_sine(hz, band):
    """A sine of amplitude 3 within a band has the power 4.5, whatever the window."""
    signal = 3 * np.sin(2 * np.pi * hz * np.arange(601) / 200)[np.newaxis].repeat(62, axis=0)
    signal += 1e-3 * np.random.default_rng(0).standard_normal(signal.shape)
    features = seed._features(signal)
    for name in ("de_movingAve", "de_LDS"):
        np.testing.assert_allclose(features[name][..., band], 0.5 * np.log(2 * np.pi * np.e * 4.5), atol=1e-3)
        assert np.delete(features[name], band, axis=-1).max() < 0


def test_asymmetries(root):
    features = load(root / "ExtractedFeatures" / "1_20131027.mat")
    names = [channel.upper() for channel in seed.CHANNEL_NAMES]
    # A moving average is linear: so are differences of what it smoothed.
    de = dict(zip(names, features["de_movingAve1"], strict=True))
    left = [name for name in names if name[-1].isdigit() and int(name[-1]) % 2]
    assert len(left) == 27
    expected = [de[name] - de[name[:-1] + str(int(name[-1]) + 1)] for name in left]
    np.testing.assert_allclose(features["dasm_movingAve1"], expected, atol=1e-9)
    np.testing.assert_array_equal(features["asm_LDS1"], np.concatenate([features["dasm_LDS1"], features["rasm_LDS1"]]))
    caudality = features["dcau_movingAve1"]
    assert len(caudality) == 23
    for row, (frontal, posterior) in (
        (0, ("FP1", "O1")),
        (11, ("F8", "P8")),
        (12, ("FT7", "TP7")),
        (22, ("AF4", "CB2")),
    ):
        np.testing.assert_allclose(caudality[row], de[frontal] - de[posterior], atol=1e-9)


def test_a_session_does_not_depend_on_what_else_is_written(root, tmp_path):
    write_seed(tmp_path, n_subjects=2, n_sessions=1, clip_seconds=5, files=["preprocessed"], names="letters")
    one = load(root / "Preprocessed_EEG" / "1_20131027.mat")
    other = load(tmp_path / "Preprocessed_EEG" / "ab_20131027.mat")
    for name, signal in one.items():
        np.testing.assert_array_equal(other[name], signal)
    another = load(tmp_path / "Preprocessed_EEG" / "bc_20140404.mat")
    assert list(another) == [f"bc_eeg{trial}" for trial in range(1, 16)]
    assert not (tmp_path / "ExtractedFeatures").exists()
    for name in ("Channel Order.xlsx", "seed-stimulation.xlsx"):
        assert filecmp.cmp(root / name, tmp_path / name, shallow=False)


def test_real_lengths(tmp_path, monkeypatch):
    """Individual durations of clips, also where Fourier transforms of that length are slow."""
    seconds = [2, 3, 2, 2, 2] * 3
    monkeypatch.setitem(seed.FACTS, "clip_seconds", seconds)
    write_seed(tmp_path, n_subjects=1, n_sessions=1, full_length=True, compressed=True)
    signals = load(tmp_path / "Preprocessed_EEG" / "1_20131027.mat")
    assert [signal.shape[1] for signal in signals.values()] == [200 * length + 1 for length in seconds]
    assert SEED(tmp_path).describe()["problems"] == SEED(tmp_path, "features").describe()["problems"] == []
    assert [trial.recording.duration_seconds for trial in SEED(tmp_path).trials()] == seconds


def log_powers(path, initials="ab"):
    """`(trials, bands, channels)` natural log-power in theta, alpha, beta, gamma."""
    signals = load(path)
    logs = []
    for trial in range(1, 16):
        frequencies, power = scipy.signal.welch(signals[f"{initials}_eeg{trial}"], 200, nperseg=400)
        edges = ((2, 6.5), (8.5, 12.5), (15, 29), (32, 44))
        logs.append([power[:, (low <= frequencies) & (frequencies <= high)].mean(axis=1) for low, high in edges])
    return np.log(logs)


def test_pattern_of_a_clip_is_the_same_in_all_sessions_of_a_person(tmp_path):
    options = {"n_subjects": 2, "n_sessions": 2, "clip_seconds": 6, "files": ["preprocessed"], **ONLY_STIMULI}
    write_seed(tmp_path, stimulus_fingerprint_size=0.6, **options)
    files = [("1_20131027", "ab"), ("1_20131030", "ab"), ("2_20140404", "bc"), ("2_20140413", "bc")]
    patterns = []
    for name, initials in files:
        logs = log_powers(tmp_path / "Preprocessed_EEG" / f"{name}.mat", initials)
        # Without what is the person's and the session's, and the level that the average reference shifts.
        logs -= logs.mean(axis=0)
        patterns.append((logs - logs.mean(axis=2, keepdims=True)).reshape(15, -1))
    for one, other in itertools.combinations(range(4), 2):
        between = np.corrcoef(patterns[one], patterns[other])[:15, 15:]
        same = np.diag(between)
        assert (same.min() > 0.7) if (one, other) in ((0, 1), (2, 3)) else (np.abs(same).max() < 0.4)
        assert np.abs(between[~np.eye(15, dtype=bool)]).max() < 0.5
    assert json.loads((tmp_path / "synthetic.json").read_text())["stimulus_fingerprint_size"] == 0.6


@pytest.mark.parametrize(
    "options",
    [
        {"n_subjects": 16},
        {"n_sessions": 4},
        {"files": ("raw",)},
        {"fingerprint_size": -0.1},
        {"stimulus_fingerprint_size": -1.0},
        {"clip_seconds": 1},
        {"names": "initials"},
    ],
)
def test_bad_arguments(tmp_path, options):
    (name,) = options
    with pytest.raises(ValueError, match=f"`{name}` is"):
        write_seed(tmp_path / "nothing", **options)
    assert not (tmp_path / "nothing").exists()
