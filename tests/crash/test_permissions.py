"""Files that this user may not read are not taken for missing ones. Root may read all: it gives that up in a fork."""

import os
import pickle

import pytest

from keras_emotion.experiment import RunFolder
from keras_emotion.reports.listing import list_runs
from keras_emotion.schema import InputError
from tests.crash.conditions import as_an_ordinary_user

SCIENCE = {"name": "a", "targets": ["valence"], "protocols": []}
DATA = {"dataset": "memory", "synthetic": False}


@pytest.fixture
def as_user():
    """A function that calls another one as an ordinary user: gives its result, or raises its error."""

    def call(function):
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            try:
                as_an_ordinary_user()
                answer = function()
            except Exception as error:
                answer = error
            os.write(writing, pickle.dumps(answer))
            os._exit(0)
        os.close(writing)
        with open(reading, "rb") as file:
            answer = pickle.loads(file.read())
        os.waitpid(child, 0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return call


@pytest.fixture
def started(tmp_path):
    """Two runs that were started."""
    folders = [RunFolder(tmp_path / name) for name in ("a", "b")]
    for folder in folders:
        folder.start(SCIENCE, "a", DATA, resume=False)
    yield folders
    for folder in folders:
        folder.path.chmod(0o755)
        (folder.path / "jobs").chmod(0o755)


@pytest.mark.parametrize("mode", [0, 0o311])
def test_records_that_may_not_be_listed_are_not_taken_for_none(started, as_user, mode):
    jobs = started[0].path / "jobs"
    jobs.chmod(mode)
    with pytest.raises(InputError, match=rf"^{jobs}: cannot be read: Permission denied; change its permissions$"):
        as_user(started[0].finished_jobs)


def test_a_run_of_another_user_hides_none_of_the_others(started, as_user, tmp_path):
    started[0].path.chmod(0)
    unreadable, other = as_user(lambda: sorted(list_runs(tmp_path), key=lambda run: run.path))
    assert (unreadable.path, unreadable.progress) == (tmp_path / "a", "not readable")
    assert unreadable.problem == "cannot be read: Permission denied"
    assert (other.path, other.is_readable) == (tmp_path / "b", True)
