"""FACED reader, on synthetic files in the published formats."""

import csv
import json
import pickle
import shutil

import edfio
import mne
import numpy as np
import pytest
import scipy.io

from keras_emotion.datasets import FACED, READERS
from keras_emotion.datasets.faced_files import FACTS, ITEMS, SCALP, VIDEO_FACTS
from keras_emotion.schema import InputError
from keras_emotion.synthetic import write_faced
from keras_emotion.synthetic.workbook import write_workbook

CLIP_SECONDS = 2


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """First batch: one recording at 1000 Hz in microvolts, and one at 250 Hz in volts without a unit; read-only."""
    out = tmp_path_factory.mktemp("faced")
    return write_faced(out, subjects=(0, 5), files=("raw", "features"), clip_seconds=CLIP_SECONDS)


@pytest.fixture(scope="module")
def signals():
    """Signals of one subject in the shape of a pickle, in microvolts."""
    return np.random.default_rng(0).normal(0, 10, (28, 32, 7500)).astype(np.float32)


@pytest.fixture
def copy(root, tmp_path):
    """Recordings of subject 5 and the tables, for tests that damage them."""
    shutil.copytree(root / "Data" / "sub005", tmp_path / "Data" / "sub005")
    for name in ("Stimuli_info.xlsx", "Recording_info.csv", "synthetic.json"):
        shutil.copy(root / name, tmp_path)
    edit_marker(tmp_path, subjects=[5])
    return tmp_path


@pytest.fixture
def pickles(root, tmp_path, signals):
    """Preprocessed signals of subject 5 and its self-ratings, for tests that damage them."""
    shutil.copytree(root / "Data" / "sub005", tmp_path / "After_remarks" / "sub005")
    write_pickle(tmp_path, signals)
    return tmp_path


@pytest.mark.parametrize(
    ("subject", "part"),
    [(0, "train"), (79, "train"), (80, "validation"), (99, "validation"), (100, "test"), (122, "test")],
)
def test_the_usual_split_is_one_of_people(root, signals, tmp_path, subject, part):
    write_pickle(tmp_path, signals, f"sub{subject:03d}.pkl")
    assert {trial.split for trial in FACED(tmp_path).trials()} == {part}


def write_pickle(folder, content, name="sub005.pkl"):
    (folder / "Processed_data").mkdir(exist_ok=True)
    (folder / "Processed_data" / name).write_bytes(pickle.dumps(content))


def edit_marker(folder, **changes):
    path = folder / "synthetic.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def remarks_of(root, subject):
    """Rows of the self-ratings in file order: `(trial, vid, scores)`."""
    rows = scipy.io.loadmat(root / "Data" / f"sub{subject:03d}" / "After_remarks.mat")["After_remark"][:, 0]
    return [(int(row["trial"][0, 0]), int(row["vid"][0, 0]), row["score"][0]) for row in rows]


# --- labels and self-ratings


def test_self_ratings_are_joined_by_video_and_not_by_row(root):
    rows = remarks_of(root, 5)
    trials = list(FACED(root, "features").trials([5]))
    assert [trial.trial for trial in trials] == list(range(1, 29))
    assert [vid for _, vid, _ in rows] != list(range(1, 29))
    for place, video, scores in rows:
        trial = trials[video - 1]
        assert (trial.stimulus, trial.presentation) == (f"video_{video:02d}", place)
        assert [trial.ratings[item] for item in ITEMS] == scores.tolist()


def test_classes_are_those_of_the_videos(root):
    trials = list(FACED(root, "features").trials([0]))
    classes = [FACED.class_names["emotion"][int(trial.ratings["emotion"])] for trial in trials]
    expected = [("anger", 3), ("disgust", 3), ("fear", 3), ("sadness", 3), ("neutral", 4), ("amusement", 3)]
    expected += [("inspiration", 3), ("joy", 3), ("tenderness", 3)]
    assert classes == [name for name, count in expected for _ in range(count)]
    signs = [FACED.class_names["targeted_valence"][int(trial.ratings["targeted_valence"])] for trial in trials]
    assert signs == ["negative"] * 12 + ["neutral"] * 4 + ["positive"] * 12


def test_without_self_ratings_the_classes_are_left(copy):
    (copy / "Data" / "sub005" / "After_remarks.mat").unlink()
    reader = FACED(copy)
    trial = next(reader.trials())
    assert (set(trial.ratings), trial.presentation) == ({"emotion", "targeted_valence"}, -1)
    (problem,) = reader.describe()["problems"]
    assert problem["message"] == "missing After_remarks.mat of sub005; self-ratings are left out"
    reader.check()


# --- preprocessed signals


@pytest.mark.parametrize("order", FACTS["channel_orders"])
def test_preprocessed_signals(pickles, signals, order):
    reader = FACED(pickles, channel_order=order)
    assert (reader.file_format, reader.subjects) == ("processed", (5,))
    names = FACTS["channel_orders"][order]
    for video, trial in enumerate(reader.trials(), 1):
        np.testing.assert_array_equal(trial.recording.signal, signals[video - 1])
        assert list(trial.recording.channel_names) == names
        assert trial.eeg.channel_names == SCALP
        rows = [names.index(name) for name in SCALP]
        np.testing.assert_array_equal(trial.eeg.signal, signals[video - 1][rows])
        assert (trial.recording.sampling_rate_hz, trial.duration_seconds) == (250, 30)
        assert trial.recording.signal.dtype == np.float32
    assert order in reader.notes()[0]


def test_both_orders_agree_in_the_first_sixteen_rows():
    first, second = (FACTS["channel_orders"][name] for name in ("first_batch", "second_batch"))
    assert first[:16] == second[:16]
    assert first[16:18] == second[:29:-1] == ["A1", "A2"]
    assert sorted(first) == sorted(second)


def test_preprocessed_signals_at_another_rate(pickles, signals):
    times = np.arange(7500) / 250
    write_pickle(pickles, np.broadcast_to(10 * np.sin(2 * np.pi * 10 * times), signals.shape).astype(np.float32))
    recording = next(FACED(pickles, sampling_rate_hz=128.0).trials()).recording
    assert (recording.sampling_rate_hz, recording.signal.shape) == (128, (32, 30 * 128))
    assert recording.signal.dtype == np.float32
    expected = 10 * np.sin(2 * np.pi * 10 * np.arange(30 * 128) / 128)
    np.testing.assert_allclose(recording.signal[0, 128:-128], expected[128:-128], atol=0.02)


def test_preprocessed_signals_in_volts(pickles, signals):
    write_pickle(pickles, signals.astype(np.float64) * 1e-6)
    trial = next(FACED(pickles).trials())
    np.testing.assert_allclose(trial.recording.signal, signals[0], rtol=1e-6)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            np.zeros((28, 32, 100)),
            r"found float64 \(28, 32, 100\); expected an array of numbers of shape \(28, 32, 7500\)",
        ),
        ({"data": 1}, "found a dict; expected an array"),
        (np.zeros((28, 32, 7500), np.int16), r"found int16 \(28, 32, 7500\)"),
    ],
)
def test_other_pickles_are_refused(pickles, content, message):
    write_pickle(pickles, content)
    with pytest.raises(InputError, match=f"sub005.pkl: {message}"):
        FACED(pickles).check()


def test_faults_in_signals_are_listed_by_video(pickles, signals):
    broken = signals.copy()
    broken[1, 0, 5] = np.nan
    broken[3, 2] = 7
    write_pickle(pickles, broken)
    with pytest.raises(InputError) as caught:
        FACED(pickles).check()
    path = pickles / "Processed_data" / "sub005.pkl"
    assert str(caught.value).splitlines() == [
        f"{path}: trial 2: NaN or infinite values in Fp1",
        f"{path}: trial 4: constant signal in EEG channel Fz",
    ]


def test_signals_of_no_eeg_are_refused(pickles, signals):
    write_pickle(pickles, signals * 1e3)
    with pytest.raises(InputError, match=r"standard deviation of \S+e\+03 per second .* expected 0.5 to 400"):
        FACED(pickles).check()


def test_a_pickle_that_runs_a_program_is_refused(pickles, tmp_path):
    class Program:
        def __reduce__(self):
            return (print, ("run",))

    write_pickle(pickles, Program())
    with pytest.raises(InputError, match="print, which is not allowed"):
        FACED(pickles).check()


# --- recordings


@pytest.mark.parametrize(("subject", "rate"), [(0, 1000), (5, 250)])
def test_recordings_by_name_in_either_unit_at_either_rate(root, subject, rate):
    folder = root / "Data" / f"sub{subject:03d}"
    raw = mne.io.read_raw_bdf(folder / "data.bdf", verbose="ERROR")
    assert raw.info["sfreq"] == rate
    # MNE returns recordings without a unit as they are in the file, in volts.
    signal = raw.get_data() * 1e6
    events = [(event["onset"], event["description"]) for event in mne.read_annotations(folder / "evt.bdf")]
    trials = {trial.trial: trial for trial in FACED(root, "raw", sampling_rate_hz=None).trials([subject])}
    assert len(trials) == 28
    names = {"T3": "T7", "T4": "T8", "T5": "P7", "T6": "P8"}
    assert trials[1].recording.channel_names == tuple(names.get(name, name) for name in raw.ch_names)
    for place, (_, video) in enumerate(events):
        if video.isdigit() and int(video) <= 28:
            (start, begin), (stop, end) = events[place + 1 : place + 3]
            assert (begin, end) == ("101", "102")
            expected = signal[:, round(start * rate) : round(stop * rate)]
            np.testing.assert_allclose(trials[int(video)].recording.signal, expected, rtol=1e-6, atol=1e-4)


def test_recordings_are_resampled_to_one_rate(root):
    reader = FACED(root, "raw")
    at_250, as_recorded = (next(one.trials([0])) for one in (reader, FACED(root, "raw", sampling_rate_hz=None)))
    assert at_250.recording.sampling_rate_hz == 250
    assert at_250.recording.signal.shape == (32, 250 * CLIP_SECONDS)
    # The clip has no content above 47 Hz: every fourth sample equals the filtered signal, away from its ends.
    inside = slice(100, -100)
    step = as_recorded.eeg.signal[:, ::4]
    np.testing.assert_allclose(at_250.eeg.signal[:, inside], step[:, inside], atol=0.3)
    assert reader.notes() == [
        "resampled from 1000 Hz to 250 Hz: sub000",
        "no unit in the file; read as V because of its amplitude: sub005",
    ]


def test_channels_of_the_second_batch(tmp_path, root):
    """Recordings of the second batch have EOG channels instead of ears, the newer names, and another order."""
    folder = tmp_path / "Data" / "sub061"
    folder.mkdir(parents=True)
    shutil.copy(root / "Data" / "sub005" / "evt.bdf", folder)
    labels = [row["second_batch"].upper() for row in channel_rows() if row["second_batch"]]
    write_recording(folder / "data.bdf", labels[::-1], "uV")
    trial = next(FACED(tmp_path).trials())
    assert trial.recording.channel_names[:2] == ("HEOL", "HEOR")
    assert trial.eeg.channel_names == SCALP[::-1]
    assert set(trial.recording.units) == {"uV"}


def channel_rows():
    from keras_emotion.datasets import faced_files

    return faced_files.CHANNELS


def write_recording(path, labels, unit, size=10.0, seconds=120, rate=100):
    rng = np.random.default_rng(0)
    edfio.Bdf(
        [
            edfio.BdfSignal(rng.normal(0, size, rate * seconds), rate, label=label, physical_dimension=unit)
            for label in labels
        ]
    ).write(path)


@pytest.mark.parametrize(
    ("labels", "unit", "size", "message"),
    [
        (["Fp1", "Mystery"], "uV", 10, "unknown channel Mystery; expected those of FACED"),
        (["Fp1", "Fp2"], "uV", 10, "missing channel Fz, F3, F4, "),
        (None, "uV", 1e4, r"EEG has a standard deviation of \S+e\+03 uV"),
        (None, "", 1e-9, "EEG has a standard deviation of 0.00"),
    ],
)
def test_other_recordings_are_refused(copy, labels, unit, size, message):
    path = copy / "Data" / "sub005" / "data.bdf"
    write_recording(path, labels or [row["first_batch"] for row in channel_rows() if row["first_batch"]], unit, size)
    with pytest.raises(InputError, match=f"data.bdf: {message}"):
        FACED(copy).check()


def write_events(folder, *marks):
    annotations = [edfio.EdfAnnotation(onset, None, text) for onset, text in marks]
    edfio.Bdf([], annotations=annotations).write(folder / "Data" / "sub005" / "evt.bdf")


def test_marks_of_the_competition_of_2022(copy):
    (copy / "Data" / "sub005" / "After_remarks.mat").unlink()
    write_events(
        copy, (1, "100"), (2, "28"), (2.1, "240"), (4.1, "241"), (6, "3"), (6.1, "240"), (8.1, "241"), (9, "243")
    )
    trials = list(FACED(copy).trials())
    assert [(trial.trial, trial.duration_seconds) for trial in trials] == [(3, 2), (28, 2)]
    messages = [problem["message"] for problem in FACED(copy).describe()["problems"]]
    assert any(message.startswith("sub005: missing video 1, 2, 4, ") for message in messages)


@pytest.mark.parametrize(
    ("marks", "message"),
    [
        ([(1, "101"), (3, "102")], "no video index before the stop event at 3 s"),
        ([(1, "7"), (3, "102")], "no start event before the stop event at 3 s"),
        ([(1, "7"), (2, "101"), (4, "102"), (5, "7"), (6, "101"), (8, "102")], "video 7 was shown twice"),
        ([(1, "201")], "no video between start and stop events"),
        ([(1, "7"), (2, "101"), (9000, "102")], "ends after 114 s, but video 7 was shown until 9000 s"),
        (
            [(1, "7"), (2, "101"), (4, "102"), (5, "8"), (6, "101"), (8, "102")],
            "order of videos differs from After_rem",
        ),
    ],
)
def test_events_that_cannot_be_used(copy, marks, message):
    if "order of videos" in message:
        order = {video: place for place, video, _ in remarks_of(copy, 5)}
        if order[7] < order[8]:
            names = {"7": "8", "8": "7"}
            marks = [(onset, names.get(text, text)) for onset, text in marks]
    write_events(copy, *marks)
    with pytest.raises(InputError, match=message):
        FACED(copy).check()


def test_what_is_missing_is_named(copy):
    (copy / "Data" / "sub005" / "evt.bdf").unlink()
    with pytest.raises(InputError, match=r"evt.bdf: missing file; expected the events of the recording"):
        FACED(copy).check()


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("Sample_rate", "1000", "sub005: 250 Hz; expected 1000 Hz by Recording_info.csv"),
        ("Unit", "uV", "sub005: V; expected uV by Recording_info.csv"),
        ("Gender", "F", None),
    ],
)
def test_the_table_of_recordings_is_compared(copy, field, value, message):
    path = copy / "Recording_info.csv"
    rows = list(csv.DictReader(path.read_text().splitlines()))
    lines = [",".join(rows[0]), *(",".join((row | {field: value}).values()) for row in rows)]
    path.write_text("\n".join(lines))
    reader = FACED(copy)
    messages = [problem["message"] for problem in reader.describe()["problems"]]
    assert [one.partition(";")[0] + ";" + one.split(";")[1] for one in messages] == ([message] if message else [])
    assert reader.genders()[5] == "female"


def test_lengths_and_rates_of_a_real_copy_are_compared_with_the_facts(copy):
    (copy / "synthetic.json").unlink()
    messages = [problem["message"] for problem in FACED(copy).describe()["problems"]]
    assert messages[0].startswith(
        "no files of sub000, sub001, sub002, sub003, sub004 and 117 more; expected 123 subjects; copy the others"
    )
    assert "video 1: duration of 2.00 s; expected 81.14 s" in messages
    assert len(messages) == 1 + 28


# --- self-ratings and tables that cannot be used


def edit_remarks(folder, edit):
    path = folder / "Data" / "sub005" / "After_remarks.mat"
    rows = scipy.io.loadmat(path)["After_remark"]
    edit(rows)
    scipy.io.savemat(path, {"After_remark": rows})


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (
            lambda rows: rows[4, 0].__setitem__("score", np.full((1, 12), 7.5)),
            r"row 5: scores 7.5 to 7.5; expected 0 to 7",
        ),
        (lambda rows: rows[4, 0].__setitem__("score", np.zeros((1, 11))), "row 5: score of 11 values"),
        (lambda rows: rows[4, 0].__setitem__("vid", np.array([[29]])), r"row 5: .* vid \[29\]; expected 12 values"),
        (lambda rows: rows[4, 0].__setitem__("trial", rows[3, 0]["trial"]), "row 5: trial or vid occurs twice"),
    ],
)
def test_self_ratings_that_cannot_be_used(copy, edit, message):
    edit_remarks(copy, edit)
    with pytest.raises(InputError, match=f"After_remarks.mat: {message}"):
        FACED(copy).check()


def test_the_table_of_videos_is_compared(copy):
    rows = [FACTS["stimuli_columns"]]
    for video, known in VIDEO_FACTS.items():
        emotion = "Joy" if video == 2 else "\\" if known.emotion == "neutral" else known.emotion.capitalize()
        rows.append([video, known.seconds + 9 * (video == 3), "", "", "", emotion])
    write_workbook(copy / "Stimuli_info.xlsx", rows[:-1])
    messages = [problem["message"] for problem in FACED(copy).describe()["problems"]]
    assert messages == [
        "video 2: target emotion 'joy', expected anger",
        "video 3: duration of 82.21 s, expected 73.21 s",
        "missing video 28",
    ]


# --- released features


@pytest.mark.parametrize("order", FACTS["channel_orders"])
def test_released_features(root, order):
    trials = list(FACED(root, "features", channel_order=order).trials([0]))
    released = trials[8].released_features
    assert (released.names, released.window_seconds, released.smoothed) == (("DE", "PSD"), 1.0, frozenset())
    assert released.channel_names == SCALP
    assert list(released.bands) == ["delta", "theta", "alpha", "beta", "gamma"]
    stored = pickle.loads((root / "EEG_Features" / "PSD" / "sub000.pkl.pkl").read_bytes())
    rows = [FACTS["channel_orders"][order].index(name) for name in SCALP]
    np.testing.assert_array_equal(released.read("PSD"), stored[8][rows].transpose(1, 0, 2))
    assert trials[8].recording is None
    assert trials[8].duration_seconds == 30
    with pytest.raises(InputError, match="missing feature de_LDS; found DE, PSD"):
        released.read("de_LDS")


def test_one_kind_of_features_alone(root, tmp_path):
    shutil.copytree(root / "EEG_Features" / "DE", tmp_path / "EEG_Features" / "DE")
    reader = FACED(tmp_path)
    assert next(reader.trials()).released_features.names == ("DE",)
    assert "sub000: missing PSD" in [problem["message"] for problem in reader.describe()["problems"]]
    array = pickle.loads((root / "EEG_Features" / "DE" / "sub005.pkl.pkl").read_bytes())
    array[2, 1, 0, 0] = np.inf
    (tmp_path / "EEG_Features" / "DE" / "sub005.pkl.pkl").write_bytes(pickle.dumps(array))
    with pytest.raises(InputError, match=r"DE/sub005.pkl.pkl: video 3: NaN or infinite values"):
        reader.check()


# --- folders and arguments


def test_folders(root, tmp_path):
    assert READERS["faced"] is FACED
    assert FACED(root / "EEG_Features").file_format == "features"
    assert FACED(root).file_format == "raw"
    assert FACED(root / "Data").synthetic
    features = FACED(root).for_sources(("released_features",))
    assert (features.file_format, FACED(root).for_sources(("recording",)).file_format) == ("features", "raw")
    assert features.options == FACED(root).options
    with pytest.raises(InputError, match="cannot be read together"):
        FACED(root).for_sources(("released_features", "recording"))
    with pytest.raises(
        InputError, match=r"expected Processed_data/sub000.pkl or Data/sub000/data.bdf or EEG_Features/DE"
    ):
        FACED(tmp_path)
    with pytest.raises(InputError, match=r"expected Processed_data/sub000.pkl; give"):
        FACED(root, "processed")


@pytest.mark.parametrize(
    "options", [{"file_format": "bdf"}, {"channel_order": "third_batch"}, {"sampling_rate_hz": 0.0}]
)
def test_bad_arguments(root, options):
    (name,) = options
    with pytest.raises(ValueError, match=f"`{name}` is"):
        FACED(root, **options)


def test_facts_of_the_real_self_ratings():
    """The mean of each group of videos is highest for its target item, as in the 123 real files."""
    from keras_emotion.datasets.faced_files import _rows

    rows = _rows("faced_videos.csv")
    emotional = [name for name in FACTS["class_names"] if name != "neutral"]
    for emotion in emotional:
        means = {
            item: np.mean([float(row[item]) for row in rows if row["emotion"] == emotion])
            for item in ITEMS
            if item in emotional
        }
        assert max(means, key=means.get) == emotion
