"""DEAP reader: three formats that agree, both orders, the videos, and damaged copies."""

import json
import pickle
import shutil

import av
import mne
import numpy as np
import pandas as pd
import pytest
import scipy.io
import scipy.signal

from keras_emotion.datasets import DEAP, deap_facts, deap_original
from keras_emotion.datasets.deap import FILE_FORMATS
from keras_emotion.schema import InputError, Trial
from keras_emotion.synthetic import write_deap

SUBJECTS = (1, 23, 24, 29)
"""One subject per variant of the original recordings: site, unit of the skin response, name of the status channel."""

N_TRIALS = 3
TWENTE_PICK = [0, 1, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 14, 15, 12]
TWENTE_PICK += [29, 28, 30, 26, 27, 24, 25, 31, 22, 23, 20, 21, 18, 19, 17, 16]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Small synthetic copy in all formats: read-only."""
    return write_deap(tmp_path_factory.mktemp("deap"), subjects=SUBJECTS, n_trials=N_TRIALS, files=FILE_FORMATS)


@pytest.fixture(scope="module")
def trials(root):
    return {name: list(DEAP(root, file_format=name).trials()) for name in FILE_FORMATS}


@pytest.fixture
def copy(root, tmp_path):
    """Subjects 1 and 23 of the synthetic copy, for tests that damage it: `.dat` files and metadata."""
    for folder in ("metadata_csv", "data_preprocessed_python"):
        shutil.copytree(root / folder, tmp_path / folder)
    for subject in (24, 29):
        (tmp_path / "data_preprocessed_python" / f"s{subject}.dat").unlink()
    edit_ratings(tmp_path, lambda table: table[table["Participant_id"].isin([1, 23])])
    return tmp_path


def edit_ratings(folder, edit):
    path = folder / "metadata_csv" / "participant_ratings.csv"
    edit(pd.read_csv(path, encoding="utf-8-sig")).to_csv(path, index=False, encoding="utf-8-sig")


def edit_data(folder, edit, subject=1):
    """Rewrite a `.dat` with the variables returned by `edit`."""
    path = folder / "data_preprocessed_python" / f"s{subject:02d}.dat"
    variables = pickle.loads(path.read_bytes(), encoding="latin1")
    path.write_bytes(pickle.dumps(edit({name: array.copy() for name, array in variables.items()}), protocol=4))
    return path


def set_value(name, index, value):
    def edit(variables):
        variables[name][index] = value
        return variables

    return edit


# --- what is read


def test_facts():
    assert deap_facts.CHANNEL_NAMES[:4] == ("Fp1", "AF3", "F3", "F7")
    assert deap_facts.CHANNEL_NAMES[32:] == (
        *("hEOG", "vEOG", "zEMG", "tEMG"),
        *("GSR", "Respiration", "Plethysmograph", "Temperature"),
    )
    assert deap_facts.CHANNEL_UNITS[:33] == ("uV",) * 33
    assert deap_facts.CHANNEL_UNITS[36] == "ohm"
    assert len(deap_facts.CHANNEL_NAMES) == len(set(deap_facts.CHANNEL_NAMES)) == 40
    # The published mapping from the Twente to the Geneva order.
    twente = deap_facts.FACTS["original"]["twente_order"]
    assert tuple(twente[index] for index in TWENTE_PICK) == deap_facts.EEG_CHANNEL_NAMES


def test_trials_of_one_subject(root):
    read = list(DEAP(root).trials(subjects=[23]))
    table = pd.read_csv(root / "metadata_csv" / "participant_ratings.csv", encoding="utf-8-sig")
    table = table[table["Participant_id"] == 23].set_index("Experiment_id")
    with (root / "data_preprocessed_python" / "s23.dat").open("rb") as file:
        expected = pickle.load(file, encoding="latin1")
    assert [trial.trial for trial in read] == [1, 2, 3]
    for index, trial in enumerate(read):
        assert isinstance(trial, Trial)
        assert (trial.dataset, trial.subject, trial.session) == ("deap", 23, 1)
        assert trial.stimulus == str(index + 1)
        assert trial.presentation == table["Trial"][index + 1]
        assert list(trial.ratings) == ["valence", "arousal", "dominance", "liking"]
        np.testing.assert_allclose(list(trial.ratings.values()), expected["labels"][index], rtol=0, atol=1e-12)
        assert trial.ratings["arousal"] == table["Arousal"][index + 1]
        assert trial.recording.sampling_rate_hz == 128
        assert trial.recording.n_baseline_samples == 384
        assert trial.recording.duration_seconds == 60
        assert trial.recording.source.name == "s23.dat"
        assert trial.eeg.signal.shape == (32, 8064)
        assert trial.video is None
        np.testing.assert_array_equal(trial.recording.signal, expected["data"][index])


def test_trials_hold_no_file_in_memory(root):
    signal = next(DEAP(root).trials()).recording.signal
    assert signal.base is None
    assert signal.flags.writeable
    assert signal.dtype == np.float64


def test_orders_differ_in_the_files_tested(trials):
    # Otherwise the tests below could not distinguish the orders.
    for subject in SUBJECTS:
        orders = [trial.presentation for trial in trials["python"] if trial.subject == subject]
        assert sorted(orders) == [1, 2, 3]
    assert any(trial.presentation != trial.trial for trial in trials["python"])
    by_subject = {s: tuple(t.presentation for t in trials["python"] if t.subject == s) for s in SUBJECTS}
    assert len(set(by_subject.values())) > 1


def test_the_three_formats_give_the_same_trials(trials):
    def identity(trial):
        recording = trial.recording
        return (
            *(trial.subject, trial.trial, trial.presentation, trial.stimulus, tuple(trial.ratings.items())),
            *(recording.channel_names, recording.units, recording.baseline_seconds, recording.duration_seconds),
        )

    python, matlab, original = (list(map(identity, trials[name])) for name in FILE_FORMATS)
    assert python == matlab == original
    assert len(python) == len(SUBJECTS) * N_TRIALS


def test_matlab_signals_equal_python_signals(trials):
    for one, other in zip(trials["python"], trials["matlab"], strict=True):
        np.testing.assert_array_equal(one.recording.signal, other.recording.signal)


def test_original_signals_equal_preprocessed_signals(trials):
    """Every fourth sample, without reference, offset and drift, to the resolution of the recording."""
    for preprocessed, original in zip(trials["python"], trials["original"], strict=True):
        assert original.recording.sampling_rate_hz == 512
        assert original.recording.signal.shape == (40, 4 * 8064)
        expected, signal = preprocessed.recording.signal, original.recording.signal[:, ::4]
        eeg = scipy.signal.detrend(signal[:32] - signal[:32].mean(axis=0))
        np.testing.assert_allclose(eeg, scipy.signal.detrend(expected[:32]), rtol=0, atol=2 / 32)
        # A difference of two electrodes has the rounding errors of both.
        np.testing.assert_allclose(signal[32:36], expected[32:36], rtol=0, atol=2 / 32)
        np.testing.assert_allclose(signal[36], expected[36], rtol=2e-5)
        np.testing.assert_allclose(signal[37:], expected[37:], rtol=0, atol=1 / 32)


def test_original_signals_equal_what_mne_reads(root, trials):
    raw = mne.io.read_raw_bdf(root / "data_original" / "s01.bdf", verbose="ERROR")
    events = mne.find_events(raw, stim_channel="Status", mask=0xFF, mask_type="and", verbose="ERROR")
    onsets = events[events[:, 2] == 4, 0]
    for trial in trials["original"][:N_TRIALS]:
        start = onsets[trial.presentation - 1] - 3 * 512
        piece = raw.copy().crop(start / 512, (start + 63 * 512) / 512, include_tmax=False)
        np.testing.assert_allclose(
            trial.eeg.signal, piece.get_data(picks=list(trial.eeg_channel_names), units="uV"), atol=1e-6
        )
        left, right = piece.get_data(picks=["EXG1", "EXG2"], units="uV")
        np.testing.assert_allclose(trial.recording.pick(["hEOG"]).signal[0], left - right, atol=1e-6)
        (conductance_nanosiemens,) = piece.get_data(picks=["GSR1"])
        np.testing.assert_allclose(trial.recording.pick(["GSR"]).signal[0], 1e9 / conductance_nanosiemens)


def test_skin_response_is_a_resistance_at_both_sites(trials):
    for trial in trials["original"]:
        assert 1e5 < trial.recording.pick(["GSR"]).signal.mean() < 1e6


def test_preprocessing_the_original(root, trials):
    read = list(DEAP(root, file_format="original", preprocess=True).trials(subjects=[1, 29]))
    expected = [trial for trial in trials["python"] if trial.subject in (1, 29)]
    for one, other in zip(read, expected, strict=True):
        assert one.recording.sampling_rate_hz == 128
        assert one.recording.signal.shape == (40, 8064)
        # Up to the roll-off of one more filter at the edges of the band.
        inner = scipy.signal.butter(4, (7, 38), "bandpass", fs=128, output="sos")
        a, b = (scipy.signal.sosfiltfilt(inner, trial.eeg.signal)[:, 128:-128] for trial in (one, other))
        assert np.abs(a - b).max() < 0.1 * b.std()
        assert np.abs(one.eeg.signal.mean(axis=0)).max() < 1e-9
        np.testing.assert_allclose(one.recording.signal[36].mean(), other.recording.signal[36].mean(), rtol=1e-4)


def test_first_format_present_is_read(root, tmp_path):
    assert DEAP(root).file_format == "python"
    (tmp_path / "data_preprocessed_matlab").mkdir()
    shutil.copy(root / "data_preprocessed_matlab" / "s01.mat", tmp_path / "data_preprocessed_matlab")
    assert DEAP(tmp_path).file_format == "matlab"
    assert DEAP(tmp_path).subjects == (1,)


def test_trials_of_numpy_ids_and_order(root):
    read = [(trial.subject, trial.trial) for trial in DEAP(root).trials(np.array([23, 1]))]
    assert read == [(23, 1), (23, 2), (23, 3), (1, 1), (1, 2), (1, 3)]
    assert type(read[0][0]) is int


def test_source_files(root):
    files = [path.relative_to(root).as_posix() for path in DEAP(root, file_format="original").source_files(29)]
    assert files == ["data_original/s29.bdf", "metadata_csv/participant_ratings.csv"]


def test_pickles_with_byte_keys_and_fortran_order(copy):
    expected = [trial.recording.signal for trial in DEAP(copy).trials([1])]
    path = copy / "data_preprocessed_python" / "s01.dat"
    variables = pickle.loads(path.read_bytes(), encoding="bytes")
    variables[b"data"] = np.asfortranarray(variables[b"data"])
    path.write_bytes(pickle.dumps(variables))
    for trial, signal in zip(DEAP(copy).trials([1]), expected, strict=True):
        np.testing.assert_array_equal(trial.recording.signal, signal)


# --- videos


def write_video(path, seconds=60, rate=1):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=rate)
        stream.width = stream.height = 16
        for _ in range(seconds * rate):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), format="rgb24")))
        container.mux(stream.encode())


def add_videos(root, subject, numbers):
    folder = root / "face_video" / f"s{subject:02d}"
    folder.mkdir(parents=True)
    for number in numbers:
        write_video(folder / f"s{subject:02d}_trial{number:02d}.avi")
    return folder


def test_video_number_is_the_presentation_order(copy):
    folder = add_videos(copy, 1, [1, 2, 3])
    table = pd.read_csv(copy / "metadata_csv" / "participant_ratings.csv", encoding="utf-8-sig")
    shown = table[table["Participant_id"] == 1].set_index("Experiment_id")["Trial"]
    assert list(shown) != [1, 2, 3]
    for trial in DEAP(copy).trials([1]):
        assert trial.video == folder / f"s01_trial{shown[trial.trial]:02d}.avi"


def test_missing_videos_are_described_and_do_not_block(copy):
    folder = add_videos(copy, 1, [1, 3])
    (folder / "s01_trial01.avi").write_bytes(b"")
    dataset = DEAP(copy)
    dataset.check()
    assert sum(trial.video is None for trial in dataset.trials([1])) == 1
    messages = [(problem["file"], problem["message"]) for problem in dataset.describe()["problems"]]
    assert messages == [
        (str(folder / "s01_trial01.avi"), "empty file; copy it again"),
        (str(folder), "2 face videos; expected 3"),
    ]


def test_videos_that_cannot_be_right_are_described_and_do_not_block(copy):
    folder = add_videos(copy, 1, [1, 2, 3])
    whole = (folder / "s01_trial01.avi").read_bytes()
    (folder / "s01_trial01.avi").write_bytes(whole[:200])
    write_video(folder / "s01_trial03.avi", seconds=30)
    dataset = DEAP(copy)
    dataset.check()
    first, second = dataset.describe()["problems"]
    assert first["file"] == str(folder / "s01_trial01.avi")
    assert "unreadable video" in first["message"]
    assert second["file"] == str(folder / "s01_trial03.avi")
    assert second["message"].startswith("duration of 30.0 s by its header; expected 60 s")


def test_videos_of_no_trial_are_described(copy):
    add_videos(copy, 1, [1, 2, 3, 4])
    (problem,) = DEAP(copy).describe()["problems"]
    assert problem["message"] == "face videos without a trial: [4]"


# --- without the csv


def test_without_csv(copy):
    (copy / "metadata_csv" / "participant_ratings.csv").unlink()
    add_videos(copy, 1, [1, 2, 3])
    dataset = DEAP(copy)
    dataset.check()
    for trial in dataset.trials([1]):
        assert trial.presentation == -1
        assert trial.video is None
        assert set(trial.ratings) == {"valence", "arousal", "dominance", "liking"}
    (problem,) = dataset.describe()["problems"]
    assert "participant_ratings.csv" in problem["file"]
    assert "presentation order and face videos are unknown" in problem["message"]


def test_original_recordings_need_the_csv(root, tmp_path):
    (tmp_path / "data_original").symlink_to(root / "data_original")
    with pytest.raises(InputError, match=r"participant_ratings.csv: missing file; .*copy metadata_csv"):
        DEAP(tmp_path).check([1])


def test_without_video_list(copy):
    assert DEAP(copy).describe()["subjects"][0]["trials"][0]["title"] == "Artist 1: Title 1"
    (copy / "metadata_csv" / "video_list.csv").unlink()
    assert DEAP(copy).describe()["subjects"][0]["trials"][0]["title"] is None


def test_an_infinite_id_in_the_video_list_has_no_title(copy):
    file = copy / "metadata_csv" / "video_list.csv"
    file.write_text(file.read_text().replace("\n1,1,", "\n1,inf,"))
    first, second = DEAP(copy).describe()["subjects"][0]["trials"][:2]
    assert (first["title"], second["title"]) == (None, "Artist 2: Title 2")


# --- describe


def test_description_is_json(root):
    description = json.loads(json.dumps(DEAP(root).describe(), allow_nan=False))
    assert list(description) == ["dataset", "root", "synthetic", "class_names", "subjects", "problems"]
    assert description["dataset"] == "deap"
    assert description["synthetic"] is True
    assert description["problems"] == []
    assert [subject["subject"] for subject in description["subjects"]] == list(SUBJECTS)
    subject = description["subjects"][0]
    assert subject["sampling_rate_hz"] == 128
    assert subject["n_channels"] == 40
    assert subject["file"] == str(root / "data_preprocessed_python" / "s01.dat")
    assert subject["trials"][0]["trial"] == 1
    assert subject["trials"][0]["stimulus"] == "1"
    assert set(subject["trials"][0]["ratings"]) == {"valence", "arousal", "dominance", "liking"}


def test_description_of_a_broken_copy(copy):
    edit_data(copy, set_value("data", (1, 3, 100), np.nan))
    (copy / "data_preprocessed_python" / "s23.dat").unlink()
    description = DEAP(copy).describe()
    assert [(problem["subject"], problem["message"]) for problem in description["problems"]] == [
        (23, "missing file of a subject with ratings; copy it"),
        (1, "trial 2: NaN or infinite values in F7"),
    ]
    assert description["problems"][1]["file"].endswith("s01.dat")


# --- what is refused


def test_no_folder(tmp_path):
    with pytest.raises(InputError, match=r"nowhere: no such folder"):
        DEAP(tmp_path / "nowhere")


def test_no_deap(tmp_path):
    with pytest.raises(
        InputError, match=r"none of data_preprocessed_python/sNN.dat, .*data_original/sNN.bdf found; expected"
    ):
        DEAP(tmp_path)
    with pytest.raises(InputError, match=r"none of data_preprocessed_matlab/sNN.mat found; expected"):
        DEAP(tmp_path, file_format="matlab")


def test_bad_arguments(root):
    with pytest.raises(ValueError, match="`file_format` is 'numpy'"):
        DEAP(root, file_format="numpy")
    with pytest.raises(ValueError, match="`preprocess` is True but the files are of format 'python'"):
        DEAP(root, preprocess=True)


def test_unknown_subject(root):
    dataset = DEAP(root)
    message = r"no files of subject 7, 8; available: 1, 23, 24, 29"
    for call in (dataset.check, lambda subjects: next(dataset.trials(subjects))):
        with pytest.raises(InputError, match=message):
            call([1, 7, 8])
    with pytest.raises(InputError, match="no files of subject 99"):
        dataset.source_files(99)


BROKEN_DATA = {
    "half-copied": (lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]), "truncated"),
    "empty": (lambda path: path.write_bytes(b""), "truncated: the file ends before the pickle does"),
    "text": (lambda path: path.write_text("<html>not found</html>"), "byte 0: "),
    "list": (lambda path: path.write_bytes(pickle.dumps([1, 2])), "missing variable `data`; found list"),
    "no labels": (lambda path: edit_data(path.parents[1], lambda v: {"data": v["data"]}), "missing variable `labels`"),
    "no peripherals": (
        lambda path: edit_data(path.parents[1], lambda v: v | {"data": v["data"][:, :32]}),
        r"`data` is float64 \(3, 32, 8064\); expected numbers of shape \(trials, 40, 8064\)",
    ),
    "no baseline": (
        lambda path: edit_data(path.parents[1], lambda v: v | {"data": v["data"][..., 384:]}),
        r"`data` is float64 \(3, 40, 7680\)",
    ),
    "one row of labels": (
        lambda path: edit_data(path.parents[1], lambda v: v | {"labels": v["labels"][0]}),
        r"`labels` is float64 \(4,\)",
    ),
    "too few labels": (
        lambda path: edit_data(path.parents[1], lambda v: v | {"labels": v["labels"][:2]}),
        "`data` has 3 trials and `labels` 2",
    ),
    "no trials": (
        lambda path: edit_data(path.parents[1], lambda v: {"data": v["data"][:0], "labels": v["labels"][:0]}),
        "`data` has 0 trials",
    ),
    "text for labels": (
        lambda path: edit_data(path.parents[1], lambda v: v | {"labels": "high"}),
        "`labels` is str",
    ),
    "rating of 10": (
        lambda path: edit_data(path.parents[1], set_value("labels", (1, 2), 10.0)),
        "`labels` of trial 2, dominance: 10; expected a number from 1 to 9",
    ),
    "NaN rating": (
        lambda path: edit_data(path.parents[1], set_value("labels", (0, 0), np.nan)),
        "`labels` of trial 1, valence: nan",
    ),
    "other rating": (
        lambda path: edit_data(path.parents[1], lambda v: v | {"labels": (v["labels"] + 2.5) % 7 + 1}),
        r"subject 1: `labels` differ from participant_ratings.csv: trial 1 valence .* and 9 more",
    ),
    "NaN": (
        lambda path: edit_data(path.parents[1], set_value("data", (2, 36, 5), np.nan)),
        "trial 3: NaN or infinite values in GSR",
    ),
    "infinite": (
        lambda path: edit_data(path.parents[1], set_value("data", (0, 0, 5), -np.inf)),
        "trial 1: NaN or infinite values in Fp1",
    ),
    "flat": (
        lambda path: edit_data(path.parents[1], set_value("data", (slice(None), [3, 15]), 1.5)),
        "trial 1, 2, 3: constant signal in EEG channel F7, Pz",
    ),
}


@pytest.mark.parametrize("case", BROKEN_DATA)
def test_broken_data_file(copy, case):
    break_it, message = BROKEN_DATA[case]
    path = copy / "data_preprocessed_python" / "s01.dat"
    break_it(path)
    with pytest.raises(InputError, match=rf"^{path}: .*{message}") as caught:
        DEAP(copy).check()
    assert "\n" not in str(caught.value)
    # `trials` raises the same as `check`, and the other subject is unaffected.
    with pytest.raises(InputError, match=rf"^{path}: "):
        list(DEAP(copy).trials([1]))
    assert len(list(DEAP(copy).trials([23]))) == N_TRIALS
    (problem,) = DEAP(copy).describe()["problems"]
    assert problem["file"] == str(path)
    assert problem["subject"] == 1


def test_flat_peripheral_channel_is_no_problem(copy):
    edit_data(copy, set_value("data", (slice(None), 38), 0.0))
    DEAP(copy).check()


def keep(condition):
    return lambda table: table[condition(table)]


def assign(row, column, value):
    def edit(table):
        table = table.astype(object)
        table.loc[row, column] = value
        return table

    return edit


BROKEN_RATINGS = {
    "no rows of a subject": (
        keep(lambda table: table["Participant_id"] != 1),
        "Participant_id 1: Experiment_id 1, 2, 3 missing; Trial 1, 2, 3 missing; expected 1 to 3, as in s01.dat",
    ),
    "one row short": (
        keep(lambda table: (table["Participant_id"] != 1) | (table["Experiment_id"] != 2)),
        "Participant_id 1: Experiment_id 2 missing; Trial . missing; expected 1 to 3",
    ),
    "twice the same video": (assign(0, "Experiment_id", 2), "1: Experiment_id 1 missing; Experiment_id 2 unexpected;"),
    "twice the same position": (lambda table: table.assign(Trial=1), "1: Trial 2, 3 missing; Trial 1, 1 unexpected;"),
    "other ids": (assign(1, "Experiment_id", 9), "1: Experiment_id 2 missing; Experiment_id 9 unexpected;"),
    "no column": (
        lambda table: table.drop(columns=["Arousal", "Trial"]),
        "missing column Trial, Arousal; found Participant",
    ),
    "text": (assign(1, "Arousal", "high"), "line 3, Arousal is 'high'; expected a number from 1 to 9"),
    "empty": (assign(2, "Liking", None), "line 4, Liking is 'nan'; expected a number from 1 to 9"),
    "out of range": (assign(0, "Valence", 11), r"line 2, Valence is '11.0'"),
    "hundreds of digits": (assign(0, "Trial", "9" * 400), r"line 2, Trial is '9{400}'; expected an integer"),
    "half a trial": (assign(0, "Trial", 1.5), r"line 2, Trial is '1.5'; expected an integer"),
}


@pytest.mark.parametrize("case", BROKEN_RATINGS)
def test_broken_ratings(copy, case):
    edit, message = BROKEN_RATINGS[case]
    edit_ratings(copy, edit)
    path = copy / "metadata_csv" / "participant_ratings.csv"
    for call in (DEAP(copy).check, lambda subjects: list(DEAP(copy).trials(subjects))):
        with pytest.raises(InputError, match=rf"{path}: .*{message}"):
            call([1])


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00garbage", b"a,b\n1,2,3\n4\n"])
def test_ratings_that_are_no_csv(copy, content):
    path = copy / "metadata_csv" / "participant_ratings.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"^{path}: ") as caught:
        DEAP(copy).check()
    # Reported once, though both subjects need it.
    assert "\n" not in str(caught.value)


def test_all_bad_files_are_listed_together(copy):
    edit_data(copy, set_value("data", (0, 0, 0), np.nan), subject=23)
    (copy / "data_preprocessed_python" / "s01.dat").write_bytes(b"\x80\x02")
    shutil.copy(copy / "data_preprocessed_python" / "s23.dat", copy / "data_preprocessed_python" / "s05.dat")
    with pytest.raises(InputError) as caught:
        DEAP(copy).check()
    lines = str(caught.value).splitlines()
    assert [line.split(": ")[0].split("/")[-1] for line in lines] == [
        "s01.dat",
        "participant_ratings.csv",
        "s05.dat",
        "s23.dat",
    ]
    assert "Participant_id 5: Experiment_id 1, 2, 3 missing" in lines[1]


def test_nothing_is_read_before_it_is_asked_for(copy):
    (copy / "data_preprocessed_python" / "s23.dat").write_bytes(b"broken")
    dataset = DEAP(copy)
    trials = dataset.trials()
    assert [next(trials).trial for _ in range(3)] == [1, 2, 3]
    with pytest.raises(InputError, match=r"s23.dat"):
        next(trials)


# --- MATLAB files


@pytest.fixture
def matlab(root, tmp_path):
    for folder in ("metadata_csv", "data_preprocessed_matlab"):
        shutil.copytree(root / folder, tmp_path / folder, ignore=shutil.ignore_patterns("s2*"))
    return tmp_path / "data_preprocessed_matlab" / "s01.mat"


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:5000]), "damaged or truncated MATLAB file"),
        (lambda path: path.write_bytes(b"no MATLAB file"), "damaged or truncated MATLAB file"),
        (lambda path: path.write_bytes(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + b"\0" * 400), "7.3"),
        (lambda path: scipy.io.savemat(path, {"labels": np.ones((3, 4))}), "missing variable `data`; found labels"),
        (lambda path: scipy.io.savemat(path, {"data": np.ones((3, 4)), "labels": np.ones(4)}), "`data` is float64"),
    ],
    ids=["truncated", "text", "7.3", "no data", "shape"],
)
def test_broken_matlab_file(matlab, break_it, message):
    break_it(matlab)
    with pytest.raises(InputError, match=rf"^{matlab}: .*{message}"):
        DEAP(matlab.parents[1]).check([1])


# --- original recordings


@pytest.fixture
def original(root, tmp_path):
    """Subject 29's original recording, for tests that damage it."""
    shutil.copytree(root / "metadata_csv", tmp_path / "metadata_csv")
    (tmp_path / "data_original").mkdir()
    return shutil.copy(root / "data_original" / "s29.bdf", tmp_path / "data_original" / "s29.bdf")


def patch(path, start, content):
    with path.open("r+b") as file:
        file.seek(start)
        file.write(content)


def zero_signals(path, signals, n_signals=49):
    content = np.fromfile(path, dtype=np.uint8)
    content[256 * (n_signals + 1) :].reshape(-1, n_signals, 512 * 3)[:, signals] = 0
    content.tofile(path)


N_SIGNALS = 49
LABELS, DIMENSIONS = 256, 256 + N_SIGNALS * (16 + 80)


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-1000]), r"truncated: \d+ of \d+ bytes; copy it again"),
        (lambda path: path.write_bytes(path.read_bytes()[:200]), "invalid header"),
        (lambda path: path.write_bytes(b"0" * 10_000), "invalid header"),
        (lambda path: patch(path, 236, b"many    "), "damaged header"),
        (lambda path: patch(path, 244, b"2       "), r"256.0 Hz; expected 512 Hz"),
        (lambda path: patch(path, LABELS + 16, b"A2".ljust(16)), "missing channel AF3; found Fp1, A2, F3"),
        (lambda path: patch(path, LABELS + 16 * 47, b"AF3".ljust(16)), "several channels are called AF3"),
        (lambda path: patch(path, DIMENSIONS, b"nV".ljust(8)), "unit of Fp1 is 'nV'; expected uV"),
        (lambda path: patch(path, LABELS + 16 * 47, b"A".ljust(16) + b"B".ljust(16)), "no status channel"),
        (lambda path: zero_signals(path, [47]), "status channel has 0 video starts"),
        (lambda path: patch(path, 236, b"100     "), "ends within the last video"),
    ],
    ids=[
        "truncated",
        "header",
        "zeros",
        "records",
        "rate",
        "label",
        "label twice",
        "unit",
        "status",
        "no video",
        "cut",
    ],
)
def test_broken_original(original, break_it, message):
    break_it(original)
    with pytest.raises(InputError, match=rf"^{original}: .*{message}") as caught:
        DEAP(original.parents[1]).check()
    assert "\n" not in str(caught.value)


def test_original_with_other_trials_than_the_csv(original):
    edit_ratings(original.parents[1], keep(lambda table: table["Experiment_id"] != 3))
    with pytest.raises(InputError, match=r"Participant_id 29: Experiment_id 3 missing.*as in s29.bdf"):
        DEAP(original.parents[1]).check()


def test_flat_electrode_of_an_original(original):
    zero_signals(original, [7])
    with pytest.raises(InputError, match=r"trial 1, 2, 3: constant signal in EEG channel T7"):
        DEAP(original.parents[1]).check()


def test_open_skin_electrode_of_an_original(root, tmp_path):
    """A conductance of zero, in files with conductance, is not a resistance."""
    shutil.copytree(root / "metadata_csv", tmp_path / "metadata_csv")
    (tmp_path / "data_original").mkdir()
    path = shutil.copy(root / "data_original" / "s01.bdf", tmp_path / "data_original" / "s01.bdf")
    gsr = 32 + 8
    zero_signals(path, [gsr], n_signals=48)
    # A range in which zero is a step of its own: BioSemi's has it between two.
    patch(path, 256 + 48 * (16 + 80 + 8) + gsr * 8, b"-8388608")
    patch(path, 256 + 48 * (16 + 80 + 8 + 8) + gsr * 8, b"8388607 ")
    with pytest.raises(InputError, match=r"trial 1, 2, 3: NaN or infinite values in GSR"):
        DEAP(tmp_path).check()


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["eeglab_biosemi16_256hz_60s.bdf", "mne_biosemi72_2048hz_1s.bdf"])
def test_header_of_real_recordings(real_data, name):
    """Files of real amplifiers, one of them of an interrupted recording."""
    path = real_data / "eeg_files" / name
    header = deap_original.BDFHeader.read(path)
    raw = mne.io.read_raw_bdf(path, verbose="ERROR")
    assert list(header.labels) == raw.ch_names
    assert header.sampling_rate_hz == raw.info["sfreq"]
    assert header.n_samples == raw.n_times
    assert set(header.dimensions[:-1]) == {"uV"}
