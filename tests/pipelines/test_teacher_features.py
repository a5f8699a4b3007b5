import numpy as np
import pandas as pd
import pytest

from keras_emotion.pipelines import TeacherFeatures
from keras_emotion.schema import InputError


def _table():
    rows = {"subject": [1, 1, 1, 2], "trial": [1, 1, 2, 1], "start_seconds": [0.0, 2.0, 0.0, 0.0]}
    return pd.DataFrame(rows).assign(dataset="test", session=1)


def test_windows_meet_their_partner_whatever_the_order_and_rounding(tmp_path):
    rng = np.random.default_rng(0)
    features = rng.standard_normal((4, 3, 5)).astype(np.float32)
    order = [2, 0, 3, 1]
    shuffled = _table().iloc[order].reset_index(drop=True)
    shuffled["start_seconds"] += rng.uniform(-5e-4, 5e-4, 4)
    TeacherFeatures.write(tmp_path / "teacher.npz", shuffled, features[order])
    got, found = TeacherFeatures(tmp_path / "teacher.npz").for_windows(_table())
    assert found.all()
    np.testing.assert_array_equal(got, features)


def test_a_window_without_partner_is_not_found(tmp_path):
    TeacherFeatures.write(tmp_path / "teacher.npz", _table().iloc[:2], np.ones((2, 3, 5)))
    got, found = TeacherFeatures(tmp_path / "teacher.npz").for_windows(_table())
    assert found.tolist() == [True, True, False, False]
    assert not got[2:].any()


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"features": np.zeros((2, 3, 4))}, "no array subject, trial, start_seconds"),
        (
            {"subject": ["1"], "trial": [1], "start_seconds": [0.0], "features": np.zeros((2, 3, 4))},
            "expected features",
        ),
    ],
)
def test_files_that_do_not_fit_are_named(tmp_path, arrays, message):
    np.savez(tmp_path / "teacher.npz", **arrays)
    with pytest.raises(InputError, match=message):
        TeacherFeatures(tmp_path / "teacher.npz")


def test_a_single_array_is_no_teacher(tmp_path):
    with (tmp_path / "teacher.npz").open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(InputError, match="a single array"):
        TeacherFeatures(tmp_path / "teacher.npz")


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 not a zip", b"\x93NUMPY"])
def test_no_such_file_or_another_kind_of_file(tmp_path, content):
    if content is not None:
        (tmp_path / "teacher.npz").write_bytes(content)
    with pytest.raises(InputError, match=r"teacher\.npz: (no such file|unreadable)"):
        TeacherFeatures(tmp_path / "teacher.npz")


def test_sessions_have_features_of_their_own(tmp_path):
    table = _table().iloc[:1]
    both = pd.concat([table.assign(session="a"), table.assign(session="b")], ignore_index=True)
    features = np.arange(2, dtype=np.float32).reshape(2, 1, 1)
    TeacherFeatures.write(tmp_path / "teacher.npz", both, features)
    got, found = TeacherFeatures(tmp_path / "teacher.npz").for_windows(both.iloc[::-1])
    assert found.all()
    assert got.ravel().tolist() == [1.0, 0.0]
    # A file without sessions is ambiguous.
    rows = {"subject": ["1"], "trial": [1], "start_seconds": [0.0], "features": features[:1]}
    np.savez(tmp_path / "old.npz", **rows)
    with pytest.raises(InputError, match="no array session"):
        TeacherFeatures(tmp_path / "old.npz").for_windows(both)
    assert TeacherFeatures(tmp_path / "old.npz").for_windows(table)[1].all()
