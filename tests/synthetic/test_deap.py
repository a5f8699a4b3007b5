"""Writer of synthetic DEAP files: the formats byte for byte, and the planted statistics."""

import filecmp
import json
from pathlib import Path

import edfio
import numpy as np
import pandas as pd
import pytest
import scipy.signal
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold, StratifiedGroupKFold, cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from keras_emotion.datasets import DEAP
from keras_emotion.faces import read_openface
from keras_emotion.signals import THREE_FACRNN_BANDS, differential_entropy_features
from keras_emotion.synthetic import eeg, write_deap
from keras_emotion.synthetic.deap import EEG_CHANNEL_NAMES, RATING_SD
from keras_emotion.synthetic.python2_pickle import write_python2_pickle

GOLDEN = Path(__file__).parents[1] / "golden" / "python2_pickle"
TWENTE = "Fp1 AF3 F7 F3 FC1 FC5 T7 C3 CP1 CP5 P7 P3 Pz PO3 O1 Oz O2 PO4 P4 P8 CP6 CP2 C4 T8 FC6 FC2 F4 F8 AF4 Fp2 Fz Cz"
GENEVA = "Fp1 AF3 F3 F7 FC5 FC1 C3 T7 CP5 CP1 P3 P7 PO3 O1 Oz Pz Fp2 AF4 Fz F4 F8 FC6 FC2 Cz C4 T8 CP6 CP2 P4 P8 PO4 O2"
OTHERS = "EXG1 EXG2 EXG3 EXG4 EXG5 EXG6 EXG7 EXG8 GSR1 GSR2 Erg1 Erg2 Resp Plet Temp"


def ratings_of(root):
    return pd.read_csv(root / "metadata_csv" / "participant_ratings.csv", encoding="utf-8-sig")


# --- the formats


def test_pickle_is_byte_for_byte_what_python2_writes(tmp_path):
    arrays = {"labels": np.arange(8.0).reshape(2, 4) - 2.5, "data": (np.arange(240.0) / 7).reshape(2, 3, 40)}
    write_python2_pickle(tmp_path / "s01.dat", arrays)
    assert (tmp_path / "s01.dat").read_bytes() == (GOLDEN / "python2_protocol2.dat").read_bytes()


@pytest.mark.parametrize("array", [np.ones(2, np.float32), np.ones((1, 1, 1, 1)), np.ones(70_000)])
def test_pickle_of_other_arrays_is_refused(tmp_path, array):
    with pytest.raises(ValueError, match="`data` is"):
        write_python2_pickle(tmp_path / "s01.dat", {"data": array})


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """Original recordings, one subject per variant."""
    return write_deap(tmp_path_factory.mktemp("deap"), subjects=(2, 23, 24, 32), n_trials=2, files=("original",))


@pytest.mark.parametrize(
    ("subject", "order", "status"),
    [(2, TWENTE, ["Status"]), (23, GENEVA, ["Status"]), (24, GENEVA, [""]), (32, GENEVA, ["", ""])],
)
def test_original_recording(original, subject, order, status):
    """Read by another library than the package's reader uses."""
    path = original / "data_original" / f"s{subject:02d}.bdf"
    recording = edfio.read_bdf(path)
    assert recording.labels == (*order.split(), *OTHERS.split(), *status)
    assert {signal.sampling_frequency for signal in recording.signals} == {512}
    assert path.read_bytes()[192:197] == b"24BIT"
    units = {signal.label: signal.physical_dimension for signal in recording.signals[:47]}
    assert units["Fp1"] == units["EXG8"] == "uV"
    assert units["GSR1"] == ("nS" if subject == 2 else "Ohm")
    words = recording.signals[47].digital
    assert (words & 0xFF00 == 0xFF00).all()
    assert (words >> 16 > 0).all()
    codes = words & 0xFF
    starts = np.flatnonzero((codes != 0) & (np.diff(codes, prepend=0) != 0))
    assert codes[starts].tolist() == [1, 1, 2, 3, 4, 5, 1, 3, 4, 5, 1, 2, 7]
    seconds = starts / 512
    videos = seconds[codes[starts] == 4]
    np.testing.assert_allclose(videos - seconds[codes[starts] == 3], 5)
    np.testing.assert_allclose(seconds[codes[starts] == 5] - videos, 60)


def test_metadata(tmp_path):
    root = write_deap(tmp_path, n_subjects=2, n_trials=4)
    assert (root / "metadata_csv" / "participant_ratings.csv").read_bytes().startswith(b"\xef\xbb\xbfParticipant_id,")
    table = ratings_of(root)
    assert list(table.columns) == [
        *("Participant_id", "Trial", "Experiment_id", "Start_time"),
        *("Valence", "Arousal", "Dominance", "Liking", "Familiarity"),
    ]
    assert table["Participant_id"].tolist() == [1] * 4 + [2] * 4
    for _, rows in table.groupby("Participant_id"):
        assert rows["Experiment_id"].tolist() == [1, 2, 3, 4]
        assert sorted(rows["Trial"]) == [1, 2, 3, 4]
        assert rows.sort_values("Trial")["Start_time"].is_monotonic_increasing
    assert table["Start_time"].dtype == np.int64
    assert table["Familiarity"][:4].between(1, 5).all()
    assert table["Familiarity"][4:].isna().all()
    videos = pd.read_csv(root / "metadata_csv" / "video_list.csv")
    assert len(videos) == 120
    assert videos["Experiment_id"].dropna().tolist() == [1, 2, 3, 4]
    marker = json.loads((root / "synthetic.json").read_text())
    assert (marker["seed"], marker["effect_size"], marker["subjects"]) == (0, 1.0, [1, 2])


def test_a_whole_subject(tmp_path):
    root = write_deap(tmp_path, n_subjects=1)
    path = root / "data_preprocessed_python" / "s01.dat"
    # The size of the real files, to their few hundred bytes of opcodes.
    assert 0 < path.stat().st_size - 8 * (40 * 40 * 8064 + 40 * 4) < 400
    assert DEAP(root).describe()["problems"] == []


def test_same_seed_same_files(tmp_path):
    files = ("python", "matlab", "original")
    for name, options in {
        "one": {"n_subjects": 1, "n_trials": 2, "files": files},
        "two": {"n_subjects": 2, "n_trials": 2},
        "only": {"subjects": (2,), "n_trials": 2},
        "seed": {"n_subjects": 1, "n_trials": 2, "seed": 1},
        "again": {"n_subjects": 1, "n_trials": 2, "files": files},
    }.items():
        write_deap(tmp_path / name, **options)
    data = "data_preprocessed_python"
    same = [
        *(("one", "two", f"{data}/s01.dat"), ("two", "only", f"{data}/s02.dat"), ("one", "again", f"{data}/s01.dat")),
        ("one", "again", "data_original/s01.bdf"),
        ("one", "again", "metadata_csv/participant_ratings.csv"),
    ]
    for first, second, name in same:
        assert filecmp.cmp(tmp_path / first / name, tmp_path / second / name, shallow=False)
    assert not filecmp.cmp(tmp_path / "one" / data / "s01.dat", tmp_path / "seed" / data / "s01.dat", shallow=False)
    assert not filecmp.cmp(tmp_path / "two" / data / "s01.dat", tmp_path / "two" / data / "s02.dat", shallow=False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_subjects": 0}, "`subjects` is"),
        ({"n_subjects": 33}, "`subjects` is"),
        ({"subjects": (1, 1)}, "`subjects` is"),
        ({"n_trials": 41}, "`n_trials` is 41"),
        ({"files": ("csv",)}, "`files` is"),
        ({"files": ()}, "`files` is"),
        ({"fingerprint_size": -1}, "`fingerprint_size` is -1"),
        ({"stimulus_fingerprint_size": -1}, "`stimulus_fingerprint_size` is -1; expected 0 or more"),
        ({"stimulus_fingerprint_size": float("nan")}, "`stimulus_fingerprint_size` is nan"),
        ({"effect_in": "phase"}, "`effect_in` is 'phase'"),
        ({"effect_in": "connectivity", "effect_follows": "expression"}, "follows the rating"),
    ],
)
def test_bad_arguments(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        write_deap(tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


# --- ratings


@pytest.mark.parametrize("n_trials", [2, 3, 40])
def test_ratings_have_both_classes(n_trials):
    from keras_emotion.synthetic.deap import _ratings

    for subject in range(1, 33):
        ratings = _ratings(0, subject, n_trials)[["Valence", "Arousal", "Dominance", "Liking"]].to_numpy()
        assert ratings.min() >= 1
        assert ratings.max() <= 9
        share = (ratings > 5).mean(axis=0)
        assert ((share > 0) & (share < 1)).all()
        if n_trials == 40:
            assert ((share > 0.25) & (share < 0.75)).all()
            assert (ratings.std(axis=0) > 1.2).all()


def test_ratings_of_a_stimulus_agree_between_subjects():
    from keras_emotion.synthetic.deap import _ratings

    valence = np.stack([_ratings(0, subject, 40)["Valence"] for subject in range(1, 33)])
    correlation = np.corrcoef(valence)[np.triu_indices(32, 1)].mean()
    assert 0.35 < correlation < 0.65


# --- signals


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """One subject without effect and fingerprint."""
    root = write_deap(tmp_path_factory.mktemp("plain"), 1, n_trials=4, effect_size=0, fingerprint_size=0)
    return np.stack([trial.recording.signal for trial in DEAP(root).trials()])


def test_scales(plain):
    eeg_rms = plain[:, :32].std(axis=-1)
    assert ((eeg_rms > 3) & (eeg_rms < 30)).all()
    assert np.abs(plain[:, :32].mean(axis=1)).max() < 1e-4
    assert 1e5 < plain[:, 36].min() < plain[:, 36].max() < 1e6
    assert ((plain[:, 39] > 20) & (plain[:, 39] < 40)).all()


def test_spectrum_is_pink_between_4_and_45_hz(plain):
    frequencies, power = scipy.signal.welch(plain[:, :32], 128, nperseg=512)
    power = power.mean(axis=(0, 1))
    inside = (frequencies >= 4) & (frequencies <= 45)
    assert power[inside].sum() > 0.95 * power.sum()
    flat = (frequencies >= 6) & (frequencies <= 38)
    slope = np.polyfit(np.log(frequencies[flat]), np.log(power[flat]), 1)[0]
    # 1 / f, up to the subject's own levels of the four bands.
    assert -1.5 < slope < -0.5


def test_neighbouring_electrodes_are_alike(plain):
    index = {name: row for row, name in enumerate(EEG_CHANNEL_NAMES)}
    correlation = np.corrcoef(np.concatenate(plain[:, :32], axis=1))
    assert correlation[index["O1"], index["Oz"]] > 0.3
    assert correlation[index["O1"], index["Oz"]] > correlation[index["O1"], index["Fp2"]] + 0.3


def noise(**options):
    return eeg.EEGNoise(EEG_CHANNEL_NAMES, 128, 8064, 384, (4.0, 45.0), **options)


def test_fingerprint_noise_has_the_stated_autocorrelation():
    basis = noise(fingerprint_in_baseline=True).fingerprint_basis
    np.testing.assert_allclose((basis**2).sum(axis=0), 1, rtol=1e-5)
    for lag_seconds in (5, 20, 40):
        lag = lag_seconds * 128
        covariance = (basis[:, lag:] * basis[:, :-lag]).sum(axis=0)
        np.testing.assert_allclose(covariance, np.exp(-(lag_seconds**2) / (2 * 20**2)), atol=0.01)
    assert (noise().fingerprint_basis[:, :384] == 0).all()
    assert (noise().fingerprint_basis[:, 384:] == basis[:, 384:]).all()


def log_power(signal, band):
    low, high = THREE_FACRNN_BANDS[band]
    frequencies, power = scipy.signal.welch(signal, 128, nperseg=256)
    return np.log(power[..., (frequencies >= low) & (frequencies <= high)].mean(axis=-1))


@pytest.mark.parametrize("effect_size", [0.0, 1.0, 2.0])
def test_effect_is_the_log_power_for_a_standard_deviation(tmp_path, effect_size):
    root = write_deap(tmp_path, 1, effect_size=effect_size, fingerprint_size=0)
    trials = list(DEAP(root).trials())
    signal = np.stack([trial.recording.signal for trial in trials])
    index = {name: row for row, name in enumerate(EEG_CHANNEL_NAMES)}
    places = {("valence", "gamma"): "T7", ("arousal", "alpha"): "Pz"}
    for (rating, band), electrode in places.items():
        deviation = (np.array([trial.ratings[rating] for trial in trials]) - 5) / RATING_SD

        def slope(piece, band=band, electrode=electrode, deviation=deviation):
            return np.polyfit(deviation, log_power(signal[:, index[electrode], piece], band), 1)[0]

        # The average reference mixes in the electrodes that have less of it.
        assert 0.7 * effect_size - 0.1 < slope(slice(384, None)) < effect_size + 0.1
        # No effect before the stimulus or in another band.
        assert slope(slice(0, 384)) == pytest.approx(0, abs=0.15)
        other = np.polyfit(deviation, log_power(signal[:, index[electrode], 384:], "theta"), 1)[0]
        assert other == pytest.approx(0, abs=0.1)


def test_fingerprint_is_the_standard_deviation_of_log_power(tmp_path):
    deviations = []
    for fingerprint_size in (0.0, 1.0):
        root = write_deap(tmp_path / str(fingerprint_size), 1, effect_size=0, fingerprint_size=fingerprint_size)
        signal = np.stack([trial.eeg.signal[:, 3000:3512] for trial in DEAP(root).trials()])
        deviations.append(log_power(signal, "beta").std(axis=0).mean())
    # The estimation error of a power from four seconds exists without fingerprint too; the average reference mixes in
    # the other channels, with their own fingerprints.
    assert 0.75 < np.sqrt(deviations[1] ** 2 - deviations[0] ** 2) < 1.05


@pytest.mark.parametrize("effect_size", [0.0, 1.0])
def test_windows_leak_and_trials_do_not(tmp_path, effect_size):
    """A split of windows scores near 1 with or without an effect, a split of trials only with one."""
    root = write_deap(tmp_path, 1, effect_size=effect_size)
    trials = list(DEAP(root).trials())
    features = np.stack(
        [
            differential_entropy_features(trial.eeg.signal, 128, THREE_FACRNN_BANDS, 2.0, baseline_seconds=3.0)
            for trial in trials
        ]
    )
    windows = features.reshape(40 * 30, -1)
    groups = np.repeat(np.arange(40), 30)
    by_window, by_trial = [], []
    for rating in ("valence", "arousal"):
        labels = np.repeat([trial.ratings[rating] > 5 for trial in trials], 30)
        nearest = make_pipeline(StandardScaler(), KNeighborsClassifier(5))
        linear = make_pipeline(StandardScaler(), LogisticRegression(C=0.1))
        shuffled, grouped = KFold(5, shuffle=True, random_state=0), StratifiedGroupKFold(5)
        by_window.append(cross_val_score(nearest, windows, labels, cv=shuffled).mean())
        by_trial.append(cross_val_score(linear, windows, labels, groups=groups, cv=grouped).mean())
    assert min(by_window) > 0.98
    if effect_size:
        assert 0.7 < np.mean(by_trial) < 0.95
    else:
        assert 0.3 < np.mean(by_trial) < 0.65


# --- connectivity


def test_connectivity_follows_the_rating_and_power_does_not(tmp_path):
    options = {"n_subjects": 2, "n_trials": 20, "fingerprint_size": 0.0, "effect_size": 2.0}
    root = write_deap(tmp_path, **options, effect_in="connectivity")
    correlations, powers, ratings = [], [], []
    for trial in DEAP(root).trials():
        signal = trial.eeg.signal[:, trial.eeg.n_baseline_samples :]
        names = [trial.eeg.channel_names.index(name) for name in ("F7", "F8", "T7", "T8")]
        correlations.append(np.corrcoef(signal[names]))
        powers.append(np.log(signal[names].var(axis=1)))
        ratings.append(trial.ratings["valence"])
    high = np.array(ratings) > 5
    rise = np.mean(np.array(correlations)[high], axis=0) - np.mean(np.array(correlations)[~high], axis=0)
    # One side correlates with itself and anticorrelates with the other.
    assert rise[0, 1] < -0.15
    assert rise[2, 3] < -0.15
    assert rise[0, 2] > 0.05
    assert rise[1, 3] > 0.05
    by_subject = np.array(powers).reshape(2, 20, 4) - np.array(powers).reshape(2, 20, 4).mean(axis=1, keepdims=True)
    difference = by_subject.reshape(40, 4)[high].mean(axis=0) - by_subject.reshape(40, 4)[~high].mean(axis=0)
    # In log-power; the same options in "power" make 2 between trials a deviation apart.
    assert abs(difference).max() < 0.03


def test_without_an_effect_nothing_is_written_differently_before_the_stimulus(tmp_path):
    plain = write_deap(tmp_path / "plain", n_subjects=1, n_trials=2, effect_size=0.0)
    coupled = write_deap(tmp_path / "coupled", n_subjects=1, n_trials=2, effect_in="connectivity")
    for one, other in zip(DEAP(plain).trials(), DEAP(coupled).trials(), strict=True):
        n = one.eeg.n_baseline_samples
        np.testing.assert_array_equal(one.eeg.signal[:, :n], other.eeg.signal[:, :n])
        assert abs(one.eeg.signal[:, n:] - other.eeg.signal[:, n:]).max() > 1


# --- OpenFace


def test_openface_files_are_those_of_the_videos_faces(tmp_path):
    root = write_deap(tmp_path, n_subjects=1, n_trials=12, openface=True, face_effect_size=2.0)
    ratings = ratings_of(root)
    smiles, brows = [], []
    for row in ratings.itertuples():
        frames = read_openface(root / "openface" / f"s01_trial{row.Trial:02d}.csv")
        assert len(frames) == 600
        assert frames["time_seconds"].iloc[[0, -1]].tolist() == [0.0, 59.9]
        missing = frames["AU12_r"].isna().mean()
        assert 0 < missing < 0.1
        smiles.append(frames["AU12_r"].mean())
        brows.append(frames["AU02_r"].mean())
        units = frames.filter(like="AU").to_numpy()
        assert np.nanmin(units) >= 0
        assert np.nanmax(units) <= 5
    assert np.corrcoef(smiles, ratings["Valence"])[0, 1] > 0.8
    assert np.corrcoef(brows, ratings["Arousal"])[0, 1] > 0.8
    again = write_deap(tmp_path / "again", n_subjects=1, n_trials=12, openface=True, face_effect_size=2.0)
    assert filecmp.cmp(root / "openface" / "s01_trial01.csv", again / "openface" / "s01_trial01.csv", shallow=False)
