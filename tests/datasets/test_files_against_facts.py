"""Synthetic files, opened without the package's readers and compared with the facts files.

Reader and writer share the facts, so their own tests would not reveal an error common to both. Here files are opened by
SciPy, MNE, OpenCV, NumPy and the standard library, and facts are read as plain files.
"""

import csv
import json
import pickle
import wave
import xml.etree.ElementTree as ElementTree
import zipfile
from pathlib import Path

import av
import cv2
import h5py
import mne
import numpy as np
import pytest
import scipy.io
import scipy.signal

import keras_emotion.datasets
from keras_emotion import synthetic

FACTS = Path(keras_emotion.datasets.__file__).parent / "facts"
MICROVOLT_PER_VOLT = 1e6


def facts_of(dataset):
    return json.loads((FACTS / f"{dataset}.json").read_text(encoding="utf-8"))


def channels_of(dataset):
    """Rows of the table of channels, as dicts of texts."""
    return rows_of(FACTS / f"{dataset}_channels.csv")


def rows_of(path, encoding="utf-8"):
    with path.open(encoding=encoding, newline="") as file:
        return list(csv.DictReader(file))


def header_of(path):
    """Fields of an EDF or BDF header by signal, as texts, and the duration of a record, parsed without a library."""
    content = path.read_bytes()
    n_signals = int(content[252:256])
    fields = {}
    position = 256
    for name, size in (
        *(("label", 16), ("transducer", 80), ("unit", 8), ("physical_minimum", 8), ("physical_maximum", 8)),
        *(("digital_minimum", 8), ("digital_maximum", 8), ("filter", 80), ("samples", 8)),
    ):
        texts = content[position : position + size * n_signals].decode("ascii")
        fields[name] = [texts[start : start + size].strip() for start in range(0, size * n_signals, size)]
        position += size * n_signals
    return fields, float(content[244:252])


def band_power(signal, rate_hz, low_hz, high_hz):
    frequencies, power = scipy.signal.welch(signal, rate_hz, nperseg=2 * rate_hz)
    return power[:, (frequencies >= low_hz) & (frequencies <= high_hz)].mean(axis=1)


def test_every_writer_is_opened():
    opened = {
        "deap",
        "sam40",
        "seed",
        "seed_iv",
        "seed_v",
        "seed_vii",
        "seed_multimodal",
        "dreamer",
        "amigos",
        "faced",
        "eav",
        "ravdess",
        "crema_d",
        "mahnob_hci",
        "afew_va",
        "affectnet",
        "recordings",
    }
    assert opened == set(synthetic.WRITERS)


# --- DEAP

TWENTE, GENEVA = 1, 24
N_TRIALS = 3


@pytest.fixture(scope="module")
def deap(tmp_path_factory):
    return synthetic.write_deap(
        tmp_path_factory.mktemp("deap"),
        subjects=(TWENTE, GENEVA),
        n_trials=N_TRIALS,
        files=("python", "matlab", "original"),
        face_videos=True,
        video_frame_rate_hz=2,
        video_size=(32, 32),
    )


def deap_variables(root, subject):
    # As users of DEAP open it; these files are synthetic.
    return pickle.loads((root / "data_preprocessed_python" / f"s{subject:02d}.dat").read_bytes(), encoding="latin1")


def deap_ratings(root, subject):
    """Rows of a subject, by experiment id."""
    rows = rows_of(root / "metadata_csv" / "participant_ratings.csv", encoding="utf-8-sig")
    own = [row for row in rows if int(row["Participant_id"]) == subject]
    return sorted(own, key=lambda row: int(row["Experiment_id"]))


@pytest.mark.parametrize("subject", [TWENTE, GENEVA])
def test_deap_preprocessed(deap, subject):
    facts, channels = facts_of("deap"), channels_of("deap")
    assert len(channels) == facts["n_channels"] == 40
    variables = deap_variables(deap, subject)
    assert set(variables) == {"data", "labels"}
    data, labels = variables["data"], variables["labels"]
    rate_hz, n_samples = facts["preprocessed"]["sampling_rate_hz"], facts["preprocessed"]["n_samples"]
    assert n_samples == (facts["baseline_seconds"] + facts["trial_seconds"]) * rate_hz
    # (trials, channels, samples), trials in the order of their experiment ids.
    assert data.shape == (N_TRIALS, facts["n_channels"], n_samples)
    assert data.dtype == labels.dtype == np.float64
    rows = deap_ratings(deap, subject)
    assert [int(row["Experiment_id"]) for row in rows] == list(range(1, N_TRIALS + 1))
    assert sorted(int(row["Trial"]) for row in rows) == list(range(1, N_TRIALS + 1))
    assert facts["ratings"] == ["valence", "arousal", "dominance", "liking"]
    expected = [[float(row[name.capitalize()]) for name in facts["ratings"]] for row in rows]
    np.testing.assert_allclose(labels, expected, atol=0.005)
    low, high = facts["rating_range"]
    assert low <= labels.min() < labels.max() <= high
    # Each channel matches its row: scalp channels average-referenced and in the band, others with their own scale.
    kinds = np.array([channel["kind"] for channel in channels])
    scalp = data[:, kinds == "eeg"]
    assert np.abs(scalp.mean(axis=1)).max() < 1e-4
    for trial in scalp:
        within, outside = band_power(trial, rate_hz, 4, 45), band_power(trial, rate_hz, 50, 64)
        assert (within > 20 * outside).all()
    assert 2 < scalp.std() < 50
    means = dict(zip((channel["name"] for channel in channels), data.mean(axis=(0, 2)), strict=True))
    assert 1e5 < means["GSR"] < 1e6
    assert 29 < means["Temperature"] < 34
    matlab = scipy.io.loadmat(deap / "data_preprocessed_matlab" / f"s{subject:02d}.mat")
    np.testing.assert_array_equal(matlab["data"], data)
    np.testing.assert_array_equal(matlab["labels"], labels)


@pytest.mark.parametrize(
    ("subject", "site_order", "resistance"), [(TWENTE, "twente_order", "nS"), (GENEVA, None, "Ohm")]
)
def test_deap_original(deap, subject, site_order, resistance):
    facts, channels = facts_of("deap"), channels_of("deap")
    original = facts["original"]
    path = deap / "data_original" / f"s{subject:02d}.bdf"
    header, record_seconds = header_of(path)
    scalp = [channel["name"] for channel in channels if channel["kind"] == "eeg"]
    order = original[site_order] if site_order else scalp
    (status,) = (
        row["labels"] for row in original["status_labels"] if row["first_subject"] <= subject <= row["last_subject"]
    )
    assert header["label"] == [*order, *original["other_channels"], *status]
    assert {int(samples) / record_seconds for samples in header["samples"]} == {original["sampling_rate_hz"]}
    units = dict(zip(header["label"], header["unit"], strict=True))
    assert {units[name] for name in scalp} == {"uV"}
    assert units["GSR1"] == resistance
    raw = mne.io.read_raw_bdf(path, stim_channel=status, verbose="ERROR")
    assert raw.info["sfreq"] == original["sampling_rate_hz"]
    words = raw.get_data(picks=[len(order) + len(original["other_channels"])])[0].astype(int) & original["status_mask"]
    starts = np.flatnonzero((words == original["video_start_code"]) & (np.diff(words, prepend=0) != 0))
    assert len(starts) == N_TRIALS
    recorded = raw.get_data() * MICROVOLT_PER_VOLT
    data = deap_variables(deap, subject)["data"]
    trial_shown_at = {int(row["Trial"]): int(row["Experiment_id"]) for row in deap_ratings(deap, subject)}
    for place, start in enumerate(starts, 1):
        # Trials are in the order of presentation, and each electrode's signal has its own name.
        step = original["sampling_rate_hz"] // facts["preprocessed"]["sampling_rate_hz"]
        stop = start + facts["trial_seconds"] * original["sampling_rate_hz"]
        shown = recorded[[header["label"].index(name) for name in scalp], start:stop:step]
        shown = scipy.signal.detrend(shown - shown.mean(axis=0))
        preprocessed = data[trial_shown_at[place] - 1][: len(scalp), -shown.shape[1] :]
        agreement = np.corrcoef(shown, preprocessed)[: len(scalp), len(scalp) :]
        assert agreement.diagonal().min() > 0.99
        np.testing.assert_array_equal(agreement.argmax(axis=1), np.arange(len(scalp)))
    gsr = raw.get_data(picks=["GSR1"])[0]
    ohm = original["gsr_ohm_times_nanosiemens"] / gsr if resistance == "nS" else gsr
    assert 1e5 < np.median(ohm) < 1e6


def test_deap_videos(deap):
    facts = facts_of("deap")
    assert TWENTE <= facts["face_video"]["last_subject"] < GENEVA
    videos = sorted((deap / "face_video").rglob("*.avi"))
    names = [path.relative_to(deap / "face_video").as_posix() for path in videos]
    assert names == [f"s{TWENTE:02d}/s{TWENTE:02d}_trial{place:02d}.avi" for place in range(1, N_TRIALS + 1)]
    with av.open(str(videos[0])) as container:
        stream = container.streams.video[0]
        n_frames = sum(1 for _ in container.decode(video=0))
        assert n_frames / float(stream.average_rate) == facts["trial_seconds"]


def test_deap_list_of_videos(deap):
    rows = rows_of(deap / "metadata_csv" / "video_list.csv")
    shown = [row["Experiment_id"] for row in rows if row["Experiment_id"]]
    assert shown == [str(number) for number in range(1, N_TRIALS + 1)]


# --- SAM40


def test_sam40(tmp_path):
    facts, channels = facts_of("sam40"), channels_of("sam40")
    root = synthetic.write_sam40(tmp_path, n_subjects=1, effect_size=3.0, files=("filtered", "raw"))
    assert {channel["unit"] for channel in channels} == {"uV"}
    numbers = range(1, facts["n_trials_per_task"] + 1)
    powers = {}
    for kind, variable in facts["variables"].items():
        names = {path.name for path in (root / f"{kind}_data").iterdir()}
        assert names == {f"{task}_sub_1_trial{number}.mat" for task in facts["tasks"] for number in numbers}
        for task in facts["tasks"]:
            for number in numbers:
                variables = scipy.io.loadmat(root / f"{kind}_data" / f"{task}_sub_1_trial{number}.mat")
                assert [name for name in variables if not name.startswith("__")] == [variable]
                signal = variables[variable]
                assert signal.shape == (len(channels), facts["n_samples"])
                assert signal.dtype == np.float64
                if kind == "filtered":
                    power = np.log(band_power(signal, facts["sampling_rate_hz"], 8, 13))
                    powers.setdefault(task, []).append(power)
    # The rows are the channels of the table: alpha power rises in relaxation at the planted electrodes.
    rise = np.mean(powers.pop("Relax"), axis=0) - np.mean(list(powers.values()), axis=(0, 1))
    names = [channel["name"] for channel in channels]
    assert set(np.array(names)[rise.argsort()[-4:]]) == {"P3", "Pz", "P4", "Oz"}
    rows = rows_of(root / "stress_labels.csv")
    low, high = facts["rating_range"]
    assert len(rows) == len(facts["tasks"]) * facts["n_trials_per_task"]
    for row in rows:
        task = facts["label_task_names"][row["task"].lower()]
        assert int(row["trial"]) in numbers
        assert (int(row["rating"]) == low) if task == facts["tasks"][0] else (low < int(row["rating"]) <= high)


# --- SEED


def test_seed(tmp_path):
    facts, channels = facts_of("seed"), channels_of("seed")
    root = synthetic.write_seed(tmp_path, n_subjects=1, n_sessions=2, clip_seconds=4, effect_size=3.0)
    assert len(channels) == facts["n_channels"] == 62
    assert {channel["unit"] for channel in channels} == {"uV"}
    # As distributed, without Office: texts of the workbook in the order of its rows.
    with zipfile.ZipFile(root / "Channel Order.xlsx") as archive:
        texts = ElementTree.fromstring(archive.read("xl/sharedStrings.xml")).itertext()
        assert list(texts) == [channel["original"] for channel in channels]
    labels = scipy.io.loadmat(root / "Preprocessed_EEG" / "label.mat")["label"]
    assert labels.tolist() == [facts["labels"]] == [[1, 0, -1, -1, 0, 1, -1, 0, 1, 1, 0, -1, 0, 1, -1]]
    assert sorted(facts["labels"]) == [-1] * 5 + [0] * 5 + [1] * 5
    # Differences of the times in the raw recordings, as the page of the dataset gives them.
    start = [27, 290, 551, 784, 1050, 1262, 1484, 1748, 1993, 2287, 2551, 2812, 3072, 3335, 3599]
    end = [262, 523, 757, 1022, 1235, 1457, 1721, 1964, 2258, 2524, 2786, 3045, 3307, 3573, 3805]
    assert facts["clip_seconds"] == np.subtract(end, start).tolist()
    assert sum(facts["clip_seconds"]) == 3394
    names = {f"1_{date}.mat" for date in facts["session_dates"]["1"][:2]}
    powers = {-1: [], 0: [], 1: []}
    for folder in facts["folders"]["preprocessed"] + facts["folders"]["features"][:1]:
        assert {path.name for path in (root / folder).glob("*.mat")} == names | {"label.mat"}
    for name in sorted(names):
        signals = scipy.io.loadmat(root / "Preprocessed_EEG" / name)
        features = scipy.io.loadmat(root / "ExtractedFeatures" / name)
        keys = [key for key in signals if not key.startswith("__")]
        initials = keys[0].partition("_")[0]
        assert keys == [f"{initials}_eeg{trial}" for trial in range(1, facts["n_trials"] + 1)]
        assert len([key for key in features if not key.startswith("__")]) == 180
        for trial, label in enumerate(facts["labels"], 1):
            signal = signals[f"{initials}_eeg{trial}"]
            assert signal.shape == (62, 4 * facts["sampling_rate_hz"] + facts["n_extra_samples"])
            assert signal.dtype == np.float64
            for feature, n_rows in facts["feature_rows"].items():
                for smoothing in facts["smoothings"]:
                    array = features[f"{feature}_{smoothing}{trial}"]
                    assert (array.shape, array.dtype) == ((n_rows, 4, len(facts["bands"])), np.float64)
            powers[label].append(np.log(band_power(signal, facts["sampling_rate_hz"], 32, 48)))
    # The rows are the channels of the table: gamma power rises with positive clips at the planted electrodes.
    rise = np.mean(powers[1], axis=0) - np.mean(powers[0] + powers[-1], axis=0)
    assert {channels[row]["name"] for row in rise.argsort()[-4:]} == {"T7", "T8", "FT7", "FT8"}


# --- DREAMER

# Mean ratings of the videos, as a public listing of the real scores gives them.
DREAMER_VALENCE = [3.17, 3.04, 4.57, 2.04, 3.22, 2.70, 4.52, 1.35, 1.39, 2.17, 3.96, 3.96, 4.39, 2.35, 2.48, 3.65]
DREAMER_AROUSAL = [2.26, 3.00, 3.83, 4.26, 3.70, 3.83, 3.17, 3.96, 3.00, 3.30, 1.96, 2.61, 3.70, 2.22, 3.09, 3.35]
DREAMER_VALENCE += [1.52, 2.65]
DREAMER_AROUSAL += [3.00, 3.91]


@pytest.fixture(scope="module")
def dreamer(tmp_path_factory):
    return synthetic.write_dreamer(
        tmp_path_factory.mktemp("dreamer"), n_subjects=2, clip_seconds=4, effect_size=3.0, compressed=False
    )


def test_dreamer(dreamer):
    facts = facts_of("dreamer")
    variables = scipy.io.loadmat(dreamer / "DREAMER.mat")
    assert [name for name in variables if not name.startswith("__")] == ["DREAMER"]
    struct = variables["DREAMER"][0, 0]
    names = ["Data", "EEG_SamplingRate", "ECG_SamplingRate", "EEG_Electrodes", "noOfSubjects", "noOfVideoSequences"]
    names += ["Disclaimer", "Provider", "Version", "Acknowledgement"]
    assert list(struct.dtype.names) == names == facts["fields"]
    assert [struct[name].item() for name in ("EEG_SamplingRate", "ECG_SamplingRate")] == [128, 256]
    assert struct["EEG_Electrodes"].shape == (1, 14)
    electrodes = [one.item() for one in struct["EEG_Electrodes"][0]]
    assert (
        electrodes
        == ["AF3", "F7", "F3", "FC5", "T7", "P7", "O1", "O2", "P8", "T8", "FC6", "F4", "F8", "AF4"]
        == facts["channels"]
    )
    data = struct["Data"]
    assert data.shape == (1, 2)
    powers, valence = [], []
    for place in range(data.shape[1]):
        person = data[0, place]
        assert list(person.dtype.names) == facts["subject_fields"]
        assert person["Gender"][0, 0].item() in ("male", "female")
        assert int(person["Age"][0, 0].item()) > 20
        for kind, n_columns, rate in (("EEG", 14, 128), ("ECG", 2, 256)):
            cells = {part: person[kind][0, 0][part][0, 0] for part in ("baseline", "stimuli")}
            assert {cell.shape for cell in cells.values()} == {(18, 1)}
            # 7808 samples of EEG, 61 s.
            assert {one.shape for one in cells["baseline"][:, 0]} == {(61 * rate, n_columns)}
            assert {one.shape[1] for one in cells["stimuli"][:, 0]} == {n_columns}
            assert [len(one) / rate for one in cells["stimuli"][:, 0]] == [4 + video % 4 for video in range(18)]
        scores = {name: person[f"Score{name}"][0, 0] for name in ("Valence", "Arousal", "Dominance")}
        for score in scores.values():
            assert score.shape == (18, 1)
            assert set(score.ravel()) <= {1, 2, 3, 4, 5}
        for clip, score in zip(person["EEG"][0, 0]["stimuli"][0, 0][:, 0], scores["Valence"][:, 0], strict=True):
            # Counts of an amplifier: far from zero.
            assert 4000 < clip.mean() < 4400
            powers.append(np.log(band_power(scipy.signal.detrend(clip, axis=0).T, 128, 32, 44)))
            valence.append(score)
    # Within a subject: subjects differ in power, whatever their ratings.
    powers, valence = np.reshape(powers, (2, 18, 14)), np.reshape(valence, (2, 18, 1))
    rise = ((powers - powers.mean(axis=1, keepdims=True)) * (valence - valence.mean(axis=1, keepdims=True))).sum(
        axis=(0, 1)
    )
    assert {electrodes[row] for row in rise.argsort()[-2:]} == {"T7", "T8"}


def test_dreamer_in_matlab_7_3(dreamer, tmp_path):
    root = synthetic.write_dreamer(tmp_path, n_subjects=1, clip_seconds=4, effect_size=3.0, version="7.3")
    older = scipy.io.loadmat(dreamer / "DREAMER.mat")["DREAMER"][0, 0]["Data"][0, 0]
    assert (root / "DREAMER.mat").read_bytes().startswith(b"MATLAB 7.3 MAT-file")
    with h5py.File(root / "DREAMER.mat") as file:
        assert file["DREAMER/Data"].attrs["MATLAB_class"] == b"cell"
        person = file[file["DREAMER/Data"][0, 0]]
        # HDF5 reverses MATLAB's axes.
        stimuli = person["EEG/stimuli"]
        assert stimuli.shape == (1, 18)
        np.testing.assert_array_equal(file[stimuli[0, 2]][()].T, older["EEG"][0, 0]["stimuli"][0, 0][2, 0])
        np.testing.assert_array_equal(person["ScoreArousal"][()].T, older["ScoreArousal"][0, 0])
        assert "".join(map(chr, person["Gender"][()].ravel())) == older["Gender"][0, 0].item()


def test_dreamer_mean_ratings():
    rows = rows_of(FACTS / "dreamer_videos.csv")
    assert [float(row["mean_valence"]) for row in rows] == DREAMER_VALENCE
    assert [float(row["mean_arousal"]) for row in rows] == DREAMER_AROUSAL
    # Means of integers of 23 subjects.
    for mean in DREAMER_VALENCE + DREAMER_AROUSAL:
        assert round(round(mean * 23) / 23, 2) == mean
    targets = "calmness surprise amusement fear excitement disgust happiness anger sadness disgust calmness amusement"
    targets += " happiness anger fear excitement sadness surprise"
    assert [row["target_emotion"] for row in rows] == targets.split()
    # Clips with a pleasant target are rated as pleasant.
    by_target = {name: [] for name in targets.split()}
    for row in rows:
        by_target[row["target_emotion"]].append(float(row["mean_valence"]))
    assert min(by_target["amusement"] + by_target["happiness"]) > max(by_target["anger"] + by_target["sadness"])


# --- AMIGOS


def test_amigos(tmp_path):
    facts = facts_of("amigos")
    root = synthetic.write_amigos(tmp_path, subjects=(1, 2, 8, 9), clip_seconds=16, effect_size=3.0)
    short = ["4", "5", "9", "10", "13", "18", "19", "20", "23", "30", "31", "34", "36", "58", "80", "138"]
    assert (short, ["N1", "P1", "B1", "U1"]) == (facts["short_videos"], facts["long_videos"])
    names = ["arousal", "valence", "dominance", "liking", "familiarity", "neutral", "disgust", "happiness", "surprise"]
    assert [*names, "anger", "fear", "sadness"] == facts["self_assessment"]
    assert sorted(person for group in facts["groups"] for person in group) == sorted(
        [7, 1, 2, 16, 6, 32, 4, 3, 29, 5, 27, 21, 18, 14, 17, 22, 15, 11, 12, 10]
    )
    valence = "6.99 7.58 3.74 7.14 3.88 3.56 3.46 3.55 3.30 2.91 3.15 5.81 6.75 6.93 7.64 6.34"
    arousal = "4.08 4.23 4.12 3.84 4.42 5.15 5.01 6.79 6.00 5.59 6.52 5.64 6.05 4.38 5.50 5.53"
    assert facts["mean_ratings"] == {
        "valence": list(map(float, valence.split())),
        "arousal": list(map(float, arousal.split())),
    }
    orders, powers, rated = {}, [], []
    for person in (1, 2, 8, 9):
        variables = scipy.io.loadmat(root / f"Data_Preprocessed_P{person:02d}.mat")
        keys = [name for name in variables if not name.startswith("__")]
        assert keys == ["VideoIDs", "joined_data", "labels_selfassessment", "labels_ext_annotation"]
        assert {variables[name].shape for name in keys} == {(1, 20)}
        cells = [dict(zip(keys, (variables[name][0, place] for name in keys), strict=True)) for place in range(20)]
        orders[person] = [cell["VideoIDs"].item() for cell in cells]
        assert {cell["VideoIDs"].shape for cell in cells} == {(1,)}
        for cell in cells:
            signal, rating, annotation = (cell[name] for name in keys[1:])
            if person == 8 and cell["VideoIDs"].item() in facts["long_videos"]:
                assert (signal.shape, rating.shape, annotation.shape) == ((0, 0), (1, 0), (0, 0))
                continue
            n_seconds = len(signal) / facts["sampling_rate_hz"]
            assert signal.shape[1] == 17
            assert (rating.shape, annotation.shape) == ((1, 12), (1 + -(-(int(n_seconds) - 5) // 20), 3))
            low, high = facts["rating_range"]
            assert ((low <= rating[0, :5]) & (rating[0, :5] <= high)).all()
            assert set(rating[0, 5:]) <= {0, 1}
            assert np.abs(annotation[:, 1:]).max() <= 1
            # Referenced to the average of the electrodes.
            assert np.abs(signal[:, :14].mean(axis=1)).max() < 1e-3
            powers.append(np.log(band_power(signal[640:, :14].T, 128, 32, 44)))
            rated.append(rating[0, 1])
        broken = [cell for cell in cells if np.isnan(cell["joined_data"]).any()]
        assert [np.isnan(cell["joined_data"]).all(axis=0).sum() for cell in broken] == [1] * (person == 9)
    assert orders[1] == orders[8] == orders[9] == [*short, "N1", "P1", "B1", "U1"]
    assert orders[2] != orders[1]
    assert sorted(orders[2]) == sorted(orders[1])
    rise = np.array([np.corrcoef(column, rated)[0, 1] for column in np.array(powers).T])
    assert {facts["eeg_channels"][row] for row in rise.argsort()[-2:]} == {"T7", "T8"}


# --- FACED


def test_faced(tmp_path):
    facts, channels = facts_of("faced"), channels_of("faced")
    videos = rows_of(FACTS / "faced_videos.csv")
    seconds, rate_hz, subject = 4, 1000, 61
    files = ("processed", "raw", "features")
    root = synthetic.write_faced(tmp_path, subjects=(subject,), clip_seconds=seconds, effect_size=3.0, files=files)
    # As its users open them; these files are synthetic.
    processed = pickle.loads((root / "Processed_data" / "sub061.pkl").read_bytes(), encoding="iso-8859-1")
    assert (processed.shape, processed.dtype) == ((28, 32, 30 * 250), np.float64)
    for feature in facts["features"]["names"]:
        array = pickle.loads((root / "EEG_Features" / feature / "sub061.pkl.pkl").read_bytes())
        assert array.shape == (28, 32, 30, 5)
    # Three videos of each emotion in this order, four neutral ones: published, and in the table of videos.
    order = ["anger", "disgust", "fear", "sadness", "neutral", "amusement", "inspiration", "joy", "tenderness"]
    expected = [name for name in order for _ in range(4 if name == "neutral" else 3)]
    assert [row["emotion"] for row in videos] == expected
    assert facts["class_names"] == order
    assert [row["targeted_valence"] for row in videos] == ["negative"] * 12 + ["neutral"] * 4 + ["positive"] * 12
    with zipfile.ZipFile(root / "Stimuli_info.xlsx") as archive:
        texts = list(ElementTree.fromstring(archive.read("xl/sharedStrings.xml")).itertext())
    assert texts[:6] == [
        "Video index",
        "Duration\uff08s\uff09",
        "Source Film",
        "Source Database",
        "Valence",
        "Targeted Emotion",
    ]
    assert "\\" in texts
    # A row for each place in the order of presentation; `vid` is the video.
    rows = scipy.io.loadmat(root / "Data" / "sub061" / "After_remarks.mat")["After_remark"]
    assert rows.shape == (28, 1)
    assert rows.dtype.names == ("score", "trial", "vid", "Accuracy", "ResponseTime")
    assert [int(row["trial"].item()) for row in rows[:, 0]] == list(range(1, 29))
    shown = [int(row["vid"].item()) for row in rows[:, 0]]
    assert (sorted(shown), shown != sorted(shown)) == (list(range(1, 29)), True)
    assert all(
        row["score"].shape == (1, 12) and 0 <= row["score"].min() <= row["score"].max() <= 7 for row in rows[:, 0]
    )
    assert all(row["Accuracy"].shape == row["ResponseTime"].shape == (1, 0) for row in rows[:, 0])
    assert facts["remarks"]["items"][8:] == ["arousal", "valence", "familiarity", "liking"]
    # 68 subjects were recorded at 1000 Hz and 55 at 250 Hz; 33 recordings have no unit.
    ranges = facts["raw"]["rates_hz"]
    counts = {rate: sum(last - first + 1 for first, last, one in ranges if one == rate) for rate in (250, 1000)}
    assert counts == {250: 55, 1000: 68}
    assert sum(last - first + 1 for first, last in facts["raw"]["subjects_without_unit"]) == 33
    header, record_seconds = header_of(root / "Data" / "sub061" / "data.bdf")
    assert header["label"] == [channel["second_batch"] for channel in channels if channel["second_batch"]]
    assert header["label"][-2:] == ["HEOR", "HEOL"]
    assert {int(samples) / record_seconds for samples in header["samples"]} == {rate_hz}
    assert set(header["unit"]) == {"uV"}
    raw = mne.io.read_raw_bdf(root / "Data" / "sub061" / "data.bdf", verbose="ERROR")
    recorded = raw.get_data()[:30] * MICROVOLT_PER_VOLT
    marks = mne.read_annotations(root / "Data" / "sub061" / "evt.bdf")
    codes = [str(mark["description"]) for mark in marks]
    assert codes[0] == "100"
    assert codes[1:] == [code for video in shown for code in (str(video), "101", "102")]
    names = facts["channel_orders"]["second_batch"]
    powers = {}
    for place, video in enumerate(shown):
        start, stop = (mark["onset"] for mark in (marks[3 * place + 2], marks[3 * place + 3]))
        assert stop - start == pytest.approx(seconds)
        clip = scipy.signal.detrend(recorded[:, round(start * rate_hz) : round(stop * rate_hz) : 4])
        # The pickle holds the end of the video, in the order of the videos and not of presentation.
        end = scipy.signal.detrend(processed[video - 1, :30, -clip.shape[1] :])
        agreement = np.corrcoef(clip[:, 50:-50], end[:, 50:-50])[:30, 30:]
        np.testing.assert_array_equal(agreement.argmax(axis=1), np.arange(30))
        powers.setdefault(expected[video - 1], []).append(np.log(band_power(end, 250, 8, 13)))
    rise = np.mean(powers.pop("neutral"), axis=0) - np.mean([one for own in powers.values() for one in own], axis=0)
    assert {names[row] for row in rise.argsort()[-4:]} == {"P3", "Pz", "P4", "Oz"}


# --- SEED-IV, SEED-V, SEED-VII

SEED_IV_LABELS = """
    1 2 3 0 2 0 0 1 0 1 2 1 1 1 2 3 2 2 3 3 0 3 0 3
    2 1 3 0 0 2 0 2 3 3 2 3 2 0 1 1 2 1 0 3 0 1 3 1
    1 2 2 1 3 3 3 1 1 2 1 0 2 3 3 0 2 3 0 0 2 0 1 0
"""
SEED_V_LABELS = """
    4 1 3 2 0 4 1 3 2 0 4 1 3 2 0
    2 1 3 0 4 4 0 3 2 1 3 4 1 2 0
    2 1 3 0 4 4 0 3 2 1 3 4 1 2 0
"""
SEED_VII_LABELS = """
    4 3 0 2 5 5 2 0 3 4 4 3 0 2 5 5 2 0 3 4
    5 2 1 3 6 6 3 1 2 5 5 2 1 3 6 6 3 1 2 5
    4 6 0 1 5 5 1 0 6 4 4 6 0 1 5 5 1 0 6 4
    0 2 1 6 4 4 6 1 2 0 0 2 1 6 4 4 6 1 2 0
"""


@pytest.mark.parametrize(
    ("dataset", "labels", "n_each"),
    [("seed_iv", SEED_IV_LABELS, 18), ("seed_v", SEED_V_LABELS, 9), ("seed_vii", SEED_VII_LABELS, 12)],
)
def test_labels_of_seeds(dataset, labels, n_each):
    facts = facts_of(dataset)
    assert facts["labels"] == [list(map(int, line.split())) for line in labels.strip().splitlines()]
    assert [len(own) for own in facts["labels"]] == [facts["n_trials"]] * facts["n_sessions"]
    counts = np.bincount(np.concatenate(facts["labels"]))
    # As many clips of each class; of SEED-VII's neutral clips there are eight.
    assert set(counts) - {8} == {n_each}
    # Half of the sets of SEED-V and SEED-VII have one clip of each class that is in the session.
    for own in facts["labels"] if "n_trials_per_fold" in facts else ():
        folds = np.reshape(own, (-1, facts["n_trials_per_fold"]))
        assert len({frozenset(fold) for fold in folds.tolist()}) == 1
        assert len(set(folds[0])) == 5
    assert len(facts["sex"]) == facts["n_subjects"]


def test_seed_iv(tmp_path):
    facts, channels = facts_of("seed_iv"), channels_of("seed")
    root = synthetic.write_seed_iv(tmp_path, n_subjects=1, n_sessions=2, clip_seconds=8, effect_size=3.0)
    # A day is that of one person and session.
    assert facts["session_dates"]["13"] == [20151115, 20151125, 20161130]
    assert sum(len(dates) for dates in facts["session_dates"].values()) == 45
    readme = (root / "ReadMe.txt").read_text()
    assert "session1_label = [1,2,3,0,2,0,0,1,0,1,2,1,1,1,2,3,2,2,3,3,0,3,0,3];" in readme
    names = rows_of(FACTS / "seed_iv_eye_features.csv")
    assert len(names) == 31
    powers = {label: [] for label in range(4)}
    for session, date in enumerate(facts["session_dates"]["1"][:2], 1):
        stem = f"1_{date}"
        files = {
            kind: scipy.io.loadmat(root / folder / str(session) / f"{stem}.mat")
            for kind, (folder,) in facts["folders"].items()
            if kind != "eye_events"
        }
        keys = {kind: [key for key in file if not key.startswith("__")] for kind, file in files.items()}
        initials = keys["raw"][0].partition("_")[0]
        assert keys["raw"] == [f"{initials}_eeg{trial}" for trial in range(1, 25)]
        assert keys["features"] == [
            f"{name}{trial}"
            for trial in range(1, 25)
            for name in ("de_movingAve", "de_LDS", "psd_movingAve", "psd_LDS")
        ]
        assert keys["eye_features"] == [f"eye_{trial}" for trial in range(1, 25)]
        for trial, label in enumerate(facts["labels"][session - 1], 1):
            signal = files["raw"][f"{initials}_eeg{trial}"]
            assert (signal.shape, signal.dtype) == ((62, 8 * facts["sampling_rate_hz"]), np.float64)
            assert files["features"][f"psd_LDS{trial}"].shape == (62, 2, len(facts["bands"]))
            assert files["eye_features"][f"eye_{trial}"].shape == (31, 2)
            powers[label].append(np.log(band_power(signal, facts["sampling_rate_hz"], 32, 48)))
        events = {kind: scipy.io.loadmat(root / "eye_raw_data" / f"{stem}_{kind}.mat") for kind in facts["eye_events"]}
        assert {kind: len([key for key in file if not key.startswith("__")]) for kind, file in events.items()} == (
            dict.fromkeys(("blink", "event", "fixation", "pupil", "saccade"), 24)
        )
        n_fixations = events["fixation"]["fixation_3"].size
        assert events["pupil"]["pupil_3"].shape == (n_fixations, 4)
        assert events["saccade"]["saccade_3"].shape[1] == 2
        assert events["event"]["event_3"].size == 28
        # Milliseconds, pixels and degrees.
        assert 100 < events["fixation"]["fixation_3"].mean() < 500
        assert 20 < events["pupil"]["pupil_3"][:, :2].mean() < 60
        assert 0.5 < events["saccade"]["saccade_3"][:, 1].mean() < 15
    # The rows are the channels of the table: gamma power rises with happy clips at the planted electrodes.
    rise = np.mean(powers[3], axis=0) - np.mean(powers[0] + powers[1] + powers[2], axis=0)
    assert {channels[row]["name"] for row in rise.argsort()[-4:]} == {"T7", "T8", "FT7", "FT8"}


def test_seed_v(tmp_path):
    facts, channels = facts_of("seed_v"), channels_of("seed")
    root = synthetic.write_seed_v(tmp_path, n_subjects=1, n_sessions=1, clip_seconds=5, effect_size=3.0)
    spans = facts["clip_spans"]
    assert [own[0] for own in spans] == [[30, 102], [30, 267], [30, 321]]
    assert [own[-1] for own in spans] == [[3204, 3359], [2741, 2817], [2888, 3066]]
    for own in map(np.array, spans):
        assert own.shape == (15, 2)
        assert (np.diff(own.ravel()) > 0).all()
        # Between clips are 29 s or more.
        assert (own[1:, 0] - own[:-1, 1]).min() >= 29
    (path,) = (root / "EEG_raw").iterdir()
    assert path.name == "1_1_20180701.cnt"
    raw = mne.io.read_raw_cnt(path, preload=True, verbose="ERROR")
    originals = [channel["original"] for channel in channels]
    assert raw.ch_names == [*originals, *facts["other_channels"]] == [*originals, "M1", "M2", "VEO", "HEO"]
    assert raw.info["sfreq"] == facts["sampling_rate_hz"] == 1000
    stated = json.loads((root / "synthetic.json").read_text())["clip_spans"][0]
    data = raw.get_data(picks=originals) * MICROVOLT_PER_VOLT
    assert 2 < data.std() < 50
    rise = []
    with np.load(root / "EEG_DE_features" / "1_1.npz") as archive:
        # As users of SEED-V open it; these files are synthetic.
        entropies, labels = (pickle.loads(archive[name].tobytes()) for name in ("data", "label"))
    for trial, (start, stop) in enumerate(stated):
        label = facts["labels"][0][trial]
        signal = data[:, 1000 * start : 1000 * stop]
        gamma = np.log(band_power(signal, 1000, 32, 48))
        rise.append(gamma if label == 4 else -gamma / 4)
        assert (entropies[trial].shape, set(labels[trial])) == ((1, 310), {label})
        # Differential entropies are of the signal, bands innermost.
        entropy = 0.5 * np.log(2 * np.pi * np.e * band_power(signal[:, :4000], 1000, 31, 49) * 18)
        assert np.corrcoef(entropies[trial].reshape(62, 5)[:, 4], entropy)[0, 1] > 0.9
    assert {channels[row]["name"] for row in np.sum(rise, axis=0).argsort()[-4:]} == {"T7", "T8", "FT7", "FT8"}
    with np.load(root / "Eye_movement_features" / "1_1.npz") as archive:
        eyes = pickle.loads(archive["data"].tobytes())
    assert {array.shape for array in eyes.values()} == {(1, 33)}
    assert len(rows_of(FACTS / "seed_eye_features.csv")) == 33


def test_seed_multimodal(tmp_path):
    facts, of_seed = facts_of("seed_multimodal"), facts_of("seed")
    assert facts["clip_seconds"] == of_seed["clip_seconds"]
    assert facts["labels"] == [[label + 1 for label in of_seed["labels"]]] * 3
    root = synthetic.write_seed_multimodal(tmp_path, n_subjects=1, n_sessions=2, clip_seconds=8)
    names = [f"1_{session}" for session in (1, 2)]
    assert sorted(path.stem for path in (root / "eeg_used_4s").iterdir()) == names
    for name in names:
        with np.load(root / "eeg_used_4s" / f"{name}.npz") as archive:
            assert set(archive.files) == {"train_data", "test_data", "train_label", "test_label"}
            bands = {part: pickle.loads(archive[f"{part}_data"].tobytes()) for part in ("train", "test")}
            labels = {part: archive[f"{part}_label"].astype(int).tolist() for part in bands}
        eyes = pickle.loads((root / "eye_tracking_feature" / name).read_bytes())
        for part, n_clips in (("train", 9), ("test", 6)):
            assert list(bands[part]) == list(facts["bands"]) == ["delta", "theta", "alpha", "beta", "gamma"]
            assert {array.shape for array in bands[part].values()} == {(2 * n_clips, 62)}
            assert eyes[f"{part}_data_eye"].shape == (2 * n_clips, 33)
        assert labels["train"] + labels["test"] == np.repeat(facts["labels"][0], 2).tolist()


def test_seed_vii(tmp_path):
    facts, channels = facts_of("seed_vii"), channels_of("seed")
    files = ("preprocessed", "raw", "features", "eye_features", "continuous_labels")
    root = synthetic.write_seed_vii(tmp_path, subjects=(9,), n_sessions=3, clip_seconds=4, files=files)
    signals, features, eyes, intensities = (
        {key: array for key, array in scipy.io.loadmat(root / folder / "9.mat").items() if not key.startswith("__")}
        for folder in ("EEG_preprocessed", "EEG_features", "EYE_features", "continuous_labels")
    )
    clips = [str(clip) for clip in range(1, 61)]
    assert list(signals) == list(eyes) == list(intensities) == clips
    assert {array.shape for array in signals.values()} == {(62, 4 * facts["preprocessed_rate_hz"])}
    assert set(features) == {f"{name}_{clip}" for clip in clips for name in ("de_LDS", "de", "psd")}
    assert {array.shape for array in features.values()} == {(1, 5, 62)}
    assert {array.shape for array in eyes.values()} == {(1, 33)}
    assert all(0 <= array.min() <= array.max() <= 1 for array in intensities.values())
    names = {path.name for path in (root / "EEG_raw").iterdir()}
    assert "9_20221111_3.cnt" in names
    assert len(names) == 3
    for name in names:
        raw = mne.io.read_raw_cnt(root / "EEG_raw" / name, preload=False, verbose="ERROR")
        originals = [channel["original"] for channel in channels]
        assert raw.ch_names == [*originals, *facts["other_channels"]]
        assert sorted(facts["other_channels"]) == ["ECG", "HEO", "M1", "M2", "VEO"]
        triggers = (root / "save_info" / f"{name.removesuffix('.cnt')}_trigger_info.csv").read_text().splitlines()
        assert [line.partition(",")[0] for line in triggers] == ["1", "2"] * 20
        onsets = raw.annotations.onset.tolist()
        if name.removesuffix(".cnt") in facts["recording_starts"]:
            assert onsets == []
            assert triggers[0] == "1,2022-11-11 14:01:29.000000"
        else:
            assert [str(mark["description"]) for mark in raw.annotations] == ["1", "2"] * 20
            assert np.diff(onsets).tolist() == [4, 2] * 19 + [4]
            assert onsets[0] == 2


# --- EAV


def test_eav(tmp_path):
    facts, channels = facts_of("eav"), channels_of("eav")
    options = {"trial_seconds": 2, "video_frame_rate_hz": 2, "video_size": (32, 32)}
    root = synthetic.write_eav(tmp_path, n_subjects=1, n_conversations=3, effect_size=3.0, **options)
    folder = root / "subject1"
    assert {path.name for path in folder.iterdir()} == {"EEG", "Audio", "Video"}
    names = [channel["name"] for channel in channels]
    assert (len(names), names[0], names[-1], {one["unit"] for one in channels}) == (30, "Fp1", "PO10", {"uV"})
    variables = scipy.io.loadmat(folder / "EEG" / "subject1_eeg.mat")
    assert [name for name in variables if not name.startswith("__")] == ["seg1"]
    signals = variables["seg1"]
    assert (signals.shape, signals.dtype) == ((2 * facts["sampling_rate_hz"], 30, 30), np.float64)
    assert facts["trial_seconds"] * facts["sampling_rate_hz"] == 10_000
    labels = scipy.io.loadmat(folder / "EEG" / "subject1_eeg_label.mat")["label"]
    assert (labels.shape, set(labels.sum(axis=0))) == ((10, 30), {1})
    assert facts["class_names"] == ["neutral", "sadness", "anger", "happiness", "calmness"]
    # The codes of the authors' loaders; even rows are listening, in agreement with the file names.
    videos = sorted(path.name for path in (folder / "Video").iterdir())
    assert len(videos) == 30
    powers = {}
    for number, name in enumerate(videos, 1):
        tokens = name.removesuffix(".mp4").split("_")
        assert (tokens[0], tokens[1]) == (f"{number:03d}", "Trial")
        row = 2 * facts["class_names"].index(tokens[4].lower()) + ("Listening", "Speaking").index(tokens[3])
        assert labels[row, number - 1] == 1
        powers.setdefault(tokens[4], []).append(np.log(band_power(signals[:, :, number - 1].T, 500, 8, 13)))
    voices = sorted(path.name for path in (folder / "Audio").iterdir())
    assert voices == [name.replace(".mp4", "_Aud.wav") for name in videos if "Speaking" in name]
    with av.open(str(folder / "Video" / videos[0])) as container:
        assert container.streams.video[0].codec_context.name == "h264"
        assert sum(1 for _ in container.decode(video=0)) == 4
    with wave.open(str(folder / "Audio" / voices[0])) as file:
        assert file.getnframes() / file.getframerate() == 2
    # The rows are the channels of the table: alpha power rises in neutral trials at the planted electrodes.
    rise = np.mean(powers.pop("Neutral"), axis=0) - np.mean([one for own in powers.values() for one in own], axis=0)
    assert "Pz" in {names[row] for row in rise.argsort()[-4:]} <= {"P3", "Pz", "P4", "Oz", "O1", "O2"}


# --- MAHNOB-HCI


def test_mahnob_hci(tmp_path):
    facts, channels = facts_of("mahnob_hci"), channels_of("mahnob_hci")
    lead_seconds, seconds, n_trials, subject = 4, 5, 3, 2
    root = synthetic.write_mahnob_hci(
        tmp_path,
        subjects=(subject,),
        n_trials=n_trials,
        lead_seconds=lead_seconds,
        stimulus_seconds=seconds,
        face_videos=True,
        video_frame_rate_hz=5,
        video_size=(32, 32),
    )
    first = facts["session_ids_per_subject"] * (subject - 1)
    # An id for the neutral clip before each trial, then one for the trial.
    expected = [first + number for number in range(1, 2 * n_trials + 1)]
    assert sorted(int(path.name) for path in (root / "Sessions").iterdir()) == expected
    scalp = [channel["original"] for channel in channels if channel["kind"] == "eeg"]
    assert len(scalp) == 32
    times, stimuli = [], set()
    for trial in range(1, n_trials + 1):
        folder = root / "Sessions" / str(first + 2 * trial)
        session = ElementTree.parse(folder / "session.xml").getroot()
        assert session.tag == "session"
        assert session.get("sessionId") == folder.name
        assert session.find("subject").get("id") == str(subject)
        low, high = facts["rating_range"]
        assert all(low <= int(session.get(name)) <= high for name in facts["ratings"])
        assert 0 <= int(session.get(facts["emotion_attribute"])) < len(facts["emotion_names"])
        stimuli.add(session.get("mediaFile").removesuffix(".avi"))
        times.append((session.get("date"), session.get("time")))
        tracks = {track.get("type"): track.get("filename") for track in session.findall("track")}
        assert tracks["Physiological"] == f"Part_{subject}_S_Trial{trial}_emotion.bdf"
        assert {path.name for path in folder.iterdir()} == {"session.xml", *tracks.values()}
        header, record_seconds = header_of(folder / tracks["Physiological"])
        assert header["label"] == [*scalp, *facts["other_bdf_channels"], facts["status_channel"]]
        assert {channel["original"] for channel in channels} <= set(header["label"])
        assert {int(samples) / record_seconds for samples in header["samples"]} == {facts["sampling_rate_hz"]}
        units = dict(zip(header["label"], header["unit"], strict=True))
        kinds = {"eeg": "uV", "ecg": "uV", "gsr": "Ohm", "respiration": "uV", "temperature": "C"}
        assert {channel["name"]: units[channel["original"]] for channel in channels} == {
            channel["name"]: kinds[channel["kind"]] for channel in channels
        }
        raw = mne.io.read_raw_bdf(folder / tracks["Physiological"], stim_channel="Status", verbose="ERROR")
        words = raw.get_data(picks=["Status"])[0].astype(int) & facts["status_mask"]
        edges = np.flatnonzero(np.diff(words, prepend=0) > 0) / facts["sampling_rate_hz"]
        assert edges.tolist() == [lead_seconds, lead_seconds + seconds]
        of_scalp = scipy.signal.detrend(raw.get_data(picks=scalp)) * MICROVOLT_PER_VOLT
        # Some 10 microvolt, under the noise of the common reference and the mains.
        assert 5 < of_scalp.std() < 100
        assert 28 < raw.get_data(picks=["Temp"]).mean() < 34
        with av.open(str(folder / tracks["Video"])) as container:
            n_frames = sum(1 for _ in container.decode(video=0))
        # The section lasts longer than the clip.
        assert float(session.get("cutLenSec")) > seconds + facts["video_tail_seconds"][0]
        assert n_frames == round(float(session.get("cutLenSec")) * float(session.get("vidRate")))
    assert stimuli == set(list(facts["stimulus_seconds"])[:n_trials])
    # Trials are numbered in the order of presentation.
    assert times == sorted(times)


# --- faces


def test_afew_va(tmp_path):
    facts = facts_of("afew_va")
    root = synthetic.write_afew_va(tmp_path, n_clips=2, n_actors=1, frames_per_clip=3, frame_size=(80, 64))
    for clip in ("001", "002"):
        folder = root / "01" / clip
        content = json.loads((folder / f"{clip}.json").read_text())
        assert set(content) == {"actor", "frames", "video_id"}
        assert content["video_id"] == clip
        assert list(content["frames"]) == ["00000", "00001", "00002"]
        assert {path.name for path in folder.iterdir()} == {
            f"{clip}.json",
            *(f"{name}.png" for name in content["frames"]),
        }
        assert ".png" in facts["image_suffixes"]
        low, high = facts["score_range"]
        for name, frame in content["frames"].items():
            assert all(type(frame[target]) is int and low <= frame[target] <= high for target in ("valence", "arousal"))
            landmarks = np.array(frame["landmarks"])
            assert landmarks.shape == (facts["n_landmarks"], 2)
            # (x, y): the jaw from the person's right side, at the left of the image, to the left one; eyes above mouth.
            assert landmarks[0, 0] < landmarks[16, 0]
            assert landmarks[36:48, 1].max() < landmarks[48:, 1].min()
            assert cv2.imread(str(folder / f"{name}.png")).shape == (64, 80, 3)


def test_affectnet_lists(tmp_path):
    facts = facts_of("affectnet")
    root = synthetic.write_affectnet(tmp_path, n_training=30, n_validation=5)
    codes = {*range(len(facts["class_names"])), *map(int, facts["excluded_expressions"])}
    low, high = facts["rating_range"]
    for name, n_images in (("training", 30), ("validation", 5)):
        rows = rows_of(root / facts["list_folder"] / facts["lists"][name])
        assert len(rows) == n_images
        assert [column for column in rows[0] if column in facts["list_columns"]] == facts["list_columns"]
        for row in rows:
            expression = int(row["expression"])
            assert expression in codes
            is_rated = str(expression) not in facts["excluded_expressions"]
            for target in ("valence", "arousal"):
                rating = float(row[target])
                assert low <= rating <= high if is_rated else rating == -2 or low <= rating <= high
            image = cv2.imread(str(root / facts["image_folder"] / row["subDirectory_filePath"]))
            assert image is not None
            if is_rated:
                landmarks = np.array(row["facial_landmarks"].split(";"), float).reshape(-1, 2)
                assert landmarks.shape == (facts["n_landmarks"], 2)
                assert landmarks[0, 0] < landmarks[16, 0]
                assert (landmarks.mean(axis=0) < image.shape[1::-1]).all()


def test_affectnet_arrays(tmp_path):
    facts = facts_of("affectnet")
    root = synthetic.write_affectnet(tmp_path, n_training=3, n_validation=2, generation="arrays")
    low, high = facts["rating_range"]
    for name, n_images in (("training", 3), ("validation", 2)):
        folder = root / facts["sets"][name]
        assert {path.name for path in (folder / "images").iterdir()} == {f"{number}.jpg" for number in range(n_images)}
        names = {f"{number}_{kind}.npy" for number in range(n_images) for kind in facts["annotations"]}
        assert {path.name for path in (folder / "annotations").iterdir()} == names
        for number in range(n_images):
            values = {kind: np.load(folder / "annotations" / f"{number}_{kind}.npy") for kind in facts["annotations"]}
            assert [values[kind].shape for kind in ("exp", "val", "aro")] == [()] * 3
            assert 0 <= int(values["exp"].item()) < len(facts["class_names"])
            assert all(low <= float(values[kind].item()) <= high for kind in ("val", "aro"))
            assert values["lnd"].shape == (2 * facts["n_landmarks"],)
            assert values["lnd"][0] < values["lnd"][2 * 16]
            assert cv2.imread(str(folder / "images" / f"{number}.jpg")) is not None


# --- actors


def pitch_hz(path):
    """Frequency of the strongest partial of a wav file, and the file's rate."""
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth()) == (1, 2)
        rate_hz, samples = file.getframerate(), np.frombuffer(file.readframes(file.getnframes()), "<i2")
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return spectrum.argmax() * rate_hz / len(samples), rate_hz


def seconds_of(path):
    """Durations of audio and video of a file, and the codecs, by decoding it."""
    with av.open(str(path)) as container:
        picture, sound = container.streams.video[0], container.streams.audio[0]
        n_frames, n_samples = 0, 0
        for frame in container.decode(picture, sound):
            n_frames, n_samples = n_frames + isinstance(frame, av.VideoFrame), n_samples + getattr(frame, "samples", 0)
        lengths = n_frames / float(picture.average_rate), n_samples / sound.rate
        return lengths, picture.codec_context.name, sound.codec_context.name, sound.rate


def test_ravdess(tmp_path):
    facts = facts_of("ravdess")
    options = {"clip_seconds": 1, "video_size": (32, 32), "effect_size": 2.0}
    root = synthetic.write_ravdess(tmp_path, 1, n_emotions=8, n_statements=1, **options)
    emotions = ["neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised"]
    assert (emotions, ["normal", "strong"]) == (facts["emotions"], facts["intensities"])
    names = {path.name for path in (root / "Actor_01").iterdir()}
    codes = [(1, 1), *((emotion, intensity) for emotion in range(2, 9) for intensity in (1, 2))]
    stems = [f"01-{emotion:02d}-{intensity:02d}-01-01-01" for emotion, intensity in codes]
    assert names == {f"{kind}-{stem}{suffix}" for stem in stems for kind, suffix in (("03", ".wav"), ("01", ".mp4"))}
    (picture, sound), *codecs = seconds_of(root / "Actor_01" / f"01-{stems[0]}.mp4")
    assert codecs == ["h264", "aac", 48000]
    assert 1 <= picture <= 1.1
    assert sound == pytest.approx(picture, abs=0.05)
    pitches = dict(zip(codes, (pitch_hz(root / "Actor_01" / f"03-{stem}.wav") for stem in stems), strict=True))
    assert {rate_hz for _, rate_hz in pitches.values()} == {48000} == {facts["sampling_rate_hz"]}
    # Anger is higher than sadness, and more so where it is strong.
    assert pitches[5, 2][0] > pitches[5, 1][0] > pitches[4, 1][0]
    # Of all three kinds of files, of speech and song, without the songs of actor 18.
    counts = facts["n_utterances"]
    assert counts == {"speech": 4 + 7 * 8, "song": 4 + 5 * 8}
    assert 3 * (24 * counts["speech"] + 23 * counts["song"]) == facts["n_files"]


def test_crema_d(tmp_path):
    facts = facts_of("crema_d")
    options = {"clip_seconds": 1, "video_size": (32, 32), "effect_size": 2.0}
    root = synthetic.write_crema_d(tmp_path, 2, n_sentences=2, **options)
    # As the page of the dataset lists them.
    sentences = ["IEO", "TIE", "IOM", "IWW", "TAI", "MTI", "IWL", "ITH", "DFA", "ITS", "TSI", "WSI"]
    emotions = {"ANG": "anger", "DIS": "disgust", "FEA": "fear", "HAP": "happy", "NEU": "neutral", "SAD": "sad"}
    assert (sentences, emotions) == (facts["sentences"], facts["emotions"])
    assert facts["levels"] == {"LO": "low", "MD": "medium", "HI": "high"}
    names = {f"IEO_{emotion}_{level}" for emotion in emotions if emotion != "NEU" for level in ("LO", "MD", "HI")}
    names |= {"IEO_NEU_XX", *(f"TIE_{emotion}_XX" for emotion in emotions)}
    # Neutral, of actor 1002, is one of those that never existed.
    expected = {f"{actor}_{name}" for actor in (1001, 1002) for name in names} - {"1002_TIE_NEU_XX"}
    for folder, suffix in (("AudioWAV", ".wav"), ("VideoFlash", ".flv")):
        assert {path.name for path in (root / folder).iterdir()} == {f"{name}{suffix}" for name in expected}
    (picture, sound), *codecs = seconds_of(root / "VideoFlash" / "1001_IEO_ANG_HI.flv")
    assert codecs[:2] == ["flv", "mp3float"]
    assert sound == pytest.approx(picture, abs=0.15)
    pitches = [pitch_hz(root / "AudioWAV" / f"1001_IEO_{name}.wav") for name in ("SAD_HI", "ANG_LO", "ANG_HI")]
    assert {rate_hz for _, rate_hz in pitches} == {16000} == {facts["sampling_rate_hz"]}
    assert [pitch for pitch, _ in pitches] == sorted(pitch for pitch, _ in pitches)
    people = rows_of(root / "VideoDemographics.csv")
    assert list(people[0]) == ["ActorID", "Age", "Sex", "Race", "Ethnicity"]
    assert [(row["ActorID"], row["Sex"]) for row in people] == [("1001", "Male"), ("1002", "Female")]
    votes = rows_of(root / "processedResults" / "summaryTable.csv")
    assert {row["FileName"] for row in votes} == expected
    assert {len(row["MultiModalVote"]) for row in votes} == {1, 3}


# --- recordings of one's own, of which no facts file speaks but the docstrings of reader and writer

EMOTIV = ["AF3", "F7", "F3", "FC5", "T7", "P7", "O1", "O2", "P8", "T8", "FC6", "F4", "F8", "AF4"]


@pytest.mark.parametrize("file_format", ["edf", "fif"])
def test_recordings(tmp_path, file_format):
    options = {"trial_seconds": 4, "baseline_seconds": 2, "sampling_rate_hz": 200, "file_format": file_format}
    root = synthetic.write_recordings(tmp_path, n_subjects=1, n_trials=3, **options)
    rows = rows_of(root / "trials.csv")
    assert list(rows[0])[:5] == ["subject", "trial", "file", "start_seconds", "stop_seconds"]
    assert sorted(int(row["trial"]) for row in rows) == [1, 2, 3]
    assert {(row["subject"], row["file"]) for row in rows} == {("s01", f"s01.{file_format}")}
    path = root / f"s01.{file_format}"
    raw = mne.io.read_raw(path, verbose="ERROR")
    if file_format == "edf":
        header, record_seconds = header_of(path)
        names = [*(f"EEG {name}" for name in EMOTIV), "EOG left", "GSR"]
        assert header["label"][: len(names)] == names
        assert header["unit"][: len(names)] == ["uV"] * 15 + ["kOhm"]
        assert {int(samples) / record_seconds for samples in header["samples"][: len(names)]} == {200}
    else:
        names = [*EMOTIV, "EOG left", "GSR"]
        assert raw.get_channel_types() == ["eeg"] * 14 + ["eog", "gsr"]
    assert raw.ch_names == names
    assert raw.info["sfreq"] == 200
    signal = raw.get_data(picks=names[:14]) * MICROVOLT_PER_VOLT
    assert 2 < signal.std() < 50
    by_start = sorted(rows, key=lambda row: float(row["start_seconds"]))
    assert [int(row["presentation"]) for row in by_start] == [1, 2, 3]
    # The file annotates the trials of the table.
    marks = [(mark["onset"], mark["duration"], str(mark["description"])) for mark in raw.annotations]
    assert marks == [(float(row["start_seconds"]), 4.0, row["stimulus"]) for row in by_start]
    assert all(float(row["stop_seconds"]) - float(row["start_seconds"]) == 4 for row in rows)
    assert all(float(row["baseline_seconds"]) == 2 for row in rows)
    assert all(1 <= float(row[target]) <= 9 for row in rows for target in ("valence", "arousal"))


def test_recordings_in_two_sessions(tmp_path):
    root = synthetic.write_recordings(tmp_path, n_subjects=1, n_trials=2, n_sessions=2, trial_seconds=4)
    rows = rows_of(root / "trials.csv")
    # Trials are numbered anew in each session, each of which has a file of its own.
    expected = [(str(session), str(trial), f"s01_{session}.edf") for session in (1, 2) for trial in (1, 2)]
    assert sorted((row["session"], row["trial"], row["file"]) for row in rows) == expected
    for session in ("1", "2"):
        own = sorted((row for row in rows if row["session"] == session), key=lambda row: float(row["start_seconds"]))
        raw = mne.io.read_raw(root / f"s01_{session}.edf", verbose="ERROR")
        assert [str(mark["description"]) for mark in raw.annotations] == [row["stimulus"] for row in own]
