"""Continuous valence of MAHNOB-HCI: the additional file, its clock, and damaged files."""

import numpy as np
import pytest
import scipy.io

from keras_emotion.datasets import MAHNOBHCI
from keras_emotion.schema import InputError
from keras_emotion.synthetic import write_mahnob_hci

NAME = "lable_continous_Mahnob.mat"


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return write_mahnob_hci(
        tmp_path_factory.mktemp("mahnob"),
        n_subjects=2,
        n_trials=2,
        lead_seconds=3,
        stimulus_seconds=6,
        neutral_clips=False,
        effect_follows="expression",
        continuous_valence=True,
    )


@pytest.fixture
def file(written):
    """The file, which a test may overwrite."""
    path = written / NAME
    content = path.read_bytes()
    yield path
    path.write_bytes(content)


def rewrite(path, **changes):
    content = {name: value for name, value in scipy.io.loadmat(path).items() if name in ("labels", "trials_included")}
    scipy.io.savemat(path, {name: value for name, value in (content | changes).items() if value is not None})


def of_labels(description):
    """Problems except those of the missing face videos."""
    return [problem for problem in description["problems"] if problem["file"].endswith(NAME)]


def test_each_session_has_its_values(written):
    content = scipy.io.loadmat(written / NAME)
    assert content["labels"].shape == (1, 4)
    # Subject, and the id of the session modulo 130: twice the number of the trial.
    assert sorted(map(tuple, content["trials_included"])) == [(1, 2), (1, 4), (2, 2), (2, 4)]
    rows = {
        tuple(row): cell.ravel() for row, cell in zip(content["trials_included"], content["labels"][0], strict=True)
    }
    for trial in MAHNOBHCI(written).trials():
        rating = trial.continuous_ratings["continuous_valence"]
        np.testing.assert_array_equal(rating.values, rows[trial.subject, 2 * trial.trial])
        np.testing.assert_array_equal(rating.times_seconds, np.arange(0, 6, 0.25))
        assert rating.scale == (-1, 1)
        assert trial.without_ratings().continuous_ratings == {}


def test_the_file_is_optional_and_named(written, file):
    reader = MAHNOBHCI(written)
    assert file in reader.source_files(1)
    described = reader.describe()
    assert not of_labels(described)
    assert described["subjects"][0]["trials"][0]["continuous_ratings"] == ["continuous_valence"]
    rewrite(file, trials_included=np.array([[1, 2], [1, 4], [2, 2], [9, 4]]))
    counts = [len(trial.continuous_ratings) for trial in MAHNOBHCI(written).trials()]
    assert sorted(counts) == [0, 1, 1, 1]
    file.unlink()
    reader = MAHNOBHCI(written)
    assert file not in reader.source_files(1)
    assert all(not trial.continuous_ratings for trial in reader.trials([1]))


def cells(*values):
    array = np.empty((1, len(values)), dtype=object)
    for place, value in enumerate(values):
        array[0, place] = value
    return array


ROW = np.zeros((1, 24))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": None}, "found trials_included; expected a cell `labels`"),
        ({"labels": np.zeros((4, 24))}, "found labels, trials_included; expected a cell `labels`"),
        (
            {"trials_included": np.ones((3, 2))},
            r"`trials_included` is \w+ \(3, 2\); expected a row for each of 4 `labels`",
        ),
        ({"trials_included": np.array([[1, 2], [1, 4], [2, 2], [2, 130]])}, "a number from 1 to 129"),
        (
            {"trials_included": np.array([[1, 2], [1, 2], [2, 2], [2, 4]])},
            r"trial 2 of subject 1 \(row 2\): duplicate trial",
        ),
        ({"labels": cells(ROW, ROW, np.zeros((2, 3)), ROW)}, r"\(row 3\): float64 \(2, 3\); expected a row of numbers"),
        ({"labels": cells(ROW, ROW + np.nan, ROW, ROW)}, r"\(row 2\): expected numbers from -1 to 1"),
        ({"labels": cells(ROW, ROW, ROW, ROW + 1.5)}, r"\(row 4\): expected numbers from -1 to 1"),
        ({"labels": cells(ROW, ROW, ROW, "no")}, r"\(row 4\): <U2 \(1,\); expected a row of numbers"),
    ],
)
def test_another_content_is_refused_at_once(written, file, changes, message):
    rewrite(file, **changes)
    with pytest.raises(InputError, match=f"^{file}: .*{message}") as caught:
        MAHNOBHCI(written).check()
    assert len(str(caught.value).splitlines()) == 1
    with pytest.raises(InputError, match=f"^{file}: "):
        list(MAHNOBHCI(written).trials([1]))


def test_a_damaged_file(written, file):
    file.write_bytes(file.read_bytes()[:300])
    with pytest.raises(InputError, match=f"^{file}: damaged or truncated MATLAB file"):
        MAHNOBHCI(written).check()


def test_another_length_is_listed(written, file):
    rewrite(file, labels=cells(ROW, np.zeros((80, 1)), ROW, ROW))
    (problem,) = of_labels(MAHNOBHCI(written).describe())
    assert "ends at 19.8 s; expected 6.0 s, the duration of the clip" in problem["message"]
    MAHNOBHCI(written).check()
