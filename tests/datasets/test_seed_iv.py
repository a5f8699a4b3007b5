"""SEED-IV reader, on synthetic files in both of its formats, and on damaged ones."""

import json
import pickle
import re
import shutil

import numpy as np
import pytest
import scipy.io

from keras_emotion.datasets import READERS, SEEDIV
from keras_emotion.schema import InputError
from keras_emotion.synthetic import write_seed_iv
from keras_emotion.synthetic.workbook import write_workbook

# As published: of the clips of each session, in their order.
LABELS = [
    [1, 2, 3, 0, 2, 0, 0, 1, 0, 1, 2, 1, 1, 1, 2, 3, 2, 2, 3, 3, 0, 3, 0, 3],
    [2, 1, 3, 0, 0, 2, 0, 2, 3, 3, 2, 3, 2, 0, 1, 1, 2, 1, 0, 3, 0, 1, 3, 1],
]
RAW, FEATURES, EYES, EVENTS = "eeg_raw_data", "eeg_feature_smooth", "eye_feature_smooth", "eye_raw_data"
FIRST = "1_20160518.mat"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """One subject, two sessions, clips of 4 s: read-only."""
    return write_seed_iv(tmp_path_factory.mktemp("seed_iv"), n_subjects=1, n_sessions=2, clip_seconds=4)


@pytest.fixture
def one(root, tmp_path):
    """One session, for tests that damage it; `synthetic.json` declares one session."""
    folder = tmp_path / "seed_iv"
    for kind in (RAW, FEATURES, EYES):
        (folder / kind / "1").mkdir(parents=True)
        shutil.copy(root / kind / "1" / FIRST, folder / kind / "1" / FIRST)
    (folder / EVENTS).mkdir()
    for path in (root / EVENTS).glob("1_20160518_*.mat"):
        shutil.copy(path, folder / EVENTS / path.name)
    for name in ("ReadMe.txt", "Channel Order.xlsx"):
        shutil.copy(root / name, folder / name)
    marker = json.loads((root / "synthetic.json").read_text()) | {"n_sessions": 1}
    (folder / "synthetic.json").write_text(json.dumps(marker))
    return folder


def variables_of(path):
    return {name: array for name, array in scipy.io.loadmat(path).items() if not name.startswith("__")}


def edit(path, changes):
    """Rewrite a MATLAB file with some variables changed; `None` removes one."""
    variables = variables_of(path) | changes
    scipy.io.savemat(path, {name: array for name, array in variables.items() if array is not None})


def problems_of(reader):
    """Messages by file name."""
    return [(problem["file"].rpartition("/")[2], problem["message"]) for problem in reader.describe()["problems"]]


# --- what is read


def test_signals_are_those_of_the_files(root):
    reader = SEEDIV(root)
    assert READERS["seed_iv"] is SEEDIV
    assert (reader.file_format, reader.subjects, reader.synthetic) == ("raw", (1,), True)
    names = {1: FIRST, 2: "1_20161125.mat"}
    stored = {session: variables_of(root / RAW / str(session) / name) for session, name in names.items()}
    trials = list(reader.trials())
    assert [(trial.session, trial.trial) for trial in trials] == [(s, t) for s in (1, 2) for t in range(1, 25)]
    for trial in trials:
        assert trial.recording.source == root / RAW / str(trial.session) / names[trial.session]
        np.testing.assert_array_equal(trial.recording.signal, stored[trial.session][f"ab_eeg{trial.trial}"])
        assert (trial.recording.signal.shape, trial.recording.sampling_rate_hz) == ((62, 800), 200)
        assert trial.recording.units == ("uV",) * 62
        assert trial.ratings == {"emotion": LABELS[trial.session - 1][trial.trial - 1]}
        assert (trial.presentation, trial.split) == (trial.trial, "")
    # Sessions have no clips in common.
    assert [trial.stimulus for trial in trials] == [f"clip_{clip:02d}" for clip in range(1, 49)]
    assert SEEDIV.class_names["emotion"] == ("neutral", "sad", "fear", "happy")
    assert reader.genders() == {1: "male"}


def test_features_are_those_of_the_files(root):
    reader = SEEDIV(root, "features")
    stored = variables_of(root / FEATURES / "2" / "1_20161125.mat")
    (trial,) = [trial for trial in reader.trials() if (trial.session, trial.trial) == (2, 7)]
    features = trial.released_features
    assert (trial.recording, trial.eeg_channel_names, features.window_seconds) == (None, (), 4)
    assert features.names == ("de_movingAve", "de_LDS", "psd_movingAve", "psd_LDS")
    assert features.smoothed == set(features.names)
    assert list(features.bands.values()) == [(1, 4), (4, 8), (8, 14), (14, 31), (31, 50)]
    for name in features.names:
        array = pickle.loads(pickle.dumps(features.read))(name)
        assert array.shape == (1, 62, 5)
        np.testing.assert_array_equal(array, np.moveaxis(stored[f"{name}7"], 0, 1))
    with pytest.raises(InputError, match=r"1_20161125.mat: unknown feature de; expected one of de_movingAve, "):
        features.read("de")
    assert trial.duration_seconds == 4


@pytest.mark.parametrize("file_format", ["raw", "features"])
def test_eye_movements_come_with_either(root, file_format):
    trial = next(iter(SEEDIV(root, file_format).trials()))
    movements = trial.eye_movements
    stored = variables_of(root / EYES / "1" / FIRST)["eye_1"]
    assert stored.shape == (31, 1)
    np.testing.assert_array_equal(movements.read_features(), stored.T)
    assert len(movements.feature_names) == 31
    assert [movements.feature_names[row] for row in (0, 11, 12, 16, 18, 22, 30)] == [
        *("pupil_diameter_1", "pupil_diameter_12", "dispersion_1", "fixation_duration_1", "saccade_1", "event_1"),
        "event_9",
    ]
    assert (movements.window_seconds, movements.is_smoothed) == (4, True)
    events = movements.read_events()
    raw = {
        kind: variables_of(root / EVENTS / f"1_20160518_{kind}.mat")[f"{kind}_1"]
        for kind in ("blink", "event", "fixation", "pupil", "saccade")
    }
    np.testing.assert_array_equal(events.pupil, raw["pupil"])
    np.testing.assert_array_equal(events.saccades, raw["saccade"])
    np.testing.assert_array_equal(events.fixations_ms, raw["fixation"].ravel())
    np.testing.assert_array_equal(events.blinks_ms, raw["blink"].ravel())
    np.testing.assert_array_equal(events.statistics, raw["event"].ravel())
    files = SEEDIV(root, file_format).eye_files(1)
    assert {path.name for path in files} >= {FIRST, "1_20161125_pupil.mat"}
    assert len(files) == 12


def test_folders_of_sessions_and_columns_of_events(one):
    """Events may be in session folders, and lists may be columns; variable names end with the trial number."""
    expected = next(iter(SEEDIV(one).trials())).eye_movements.read_events()
    (one / EVENTS / "1").mkdir()
    for path in (one / EVENTS).glob("*.mat"):
        kind = path.stem.rpartition("_")[2]
        variables = {f"x{kind}{name.rpartition('_')[2]}": array for name, array in variables_of(path).items()}
        if kind in ("blink", "event", "fixation"):
            variables = {name: array.T for name, array in variables.items()}
        scipy.io.savemat(one / EVENTS / "1" / path.name, variables)
        path.unlink()
    reader = SEEDIV(one)
    assert problems_of(reader) == []
    found = next(iter(reader.trials())).eye_movements.read_events()
    np.testing.assert_array_equal(found.fixations_ms, expected.fixations_ms)
    np.testing.assert_array_equal(found.blinks_ms, expected.blinks_ms)


def test_without_eye_movements(one):
    for kind in (EYES, EVENTS):
        shutil.rmtree(one / kind)
    reader = SEEDIV(one)
    assert problems_of(reader) == []
    assert reader.eye_files(1) == ()
    assert {trial.eye_movements for trial in reader.trials()} == {None}


@pytest.mark.parametrize("folder", [RAW, FEATURES])
def test_a_folder_of_files_as_the_root(root, folder):
    reader = SEEDIV(root / folder)
    assert reader.file_format == {RAW: "raw", FEATURES: "features"}[folder]
    assert reader.synthetic
    assert next(iter(reader.trials())).eye_movements is not None


def test_reader_for_sources(root, one):
    signals, features = SEEDIV(root), SEEDIV(root, "features")
    assert signals.for_sources(("recording", "eye_movements")) is signals
    assert signals.for_sources(("eye_movements",)) is signals
    assert features.for_sources(("eye_movements", "released_features")) is features
    assert signals.for_sources(("released_features",)).file_format == "features"
    assert SEEDIV(root / FEATURES).for_sources(("recording",)).file_format == "raw"
    with pytest.raises(InputError, match="signals and released features cannot be read together"):
        signals.for_sources(("recording", "released_features"))
    shutil.rmtree(one / FEATURES)
    with pytest.raises(InputError, match="no folder eeg_feature_smooth with files named like"):
        SEEDIV(one).for_sources(("released_features",))


def test_description(root):
    description = json.loads(json.dumps(SEEDIV(root).describe(), allow_nan=False))
    first = description["subjects"][0]
    assert (first["sampling_rate_hz"], first["n_channels"], len(first["trials"])) == (200, 62, 48)
    assert first["n_trials_with_eye_movements"] == 48
    assert first["sessions"][1] == {"session": 2, "date": "2016-11-25", "file": "1_20161125.mat"}
    assert description["problems"] == []
    assert description["notes"] == []


def test_real_copies_have_three_sessions(one):
    (one / "synthetic.json").unlink()
    assert problems_of(SEEDIV(one)) == [(RAW, "subject 1: missing session 2, 3; expected 1 to 3")]


# --- labels


def labels_text(*lists):
    lines = [f"session{session}_label = {own};" for session, own in enumerate(lists, 1)]
    return "% SEED-IV\n" + "\n".join(lines)


def test_labels_are_read_and_compared(one):
    others = [LABELS[0][::-1], LABELS[1], LABELS[1]]
    (one / "ReadMe.txt").write_text(labels_text(*others))
    reader = SEEDIV(one)
    assert [trial.ratings["emotion"] for trial in reader.trials()] == others[0]
    messages = [message for file, message in problems_of(reader) if file == "ReadMe.txt"]
    assert messages[0].startswith(
        "labels of session 1 differ from the known labels of SEED-IV: trial 1 is 3, expected 1, "
    )
    assert messages[1].startswith(
        "labels of session 3 differ from the known labels of SEED-IV: trial 1 is 2, expected 1, "
    )
    reader.check()


def test_without_the_readme(one):
    (one / "ReadMe.txt").unlink()
    reader = SEEDIV(one)
    assert [trial.ratings["emotion"] for trial in reader.trials()] == LABELS[0]
    message = "missing file; labels are taken from the known facts of SEED-IV; copy it into the root"
    assert problems_of(reader) == [("ReadMe.txt", message)]
    assert reader.notes() == ["ReadMe.txt is missing: labels are taken from the known facts of SEED-IV"]


# --- what is wrong


def signals(changes):
    return lambda root: edit(root / RAW / "1" / FIRST, changes)


def truncated(*names, n_bytes=1000):
    def cut(root):
        path = root.joinpath(*names)
        path.write_bytes(path.read_bytes()[:n_bytes])

    return cut


def rename(root):
    variables = variables_of(root / RAW / "1" / FIRST)
    edit(root / RAW / "1" / FIRST, {"ab_eeg24": None, "jl_eeg24": variables["ab_eeg24"]})


NOISE = np.random.default_rng(0).normal(0, 10, (62, 800))
FLAT = NOISE.copy()
FLAT[57] = 3.0
BLOCKING = {
    "another person's trial": (
        rename,
        (FIRST, "variables with the initials of 2 subjects .*; jl: trial 24.; expected"),
    ),
    "channels": (
        signals({"ab_eeg2": NOISE[:61]}),
        (FIRST, r"trial 2: signal of shape \(61, 800\); expected \(62, samples\), at least 1 s at 200 Hz"),
    ),
    "no samples": (signals({"ab_eeg2": NOISE[:, :9]}), (FIRST, r"trial 2: signal of shape \(62, 9\)")),
    "NaN": (signals({"ab_eeg4": np.full((62, 800), np.nan)}), (FIRST, "trial 4: NaN or infinite values in Fp1, ")),
    "flat": (signals({"ab_eeg4": FLAT}), (FIRST, "trial 4: constant signal in EEG channel CB1$")),
    "truncated": (truncated(RAW, "1", FIRST), (FIRST, "damaged or truncated MATLAB file")),
    "missing trials": (
        lambda root: scipy.io.savemat(root / RAW / "1" / FIRST, {"x": np.ones((62, 2))}),
        (FIRST, "no variables like cz_eeg1; found x"),
    ),
    "same session twice": (
        lambda root: shutil.copy(root / RAW / "1" / FIRST, root / RAW / "1" / "1_20161125.mat"),
        ("1_20161125.mat", f"same subject and session as {FIRST}; keep one of them"),
    ),
    "no labels": (
        lambda root: (root / "ReadMe.txt").write_text(labels_text(LABELS[0], LABELS[1])),
        ("ReadMe.txt", "`session3_label` is missing; expected 24 numbers from 0 to 3; copy it again"),
    ),
    "labels of another code": (
        lambda root: (root / "ReadMe.txt").write_text(labels_text([4] * 24, LABELS[1], LABELS[1])),
        ("ReadMe.txt", r"`session1_label` is \[4, .*; expected 24 numbers from 0 to 3"),
    ),
    "channels in another order": (
        lambda root: write_workbook(root / "Channel Order.xlsx", [["FP1"]] * 62),
        ("Channel Order.xlsx", "62 names, row 2 is FP1, expected FPZ, .*; expected the 62 channels of SEED in order"),
    ),
}


@pytest.mark.parametrize("fault", BLOCKING)
def test_faults_that_block(one, fault):
    break_it, (file, message) = BLOCKING[fault]
    break_it(one)
    for call in (SEEDIV(one).check, lambda: list(SEEDIV(one).trials())):
        with pytest.raises(InputError, match=rf"^/.*{file}: ({message})"):
            call()
    assert file in {found for found, _ in problems_of(SEEDIV(one))}


def eyes(changes):
    return lambda root: edit(root / EYES / "1" / FIRST, changes)


def events(kind, changes):
    return lambda root: edit(root / EVENTS / f"1_20160518_{kind}.mat", changes)


PUPIL = "1_20160518_pupil.mat"
FLAWS = {
    "missing trials": (
        signals({"ab_eeg3": None, "ab_eeg12": None}),
        (FIRST, "missing trial 3, 12; expected 1 to 24"),
        22,
    ),
    "unexpected trial": (signals({"ab_eeg25": NOISE}), (FIRST, "trial 25 is not read; expected 1 to 24"), 24),
    "resampled": (
        signals({"ab_eeg5": np.repeat(NOISE, 5, axis=1)}),
        (FIRST, "trial 5: 20 s of signal, 4 s of features; the files do not belong together, or one is truncated"),
        24,
    ),
    "wrong day": (
        lambda root: (
            [(root / folder / "1" / FIRST).rename(root / folder / "1" / "1_20160519.mat") for folder in (RAW, EYES)]
            and [path.rename(str(path).replace("0518", "0519")) for path in (root / EVENTS).iterdir()]
        ),
        ("1_20160519.mat", "SEED-IV has session 1 of subject 1 on 20160518; check that the file is of this subject"),
        24,
    ),
    "another name": (
        lambda root: (root / RAW / "1" / "1_20161335.mat").touch(),
        ("1_20161335.mat", "not read; expected a name like 1/1_20160518.mat"),
        24,
    ),
    "damaged channels": (truncated("Channel Order.xlsx", n_bytes=500), ("Channel Order.xlsx", "damaged"), 24),
    "no files of eye features": (
        lambda root: (root / EYES / "1" / FIRST).unlink(),
        (FIRST, "missing file; the eye features of this session are not read"),
        24,
    ),
    "truncated eye features": (truncated(EYES, "1", FIRST, n_bytes=100), (FIRST, "damaged or truncated MATLAB"), 24),
    "no eye features of a trial": (
        eyes({"eye_5": None}),
        (FIRST, "missing variable of trial 5; copy the file again"),
        24,
    ),
    "transposed eye features": (
        eyes({"eye_5": np.ones((1, 31))}),
        (FIRST, r"eye features of trial 5 have the shape \(1, 31\); expected \(31, windows\)"),
        24,
    ),
    "NaN in eye features": (
        eyes({"eye_5": np.full((31, 2), np.nan)}),
        (FIRST, "NaN or infinite values in `eye_5`"),
        24,
    ),
    "one number twice": (eyes({"ear_5": np.ones((31, 1))}), (FIRST, "variables eye_5 and ear_5 have the same"), 24),
    "no files of saccades": (
        lambda root: (root / EVENTS / "1_20160518_saccade.mat").unlink(),
        (EVENTS, "1_20160518: missing file of saccade; the events of this session are not read"),
        24,
    ),
    "three columns of pupils": (
        events("pupil", {"pupil_2": np.ones((4, 3))}),
        (PUPIL, r"pupil of trial 2 has the shape \(4, 3\); expected \(events, 4\)"),
        24,
    ),
    "another number of pupils": (
        events("pupil", {"pupil_2": np.ones((2000, 4))}),
        (PUPIL, r"2000 pupils of trial 2; expected \d+, one per fixation in 1_20160518_fixation.mat"),
        24,
    ),
    "another number of statistics": (
        events("event", {"event_2": np.ones((1, 27))}),
        ("1_20160518_event.mat", "27 statistics of trial 2; expected 28"),
        24,
    ),
    "blinks as a table": (
        events("blink", {"blink_2": np.ones((3, 2))}),
        ("1_20160518_blink.mat", r"durations of trial 2 have the shape \(3, 2\); expected a list"),
        24,
    ),
}


@pytest.mark.parametrize("flaw", FLAWS)
def test_faults_that_are_described_and_do_not_block(one, flaw):
    break_it, (file, message), n_trials = FLAWS[flaw]
    break_it(one)
    reader = SEEDIV(one)
    reader.check()
    assert len(list(reader.trials())) == n_trials
    ((found_file, found),) = problems_of(reader)
    assert found_file == file
    assert re.match(message, found), found


FEATURE_FAULTS = {
    "missing": ({"psd_LDS3": None}, "trial 3: missing psd_LDS"),
    "shape": ({"de_LDS3": np.ones((62, 1, 4))}, r"trial 3: de_LDS of shape \(62, 1, 4\); expected \(62, windows, 5\)"),
    "windows": ({"de_LDS3": np.ones((62, 3, 5))}, "trial 3: features of 1, 3 windows; expected equal numbers"),
    "NaN": ({"psd_LDS3": np.full((62, 1, 5), np.nan)}, "NaN or infinite values in psd_LDS3"),
    "text": ({"de_movingAve3": np.full((62, 1, 5), "a")}, "`de_movingAve3` is <U1"),
}


@pytest.mark.parametrize("fault", FEATURE_FAULTS)
def test_faults_of_features(one, fault):
    changes, message = FEATURE_FAULTS[fault]
    edit(one / FEATURES / "1" / FIRST, changes)
    reader = SEEDIV(one, "features")
    with pytest.raises(InputError, match=rf"{FIRST}: {message}"):
        reader.check()
    with pytest.raises(InputError, match=rf"{FIRST}: {message}"):
        [trial.released_features.read(name) for trial in reader.trials() for name in trial.released_features.names]
    assert [file for file, _ in problems_of(reader)] == [FIRST]


def test_faults_of_eye_movements_are_not_listed_without_end(one):
    edit(one / EYES / "1" / FIRST, {f"eye_{trial}": None for trial in range(11, 25)})
    expected = [f"missing variable of trial {trial}; copy the file again" for trial in (11, 12, 13)]
    assert problems_of(SEEDIV(one)) == [(FIRST, line) for line in [*expected, "and 11 more faults of its trials"]]


def test_damaged_eye_movements_block_only_who_reads_them(one):
    truncated(EYES, "1", FIRST, n_bytes=200)(one)
    trial = next(iter(SEEDIV(one).trials()))
    with pytest.raises(InputError, match=rf"{EYES}/1/{FIRST}: damaged or truncated MATLAB file"):
        trial.eye_movements.read_features()
    assert len(trial.eye_movements.read_events().statistics) == 28


def test_nothing_there(tmp_path, root):
    message = (
        "no folder eeg_raw_data or eeg_feature_smooth with files named like 1/1_20160518.mat; expected the folder that"
    )
    with pytest.raises(InputError, match=message):
        SEEDIV(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        SEEDIV(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="`file_format` is 'compact'"):
        SEEDIV(root, "compact")


def test_a_damaged_marker(one):
    (one / "synthetic.json").write_text("{")
    with pytest.raises(InputError, match=r"synthetic\.json: damaged"):
        SEEDIV(one)
