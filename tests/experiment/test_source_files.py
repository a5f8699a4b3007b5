"""Files of the data are read once; later starts look at sizes and times."""

import json
import os
import sys

import numpy as np
import pytest

from keras_emotion.datasets import Recordings
from keras_emotion.experiment import Runtime, inspect_data, run
from keras_emotion.papers import models
from keras_emotion.schema import InputError
from keras_emotion.synthetic import write_recordings

OPENED: list[str] = []
"""Files opened by this process, while recording."""
_listens: list[bool] = []


def _listen(event, arguments):
    if _listens and event == "open":
        OPENED.append(str(arguments[0]))


sys.addaudithook(_listen)  # permanent: audit hooks cannot be removed


@pytest.fixture
def opened():
    """Names of the files opened after this fixture is requested."""
    OPENED.clear()
    _listens.append(True)
    yield OPENED
    _listens.clear()


@pytest.fixture
def root(tmp_path):
    options = {"n_subjects": 2, "n_trials": 8, "trial_seconds": 6, "baseline_seconds": 0, "sampling_rate_hz": 128}
    return write_recordings(tmp_path / "data", **options)


def experiment(tmp_path, workers=1):
    fields = {"name": "test", "dataset": "recordings", "targets": ("valence",), "protocols": ("trial_disjoint",)}
    one = models()["logistic_regression"](fields)["demo"]
    return one.changed({"runtime": Runtime(workers=workers, feature_store=tmp_path / "store")})


def of_data(opened, root, tmp_path):
    """The recordings, and the arrays of features, among the files that were opened."""
    recordings = [name for name in opened if name.startswith(str(root)) and name.endswith(".edf")]
    return recordings + [name for name in opened if name.startswith(str(tmp_path / "store")) and ".npy" in name]


def recording(root, subject=1):
    return root / f"s{subject:02d}.edf"


def change_a_byte(file, keep_time):
    before = file.stat()
    content = bytearray(file.read_bytes())
    content[-1000] ^= 1
    file.write_bytes(content)
    if keep_time:
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_a_finished_run_opens_neither_recordings_nor_features(tmp_path, root, opened):
    run(experiment(tmp_path), Recordings(root), tmp_path / "run")
    assert of_data(opened, root, tmp_path)
    opened.clear()
    run(experiment(tmp_path), Recordings(root), tmp_path / "run")
    assert of_data(opened, root, tmp_path) == []


def test_a_resumed_run_opens_no_recording(tmp_path, root, opened):
    folder = run(experiment(tmp_path), Recordings(root), tmp_path / "run")
    expected = folder.predictions()
    for name in ("finished.json", "results.csv", "predictions.csv"):
        (folder.path / name).unlink()
    next((folder.path / "jobs").iterdir()).unlink()
    opened.clear()
    resumed = run(experiment(tmp_path), Recordings(root), tmp_path / "run", resume=True)
    assert [name for name in of_data(opened, root, tmp_path) if ".npy" not in name] == []
    assert resumed.predictions().equals(expected)


def test_a_file_whose_size_and_time_are_as_they_were_is_opened_only_when_asked_for(tmp_path, root):
    run(experiment(tmp_path), Recordings(root), tmp_path / "run")
    change_a_byte(recording(root), keep_time=True)
    run(experiment(tmp_path), Recordings(root), tmp_path / "run")
    with pytest.raises(InputError, match="another data"):
        run(experiment(tmp_path), Recordings(root), tmp_path / "run", verify=True)


def test_a_file_with_another_time_is_opened_and_its_content_decides(tmp_path, root, opened):
    run(experiment(tmp_path), Recordings(root), tmp_path / "run")
    os.utime(recording(root), ns=(0, 10**18))
    opened.clear()
    run(experiment(tmp_path), Recordings(root), tmp_path / "run")
    assert set(of_data(opened, root, tmp_path)) == {str(recording(root))}
    change_a_byte(recording(root), keep_time=False)
    with pytest.raises(InputError, match="another data"):
        run(experiment(tmp_path), Recordings(root), tmp_path / "run")


def test_a_note_that_is_damaged_is_not_believed(tmp_path, root, opened):
    run(experiment(tmp_path), Recordings(root), tmp_path / "run")
    notes = sorted((tmp_path / "store" / "sources").iterdir())
    assert len(notes) == 2
    notes[0].write_text('{"files": ')
    # Another hash, as of other data.
    content = notes[1].read_text()
    own = next(iter(json.loads(content)["files"].values()))[1]
    notes[1].write_text(content.replace(own, own[::-1]))
    opened.clear()
    run(experiment(tmp_path), Recordings(root), tmp_path / "run")
    assert set(of_data(opened, root, tmp_path)) == {str(recording(root, subject)) for subject in (1, 2)}
    opened.clear()
    run(experiment(tmp_path), Recordings(root), tmp_path / "run")
    assert of_data(opened, root, tmp_path) == []


def test_stored_features_are_read_again_when_asked_for(tmp_path, root, capsys):
    expected = run(experiment(tmp_path), Recordings(root), tmp_path / "run").predictions()
    array = next((tmp_path / "store").glob("*/*.npy"))
    content, before = array.read_bytes(), array.stat()
    array.write_bytes(content[:-2] + bytes([content[-2] ^ 1]) + content[-1:])
    os.utime(array, ns=(before.st_atime_ns, before.st_mtime_ns))
    again = run(experiment(tmp_path), Recordings(root), tmp_path / "again", verify=True).predictions()
    assert array.read_bytes() == content
    assert again.equals(expected)
    assert f"{array.name} differs from its record" in capsys.readouterr().err


@pytest.mark.parametrize("jobs", [1, 2])
def test_what_is_wrong_with_any_file_is_listed_before_features_are_made(tmp_path, root, jobs):
    for subject in (1, 2):
        file = recording(root, subject)
        file.write_bytes(file.read_bytes()[:2000])
    with pytest.raises(InputError) as error:
        run(experiment(tmp_path, jobs), Recordings(root), tmp_path / "run")
    assert all(recording(root, subject).name in str(error.value) for subject in (1, 2))
    assert not (tmp_path / "run").exists()
    assert not list((tmp_path / "store").rglob("*.npy"))


@pytest.mark.parametrize("target", ["joy", "valence+joy"])
def test_a_target_that_is_no_rating_is_refused_before_features_are_made(tmp_path, root, opened, target):
    one = experiment(tmp_path).changed({"targets": (target,)})
    for _ in range(2):
        with pytest.raises(InputError, match="target 'joy' is not a rating of dataset recordings; it has valence, aro"):
            run(one, Recordings(root), tmp_path / "run")
    assert not list((tmp_path / "store").rglob("*.npy"))
    # The names are noted: files are not read again for them.
    assert len([name for name in opened if name.endswith(".edf")]) > 0
    opened.clear()
    with pytest.raises(InputError, match="'joy' is not a rating"):
        run(one, Recordings(root), tmp_path / "run")
    assert of_data(opened, root, tmp_path) == []


def test_fingerprints_are_those_of_the_content(tmp_path, root):
    first = run(experiment(tmp_path), Recordings(root), tmp_path / "first").data["fingerprints"]
    again = run(experiment(tmp_path), Recordings(root), tmp_path / "again").data["fingerprints"]
    elsewhere = experiment(tmp_path).changed({"runtime.feature_store": tmp_path / "other"})
    assert first == again == run(elsewhere, Recordings(root), tmp_path / "elsewhere").data["fingerprints"]
    assert len(np.unique(list(first.values()))) == 2


@pytest.mark.parametrize("is_known", [False, True], ids=["read now", "read before"])
def test_too_short_trials_and_broken_files_are_listed_together(tmp_path, root, is_known):
    fields = {"name": "test", "dataset": "recordings", "targets": ("valence",)}
    runtime = Runtime(workers=1, feature_store=tmp_path / "store")
    one = models()["hlstm"](fields)["demo"].changed({"runtime": runtime, "system.modalities": ("eeg",)})
    long = one.changed({"system.images.window_seconds": 10.0})
    if is_known:
        inspect_data(one, Recordings(root))
    broken = recording(root, 2)
    broken.write_bytes(broken.read_bytes()[:2000])
    with pytest.raises(InputError) as error:
        inspect_data(long, Recordings(root))
    too_short, cut_off = sorted(str(error.value).splitlines())
    assert too_short == (
        f"{recording(root)}: subject s01, trial 1, 2, 3, 4, 5, 6, 7, 8: lasts 6 s; expected at least a window of 10 s; "
        "choose shorter windows (window_seconds)"
    )
    assert cut_off.startswith(f"{broken}: ")
