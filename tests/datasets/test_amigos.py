"""AMIGOS reader, on synthetic files with the gaps of the dataset."""

import json
import shutil

import numpy as np
import pytest
import scipy.io

from keras_emotion.datasets import AMIGOS, READERS
from keras_emotion.datasets.amigos_files import CHANNEL_NAMES, VIDEOS, segment_times
from keras_emotion.schema import InputError
from keras_emotion.synthetic import write_amigos

PERSONS = (2, 3, 8, 9, 12, 21, 32)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_amigos(tmp_path_factory.mktemp("amigos"), subjects=PERSONS, clip_seconds=16)


@pytest.fixture
def changed(root, tmp_path):
    """Copy of subject 3's file with other variables, by functions of the cells of a video."""

    def write(video="10", **changes):
        variables = scipy.io.loadmat(root / "Data_Preprocessed_P03.mat")
        variables = {name: value for name, value in variables.items() if not name.startswith("__")}
        place = [str(cell[0]) for cell in variables["VideoIDs"][0]].index(video)
        for name, change in changes.items():
            if change is None:
                del variables[name]
            else:
                variables[name][0, place] = change(variables[name][0, place])
        scipy.io.savemat(tmp_path / "Data_Preprocessed_P03.mat", variables)
        (tmp_path / "synthetic.json").write_text("{}")
        return AMIGOS(tmp_path)

    return write


def raw(root, person):
    """Cells of a subject's file by video id."""
    variables = scipy.io.loadmat(root / f"Data_Preprocessed_P{person:02d}.mat")
    videos = [str(cell[0]) for cell in variables["VideoIDs"][0]]
    names = ("joined_data", "labels_selfassessment", "labels_ext_annotation")
    return videos, {video: [variables[name][0, place] for name in names] for place, video in enumerate(videos)}


@pytest.mark.parametrize("person", [2, 3])
def test_trials_are_found_by_the_ids_of_their_videos(root, person):
    videos, cells = raw(root, person)
    # The video ids of subject 2 are in another order than those of the others.
    assert (tuple(videos) == VIDEOS) == (person == 3)
    trials = list(AMIGOS(root).trials([person]))
    assert [trial.trial for trial in trials] == list(range(1, 21))
    assert [trial.stimulus for trial in trials] == [f"video_{video}" for video in VIDEOS]
    for trial in trials:
        signal, ratings, annotation = cells[trial.stimulus.removeprefix("video_")]
        np.testing.assert_array_equal(trial.recording.signal, signal.T.astype(np.float32))
        assert trial.recording.channel_names == (*CHANNEL_NAMES, "ECG right", "ECG left", "GSR")
        assert trial.recording.units == ("uV",) * 14 + ("a.u.",) * 3
        assert (trial.recording.sampling_rate_hz, trial.recording.baseline_seconds) == (128, 5)
        # Arousal first.
        assert (trial.ratings["arousal"], trial.ratings["valence"]) == (ratings[0, 0], ratings[0, 1])
        assert (trial.ratings["familiarity"], trial.ratings["neutral"]) == (ratings[0, 4], ratings[0, 5])
        assert trial.ratings["sadness"] == ratings[0, 11]
        for column, name in enumerate(("external_valence", "external_arousal"), 1):
            continuous = trial.continuous_ratings[name]
            np.testing.assert_array_equal(continuous.values, annotation[:, column])
            assert continuous.scale == (-1, 1)
            assert (continuous.times_seconds[0], continuous.times_seconds[-1]) == (
                5,
                trial.recording.duration_seconds - 10,
            )
        is_long = trial.trial > 16
        assert trial.session == ("long" if is_long else "short")
        # Subjects 2 and 3 watched the long videos in two groups.
        assert trial.recorded_together == ({2: "group_1", 3: "group_2"}[person] if is_long else "")


def test_gaps_are_no_trials_and_are_listed(root):
    dataset = AMIGOS(root)
    of = {person: {trial.stimulus: trial for trial in dataset.trials([person])} for person in PERSONS}
    assert [len(of[person]) for person in PERSONS] == [20, 20, 16, 20, 19, 19, 20]
    assert not any(stimulus.startswith("video_N") for stimulus in of[8])
    gsr = [trial for trial in of[9].values() if "GSR" not in trial.recording.channel_names]
    assert [trial.recording.signal.shape[0] for trial in gsr] == [16]
    assert [trial.ratings for trial in of[32].values() if trial.session == "long"] == [{}] * 4
    assert of[8]["video_4"].recorded_together == of[8]["video_138"].recorded_together == ""
    notes = dataset.notes()
    for text in (
        "subject 8: no signal: video N1, P1, B1, U1",
        "subject 9: NaN in GSR, left out: video 30",
        "subject 12: NaN in EEG channel T7: video 36",
        "subject 21: no signal: video 18",
        "subject 32: no ratings: video N1, P1, B1, U1",
        "subject 3: familiarity is 9.25; expected 1 to 9; kept: video 10",
    ):
        assert text in notes
    # A reader that has read no file lists the same, for the requested subjects.
    assert [note for note in AMIGOS(root).notes([12]) if note.startswith("subject")] == [
        "subject 12: NaN in EEG channel T7: video 36"
    ]
    description = json.loads(json.dumps(dataset.describe(), allow_nan=False))
    assert description["problems"] == []
    assert description["class_names"]["happiness"] == ["no", "yes"]


def test_gaps_that_are_not_known_are_problems(changed):
    dataset = changed(joined_data=lambda signal: np.empty((0, 0)))
    dataset.check()
    assert len(list(dataset.trials())) == 19
    (problem,) = dataset.describe()["problems"]
    assert problem["message"] == "video 10: no signal"
    dataset = changed(labels_selfassessment=lambda ratings: np.empty((1, 0)))
    (problem,) = dataset.describe()["problems"]
    assert problem["message"] == "video 10: no ratings"
    assert [dict(trial.ratings) for trial in dataset.trials() if not trial.ratings] == [{}]


@pytest.mark.parametrize("layout", ["folders", "matlab"])
def test_layouts(root, tmp_path, layout):
    write_amigos(tmp_path, subjects=(3,), clip_seconds=16, layout=layout)
    (path,) = AMIGOS(tmp_path).source_files(3)
    assert path.parent != tmp_path
    for one, other in zip(AMIGOS(tmp_path).trials(), AMIGOS(root).trials([3]), strict=True):
        np.testing.assert_array_equal(one.recording.signal, other.recording.signal)


def test_times_of_segments():
    # 83 s: first 20 s of the signal with 5 s of baseline, four from stimulus onset on, the last 20 s.
    assert segment_times(6, 83.0).tolist() == [5, 10, 30, 50, 70, 73]
    assert segment_times(5, 80.0).tolist() == [5, 10, 30, 50, 70]
    assert segment_times(5, 80.5).tolist() == [5, 10, 30, 50, 70.5]
    for n_segments in (0, 1, 4, 7):
        assert segment_times(n_segments, 83.0) is None
    # Shorter than the remainder of the first segment.
    assert segment_times(2, 14.0) is None


def test_mean_ratings_are_compared_where_all_persons_are_there():
    from keras_emotion.datasets.amigos import _rating_differences
    from keras_emotion.synthetic.amigos import _assessments

    assessed = {video: _assessments(video, 0) for video in VIDEOS}
    assert round(float(assessed["4"][:, 1].mean()), 2) == 6.99
    ratings = {
        person: {
            video: {"arousal": table[person - 1, 0], "valence": table[person - 1, 1]}
            for video, table in assessed.items()
        }
        for person in range(1, 41)
    }
    assert _rating_differences(ratings) == []
    ratings[7]["138"] = {name: value + 2 for name, value in ratings[7]["138"].items()}
    notes = _rating_differences(ratings)
    differences = ("6.39, expected 6.34", "5.58, expected 5.53")
    for note, name, wrong in zip(notes, ("valence", "arousal"), differences, strict=True):
        assert note.startswith(f"mean {name} differs from the known mean in 1 videos (138: {wrong}")
    del ratings[7]
    assert _rating_differences(ratings) == []


def test_registry():
    assert READERS["amigos"] is AMIGOS
    assert AMIGOS.rating_scales["liking"] == (1, 9)
    assert set(AMIGOS.class_names) & set(AMIGOS.rating_scales) == set()


# --- what is refused


def test_nothing_there_and_twice_there(root, tmp_path):
    with pytest.raises(InputError, match=r"no files of AMIGOS; expected Data_Preprocessed_P01.mat"):
        AMIGOS(tmp_path)
    original = tmp_path / "Data_Original_P03.mat"
    shutil.copy(root / "Data_Preprocessed_P03.mat", original)
    with pytest.raises(InputError, match=f"^{original}: original recordings are unsupported"):
        AMIGOS(tmp_path)
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        shutil.copy(root / "Data_Preprocessed_P03.mat", tmp_path / folder)
    with pytest.raises(InputError, match=r"duplicate file of subject 3: .*a/Data.* and .*b/Data.*; keep one"):
        AMIGOS(tmp_path)
    with pytest.raises(ValueError, match="`file_format` is 'original'"):
        AMIGOS(root, file_format="original")
    with pytest.raises(InputError, match="no files of subject 1; available: 2, 3, 8"):
        AMIGOS(root).check([1])


def test_missing_persons_are_a_problem_of_a_real_copy(root, tmp_path):
    assert AMIGOS(root).missing_files() == ()
    shutil.copy(root / "Data_Preprocessed_P03.mat", tmp_path)
    (problem,) = AMIGOS(tmp_path).missing_files()
    assert problem.message.startswith("39 of 40 subjects missing: 1, 2, 4, 5, 6, 7, 8, 9, ...")
    assert not problem.is_blocking


def with_value(row, column, value):
    def change(array):
        array = array.astype(float)
        array[row, column] = value
        return array

    return change


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"joined_data": np.transpose}, r"video 10: signal has type float64 and shape \(17, 3072\); expected"),
        ({"joined_data": lambda signal: signal[:640]}, "video 10: signal of 640 samples; expected more than the 5 s"),
        ({"joined_data": with_value(slice(None), 2, 7.0)}, "video 10: constant signal in EEG channel F3"),
        ({"labels_selfassessment": lambda ratings: ratings[:, :9]}, r"video 10: self-assessment is float64 \(1, 9\)"),
        ({"labels_selfassessment": with_value(0, 11, 0.5)}, "video 10: sadness is 0.5; expected 0 or 1"),
        ({"VideoIDs": lambda ids: np.array(["11"])}, "VideoIDs: unknown '11'; expected each of 4, 5, 9"),
        ({"VideoIDs": lambda ids: np.array(["13"])}, "VideoIDs: repeated 13; expected each"),
        ({"joined_data": None}, "missing variable joined_data; expected a preprocessed file of AMIGOS"),
    ],
    ids=["transposed", "baseline alone", "flat", "9 ratings", "half an emotion", "unknown", "twice", "no variable"],
)
def test_broken_file(changed, changes, message):
    dataset = changed(**changes)
    (path,) = dataset.source_files(3)
    with pytest.raises(InputError, match=f"^{path}: {message}") as caught:
        dataset.check()
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match=message):
        list(dataset.trials())
    assert any(message.split(";")[0].split(r"\(")[0] in one["message"] for one in dataset.describe()["problems"])


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda table: table[:-1], "has 2 segments, which do not fit 24 s"),
        (lambda table: table[::-1], "has segments that are not numbered consecutively"),
        (lambda table: table[:, :2], r"is float64 (3, 2); expected numbers"),
        (with_value(1, 2, 1.5), "has values outside -1 to 1"),
    ],
    ids=["missing segment", "order", "columns", "range"],
)
def test_annotations_that_cannot_be_placed_are_left_out_and_reported(changed, change, text):
    # 24 s: three segments.
    dataset = changed(
        video="10",
        joined_data=lambda signal: np.resize(signal, ((24 + 5) * 128, 17)),
        labels_ext_annotation=lambda table: change(np.column_stack([[1, 2, 3], np.zeros((3, 2))])),
    )
    (trial,) = (trial for trial in dataset.trials() if trial.stimulus == "video_10")
    assert trial.continuous_ratings == {}
    (problem,) = dataset.describe()["problems"]
    assert problem["message"].startswith(f"video 10: external annotation {text}")


def test_truncated_file(changed):
    dataset = changed()
    (path,) = dataset.source_files(3)
    path.write_bytes(path.read_bytes()[:100_000])
    with pytest.raises(InputError, match=f"^{path}: damaged or truncated MATLAB file"):
        dataset.check()
    (problem,) = dataset.describe()["problems"]
    assert problem["file"] == str(path)
