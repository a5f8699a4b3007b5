"""SEED reader, on synthetic files in both of its formats and with both naming schemes."""

import json
import pickle
import re
import shutil

import numpy as np
import pytest
import scipy.io

from keras_emotion.datasets import READERS, SEED
from keras_emotion.datasets.electrodes import comparable_names
from keras_emotion.schema import InputError
from keras_emotion.signals import grid_positions
from keras_emotion.synthetic import write_seed
from keras_emotion.synthetic.workbook import write_workbook
from keras_emotion.testing.observation import peak_memory

# As published: of the fifteen clips, in their order.
LABELS = [1, 0, -1, -1, 0, 1, -1, 0, 1, 1, 0, -1, 0, 1, -1]
_CHANNELS = """
    FP1 FPZ FP2 AF3 AF4 F7 F5 F3 F1 FZ F2 F4 F6 F8 FT7 FC5 FC3 FC1 FCZ FC2 FC4 FC6 FT8 T7 C5 C3 C1 CZ C2 C4 C6 T8
    TP7 CP5 CP3 CP1 CPZ CP2 CP4 CP6 TP8 P7 P5 P3 P1 PZ P2 P4 P6 P8 PO7 PO5 PO3 POZ PO4 PO6 PO8 CB1 O1 OZ O2 CB2
"""
CHANNELS = _CHANNELS.split()
N_SAMPLES = 2 * 200 + 1
SIGNALS, FEATURES = "Preprocessed_EEG", "ExtractedFeatures"
FIRST = "1_20131027.mat"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Two subjects, two sessions, clips of 2 s: read-only."""
    return write_seed(tmp_path_factory.mktemp("seed"), n_subjects=2, n_sessions=2, clip_seconds=2)


@pytest.fixture
def copy(root, tmp_path):
    """The same, for tests that damage it."""
    return shutil.copytree(root, tmp_path / "seed")


@pytest.fixture
def one(root, tmp_path):
    """One session of signals, for tests that damage it; `synthetic.json` declares one session."""
    folder = tmp_path / "seed"
    (folder / SIGNALS).mkdir(parents=True)
    for name in (f"{SIGNALS}/{FIRST}", f"{SIGNALS}/label.mat", "seed-stimulation.xlsx", "Channel Order.xlsx"):
        shutil.copy(root / name, folder / name)
    state(folder, json.loads((root / "synthetic.json").read_text()) | {"n_sessions": 1})
    return folder


def state(folder, content):
    (folder / "synthetic.json").write_text(json.dumps(content))


def variables_of(path):
    return {name: array for name, array in scipy.io.loadmat(path).items() if not name.startswith("__")}


def edit(path, change):
    """Rewrite a MATLAB file with some variables changed; `None` removes one."""
    variables = variables_of(path)
    variables |= change(variables) if callable(change) else change
    scipy.io.savemat(path, {name: array for name, array in variables.items() if array is not None})


def problems_of(reader):
    """Messages by file name."""
    return [(problem["file"].rpartition("/")[2], problem["message"]) for problem in reader.describe()["problems"]]


# --- what is read


def test_signals_are_those_of_the_files(root):
    reader = SEED(root)
    assert READERS["seed"] is SEED
    assert (reader.file_format, reader.subjects, reader.synthetic) == ("preprocessed", (1, 2), True)
    trials = list(reader.trials([2]))
    assert [(trial.session, trial.trial) for trial in trials] == [(s, t) for s in (1, 2) for t in range(1, 16)]
    for trial in trials:
        name = ("2_20140404.mat", "2_20140413.mat")[trial.session - 1]
        assert trial.recording.source == root / SIGNALS / name
        stored = scipy.io.loadmat(trial.recording.source, variable_names=[f"bc_eeg{trial.trial}"])
        signal = stored[f"bc_eeg{trial.trial}"]
        assert signal.shape == (62, N_SAMPLES)
        np.testing.assert_array_equal(trial.recording.signal, signal[:, :-1])
        assert trial.recording.signal.flags.c_contiguous
        assert trial.recording.signal.dtype == np.float64
        assert trial.recording.units == ("uV",) * 62
        assert [channel.upper() for channel in trial.recording.channel_names] == CHANNELS
        assert trial.eeg_channel_names == trial.recording.channel_names
        assert (trial.recording.sampling_rate_hz, trial.recording.baseline_seconds) == (200, 0)
        assert trial.recording.duration_seconds == 2
        assert (trial.dataset, trial.subject, trial.presentation) == ("seed", 2, trial.trial)
        assert trial.stimulus == f"clip_{trial.trial:02d}"
        assert trial.split == ("train" if trial.trial <= 9 else "test")
        assert trial.ratings == {"emotion": LABELS[trial.trial - 1] + 1}
    assert SEED.class_names["emotion"] == ("negative", "neutral", "positive")


@pytest.mark.parametrize("session", [1, 2])
def test_features_are_those_of_the_files(root, session):
    reader = SEED(root, "features")
    trials = [trial for trial in reader.trials([1]) if trial.session == session]
    stored = variables_of(root / FEATURES / ("1_20131027.mat", "1_20131030.mat")[session - 1])
    for number, trial in enumerate(trials, 1):
        features = trial.released_features
        assert (trial.recording, trial.trial, trial.eeg_channel_names) == (None, number, ())
        assert set(features.names) == {"de_LDS", "de_movingAve", "psd_LDS", "psd_movingAve"} == features.smoothed
        assert list(features.bands.items()) == [
            *(("delta", (1, 4)), ("theta", (4, 8)), ("alpha", (8, 14)), ("beta", (14, 31)), ("gamma", (31, 50)))
        ]
        assert [name.upper() for name in features.channel_names] == CHANNELS
        assert features.window_seconds == 1
        for name in features.names:
            array = features.read(name)
            assert array.shape == (2, 62, 5)
            np.testing.assert_array_equal(array, np.moveaxis(stored[f"{name}{number}"], 0, 1))
            np.testing.assert_array_equal(pickle.loads(pickle.dumps(features.read))(name), array)
    with pytest.raises(InputError, match=r"1_2013\d+\.mat: unknown feature dasm_LDS; expected one of de_"):
        features.read("dasm_LDS")
    (first, *_) = reader.inspect(1).description["trials"]
    assert first["duration_seconds"] == 2


def test_channels_have_the_names_by_which_others_are_found(root):
    (trial, *_) = SEED(root).trials([1])
    assert comparable_names(CHANNELS) == list(trial.recording.channel_names)
    for layout, row in (("9x9", 8), ("8x9", 7)):
        cells = grid_positions(trial.recording.channel_names, layout)
        assert cells[[57, 61]].tolist() == [[row, 2], [row, 6]]


def test_letters_in_place_of_numbers(root, tmp_path):
    write_seed(tmp_path, n_subjects=2, n_sessions=1, clip_seconds=2, names="letters", files=["preprocessed"])
    reader = SEED(tmp_path)
    assert reader.subjects == ("ab", "bc")
    assert problems_of(reader) == []
    numbered = [trial for trial in SEED(root).trials() if trial.session == 1]
    for one, other in zip(reader.trials(), numbered, strict=True):
        assert (one.session, one.trial, one.ratings) == (other.session, other.trial, other.ratings)
        np.testing.assert_array_equal(one.recording.signal, other.recording.signal)


def test_subjects_by_number_and_sessions_by_date(copy):
    folder = copy / SIGNALS
    (folder / "2_20140404.mat").rename(folder / "10_20140404.mat")
    # Reversed by name.
    (folder / FIRST).rename(folder / f"0{FIRST}")
    (folder / "1_20131030.mat").rename(folder / "1_20130101.mat")
    ordered = ["1_20130101.mat", f"0{FIRST}"]
    reader = SEED(copy)
    assert reader.subjects == (1, 2, 10)
    assert [path.name for path in reader.source_files(1)][:2] == ordered
    assert [trial.recording.source.name for trial in reader.trials([1])][::15] == ordered


def test_trials_are_found_by_name(one):
    """In another order, with other variables, and with any initials."""
    path = one / SIGNALS / FIRST
    expected = [trial.recording.signal for trial in SEED(one).trials()]
    shuffled = list(variables_of(path).items())[::-1]
    renamed = {name.replace("ab_", "Zyx_"): array for name, array in shuffled}
    scipy.io.savemat(path, {"label": np.array([LABELS]), **renamed, "ab_ecg3": np.ones((2, 5))})
    trials = list(SEED(one).trials())
    assert [trial.trial for trial in trials] == list(range(1, 16))
    for trial, signal in zip(trials, expected, strict=True):
        np.testing.assert_array_equal(trial.recording.signal, signal)


@pytest.mark.parametrize("name", ["ExtractedFeatures", "Extracted_Features", "ExtractedFeatures_1s"])
def test_folders_of_features(copy, name):
    shutil.rmtree(copy / SIGNALS)
    (copy / FEATURES).rename(copy / name)
    for reader in (SEED(copy), SEED(copy / name), SEED(copy, "features")):
        assert (reader.file_format, reader.synthetic, reader.folder.name) == ("features", True, name)
        assert next(reader.trials([1])).released_features.window_seconds == 1


def test_windows_of_four_seconds(copy):
    folder = (copy / FEATURES).rename(copy / "ExtractedFeatures_4s")
    state(copy, json.loads((copy / "synthetic.json").read_text()) | {"clip_seconds": [8] * 15})
    reader = SEED(folder)
    assert problems_of(reader) == []
    assert {trial.released_features.window_seconds for trial in reader.trials([1])} == {4}
    assert {trial["duration_seconds"] for trial in reader.inspect(1).description["trials"]} == {8}


@pytest.mark.parametrize("folder", [SIGNALS, FEATURES])
def test_a_folder_of_another_name(root, tmp_path, folder):
    shutil.copytree(root / folder, tmp_path / "mine")
    shutil.copy(root / "synthetic.json", tmp_path / "mine")
    reader = SEED(tmp_path / "mine")
    assert reader.file_format == {SIGNALS: "preprocessed", FEATURES: "features"}[folder]
    assert problems_of(reader) == []
    with pytest.raises(InputError, match="no folder"):
        SEED(tmp_path / "mine", {SIGNALS: "features", FEATURES: "preprocessed"}[folder])


def test_reader_for_sources(root, copy):
    signals, features = SEED(root), SEED(root, "features")
    assert signals.for_sources(("recording",)) is signals
    assert signals.for_sources(("video",)) is signals
    assert features.for_sources(("released_features", "video")) is features
    assert signals.for_sources(("released_features",)).file_format == "features"
    assert SEED(root / FEATURES).for_sources(("recording",)).folder.name == SIGNALS
    with pytest.raises(InputError, match="signals and released features cannot be read together"):
        signals.for_sources(("recording", "released_features"))
    shutil.rmtree(copy / FEATURES)
    with pytest.raises(InputError, match=r"no folder ExtractedFeatures or Extracted_Features or .* with files named"):
        SEED(copy).for_sources(("released_features",))


def test_one_signal_at_a_time_in_memory(root):
    n_bytes = 62 * N_SAMPLES * 8
    list(SEED(root).trials([1]))
    with peak_memory() as peak:
        for _ in SEED(root).trials([1]):
            pass
    # In a file with fifteen: the stored signal, the returned one, and SciPy's.
    assert peak[0] < 5 * n_bytes


def test_description(root):
    description = json.loads(json.dumps(SEED(root).describe(), allow_nan=False))
    assert description["problems"] == []
    assert description["class_names"] == {"emotion": ["negative", "neutral", "positive"]}
    first = description["subjects"][0]
    assert (first["sampling_rate_hz"], first["n_channels"], len(first["trials"])) == (200, 62, 30)
    assert first["sessions"][1] == {"session": 2, "date": "2013-10-30", "file": "1_20131030.mat"}
    assert description["notes"] == ["the last sample of each signal, at the end of the clip, is left out"]


# --- labels


def test_labels_are_read_and_not_known(one):
    """Labels other than those of SEED are used and reported."""
    others = [-label for label in LABELS]
    scipy.io.savemat(one / SIGNALS / "label.mat", {"label": np.array([others])})
    (one / "seed-stimulation.xlsx").unlink()
    reader = SEED(one)
    assert [trial.ratings["emotion"] - 1 for trial in reader.trials()] == others
    message = (
        "labels differ from the known labels of SEED: trial 1 is -1, expected 1, trial 3 is 1, expected -1, trial 4 is "
        "1, expected -1"
    )
    ((file, found),) = problems_of(reader)
    assert (file, found.partition(" and ")[0]) == ("label.mat", message)


def test_label_file_in_the_root(one):
    (one / SIGNALS / "label.mat").rename(one / "label.mat")
    assert problems_of(SEED(one)) == []
    assert one / "label.mat" in SEED(one).source_files(1)


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("seed-stimulation.xlsx", "seed-stimulation.xlsx"),
        ("SEED_stimulation.xlsx", "SEED_stimulation.xlsx"),
        (None, "the known facts of SEED"),
    ],
)
def test_without_label_file(one, name, source):
    (one / SIGNALS / "label.mat").unlink()
    table = one / "seed-stimulation.xlsx"
    table.unlink() if name is None else table.rename(one / name)
    reader = SEED(one)
    assert [trial.ratings["emotion"] - 1 for trial in reader.trials()] == LABELS
    assert problems_of(reader) == [
        ("label.mat", f"missing file; labels are taken from {source}; copy it to the folder of the files"),
    ]
    assert f"label.mat is missing: labels are taken from {source}" in reader.notes()


CODES = [1 + label for label in LABELS]
WRONG_CODES = [CODES[0], 2, *CODES[2:]]


def stimulation(codes, heading="Label"):
    return [["Name of the clip", heading], *[["a film", code] for code in codes], ["2: positive"]]


@pytest.mark.parametrize("heading", ["Label", "label "])
@pytest.mark.parametrize("as_text", [False, True])
def test_table_of_stimuli(one, heading, as_text):
    (one / SIGNALS / "label.mat").unlink()
    codes = [str(code) for code in CODES] if as_text else CODES
    write_workbook(one / "seed-stimulation.xlsx", [["SEED"], *stimulation(codes, heading)])
    assert [trial.ratings["emotion"] - 1 for trial in SEED(one).trials()] == LABELS


# --- what is wrong: each fault is named, and blocks where trials would be wrong


def signals(change):
    return lambda root: edit(root / SIGNALS / FIRST, change)


def spoiled(row, value):
    def change(variables):
        signal = variables["ab_eeg4"].copy()
        signal[row] = value
        return {"ab_eeg4": signal}

    return signals(change)


def table_of(codes, **options):
    return lambda root: write_workbook(root / "seed-stimulation.xlsx", stimulation(codes, **options))


def channels(names):
    return lambda root: write_workbook(root / "Channel Order.xlsx", [[name] for name in names])


def labels(array, name="label"):
    return lambda root: scipy.io.savemat(root / SIGNALS / "label.mat", {name: array})


def truncated(name, n_bytes=1000):
    return lambda root: (root / name).write_bytes((root / name).read_bytes()[:n_bytes])


BLOCKING = {
    "another person's trial": (
        signals(lambda variables: {"ab_eeg15": None, "jl_eeg15": variables["ab_eeg15"]}),
        (FIRST, "variables with the initials of 2 subjects .*; jl: trial 15.; expected one"),
    ),
    "channels": (
        signals(lambda variables: {"ab_eeg2": variables["ab_eeg2"][:61]}),
        (FIRST, r"trial 2: signal of shape \(61, 401\); expected \(62, 401\), 2 s at 200 Hz"),
    ),
    "another rate": (
        signals(lambda variables: {name: array[:, ::2] for name, array in variables.items()}),
        (FIRST, r"trial 1, 2, 3.*, 15: signal of shape \(62, 201\); expected \(62, 401\)"),
    ),
    "NaN": (spoiled(9, np.nan), (FIRST, "trial 4: NaN or infinite values in Fz$")),
    "flat": (spoiled(57, 3.0), (FIRST, "trial 4: constant signal in EEG channel CB1$")),
    "complex numbers": (
        signals(lambda variables: {"ab_eeg4": 1j * variables["ab_eeg4"]}),
        (FIRST, r"`ab_eeg4` is complex128 \(62, 401\); expected numbers of shape \(channels, samples\)"),
    ),
    "text": (
        signals({"ab_eeg4": np.array(["a" * 401] * 62)}),
        (FIRST, r"trial 4: signal of shape \(62,\); expected \(62, 401\)"),
    ),
    "truncated": (truncated(f"{SIGNALS}/{FIRST}"), (FIRST, "damaged or truncated MATLAB file")),
    "empty": (truncated(f"{SIGNALS}/{FIRST}", 0), (FIRST, "damaged or truncated MATLAB file")),
    "missing trials": (
        lambda root: scipy.io.savemat(root / SIGNALS / FIRST, {"de_LDS1": np.ones((62, 2, 5))}),
        (FIRST, "no variables like jl_eeg1; found de_LDS1"),
    ),
    "labels against table": (
        table_of(WRONG_CODES),
        (
            "label.mat",
            "labels differ from seed-stimulation.xlsx: trial 2 is 0, expected 1; the files do not belong together",
        ),
    ),
    "labels of another code": (labels(np.array([CODES])), ("label.mat", "`label` is 2, 1, 0, .*from -1, 0, 1")),
    "too few labels": (labels(np.array([LABELS[1:]])), ("label.mat", r"`label` is int64 \(1, 14\); expected 15")),
    "no labels": (
        labels(np.array([LABELS]), "y"),
        ("label.mat", "`label` is missing; expected 15 numbers"),
    ),
    "truncated labels": (truncated(f"{SIGNALS}/label.mat", 100), ("label.mat", "damaged or truncated MATLAB file")),
    "channels in another order": (
        channels([*CHANNELS[:57], "O1", "CB1", *CHANNELS[59:]]),
        (
            "Channel Order.xlsx",
            "62 names, row 58 is O1, expected CB1, row 59 is CB1, expected O1; expected the 62 channels",
        ),
    ),
    "too few channels": (channels(CHANNELS[:60]), ("Channel Order.xlsx", "60 names; expected the 62 channels")),
}


@pytest.mark.parametrize("fault", BLOCKING)
def test_faults_that_block(one, fault):
    break_it, (file, message) = BLOCKING[fault]
    break_it(one)
    for call in (SEED(one).check, lambda: list(SEED(one).trials())):
        with pytest.raises(InputError, match=rf"^/.*{file}: ({message})"):
            call()
    assert {found_file for found_file, _ in problems_of(SEED(one))} == {file}


def without(*names):
    return signals(dict.fromkeys(names))


FLAWS = {
    "missing trials": (without("ab_eeg3", "ab_eeg12"), (FIRST, "missing trial 3, 12; expected 1 to 15"), 13),
    "unexpected trial": (
        signals(lambda variables: {"ab_eeg16": variables["ab_eeg1"]}),
        (FIRST, "trial 16 is not read; expected 1 to 15"),
        15,
    ),
    "damaged table": (
        truncated("seed-stimulation.xlsx", 500),
        ("seed-stimulation.xlsx", "damaged .xlsx workbook"),
        15,
    ),
    "table without labels": (table_of(CODES, heading="x"), ("seed-stimulation.xlsx", "missing column Label"), 15),
    "short table": (table_of(CODES[:9]), ("seed-stimulation.xlsx", "Label is '2', .*; expected 15 numbers"), 15),
    "damaged channels": (truncated("Channel Order.xlsx", 500), ("Channel Order.xlsx", "damaged .xlsx"), 15),
    "a file with another name": (
        lambda root: (root / SIGNALS / "1_20131335.mat").touch(),
        ("1_20131335.mat", "not read; expected a name like 1_20131027.mat"),
        15,
    ),
    "another visit": (
        lambda root: shutil.copy(root / SIGNALS / FIRST, root / SIGNALS / "1_20131107.mat"),
        (SIGNALS, r"subject 1: 2 sessions \(2013-10-27, 2013-11-07\); expected 1"),
        30,
    ),
    "wrong visit": (
        lambda root: (root / SIGNALS / FIRST).rename(root / SIGNALS / "1_20140404.mat"),
        (
            "1_20140404.mat",
            "SEED has sessions of subject 1 on 20131027, 20131030, 20131107; check that the file is of this subject",
        ),
        15,
    ),
}


@pytest.mark.parametrize("flaw", FLAWS)
def test_faults_that_are_described_and_do_not_block(one, flaw):
    break_it, (file, message), n_trials = FLAWS[flaw]
    break_it(one)
    reader = SEED(one)
    reader.check()
    assert len(list(reader.trials())) == n_trials
    ((found_file, found),) = problems_of(reader)
    assert found_file == file
    assert re.match(message, found), found


def test_a_file_of_another_person_among_those_of_a_subject(copy):
    shutil.copy(copy / SIGNALS / "2_20140404.mat", copy / SIGNALS / "1_20131107.mat")
    reader = SEED(copy)
    reader.check()
    assert problems_of(reader) == [
        (
            "1_20131107.mat",
            f"variables start with bc, those of {FIRST} with ab; check that the file is of this subject",
        ),
        (SIGNALS, "subject 1: 3 sessions (2013-10-27, 2013-10-30, 2013-11-07); expected 2"),
    ]


def test_a_missing_visit(copy):
    (copy / SIGNALS / "2_20140413.mat").unlink()
    assert problems_of(SEED(copy)) == [(SIGNALS, "subject 2: 1 sessions (2014-04-04); expected 2")]


def test_real_data_have_three_sessions_and_long_clips(copy):
    (copy / "synthetic.json").unlink()
    problems = problems_of(SEED(copy))
    sessions = [message for file, message in problems if file == SIGNALS]
    assert sessions == [
        f"subject {subject}: 2 sessions ({dates}); expected 3"
        for subject, dates in ((1, "2013-10-27, 2013-10-30"), (2, "2014-04-04, 2014-04-13"))
    ]
    lengths = [message for file, message in problems if file == FIRST]
    assert "trial 1, 11, 13: signal of shape (62, 401); expected (62, 47001), 235 s" in "\n".join(lengths)
    with pytest.raises(InputError, match=r"de_movingAve of 2 windows; expected 235, a clip of 235 s"):
        SEED(copy, "features").check([1])


def test_the_same_date_twice(one):
    shutil.copy(one / SIGNALS / FIRST, one / SIGNALS / f"0{FIRST}")
    with pytest.raises(InputError, match=rf"{FIRST}: same subject and date as 0{FIRST}; keep one of them"):
        next(SEED(one).trials())
    assert (FIRST, f"same subject and date as 0{FIRST}; keep one of them") in problems_of(SEED(one))


def test_both_kinds_of_names(one):
    shutil.copy(one / SIGNALS / FIRST, one / SIGNALS / "ab_20131027.mat")
    with pytest.raises(InputError, match=rf"files named by number \({FIRST}\) and by letters \(ab_20131027.mat\)"):
        SEED(one)


@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "damaged"), ('{"dataset": "seed", "clip_seconds": [2], "n_sessions": 1}', r"`clip_seconds` is \[2\]")],
)
def test_damaged_statement_of_a_synthetic_copy(one, content, message):
    (one / "synthetic.json").write_text(content)
    with pytest.raises(InputError, match=f"synthetic.json: {message}"):
        SEED(one)


def test_nothing_there(tmp_path, root):
    with pytest.raises(InputError, match=r"no folder Preprocessed_EEG or ExtractedFeatures with files named like"):
        SEED(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        SEED(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="`file_format` is 'raw'"):
        SEED(root, "raw")


FEATURE_FAULTS = {
    "missing": ({"psd_LDS3": None}, "trial 3: missing psd_LDS"),
    "shape": ({"de_LDS3": np.ones((62, 2, 4))}, r"trial 3: de_LDS of shape \(62, 2, 4\); expected \(62, windows, 5\)"),
    "windows": ({"de_LDS3": np.ones((62, 3, 5))}, "trial 3: de_LDS of 3 windows; expected 2, a clip of 2 s"),
    # The duration is that of the first feature.
    "NaN": ({"psd_LDS3": np.full((62, 2, 5), np.nan)}, "trial 3: NaN or infinite values in psd_LDS"),
    "infinity": ({"de_movingAve3": np.full((62, 2, 5), np.inf)}, "trial 3: NaN or infinite values in de_movingAve"),
    "text": ({"de_movingAve3": np.full((62, 2, 5), "a")}, "`de_movingAve3` is <U1"),
}


@pytest.mark.parametrize("fault", FEATURE_FAULTS)
def test_faults_of_features(copy, fault):
    change, message = FEATURE_FAULTS[fault]
    for path in (copy / FEATURES).glob("*.mat"):
        if path.name not in (FIRST, "label.mat"):
            path.unlink()
    state(copy, json.loads((copy / "synthetic.json").read_text()) | {"n_sessions": 1})
    edit(copy / FEATURES / FIRST, change)
    reader = SEED(copy, "features")
    with pytest.raises(InputError, match=rf"{FIRST}: {message}"):
        reader.check()
    with pytest.raises(InputError, match=rf"{FIRST}: {message}"):
        [trial.released_features.read(name) for trial in reader.trials() for name in trial.released_features.names]
    assert [file for file, _ in problems_of(reader)] == [FIRST]


def test_missing_features_of_a_trial(copy):
    edit(copy / FEATURES / FIRST, lambda variables: {name: None for name in variables if name.endswith("_LDS15")})
    edit(copy / FEATURES / FIRST, lambda variables: {name: None for name in variables if name.endswith("_movingAve15")})
    reader = SEED(copy, "features")
    reader.check()
    assert problems_of(reader) == [(FIRST, "missing trial 15; expected 1 to 15")]
