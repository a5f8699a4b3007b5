"""Archives of runs: what they hold, and which files are refused."""

import io
import lzma
import tarfile

import pytest

from keras_emotion.experiment import RunFolder
from keras_emotion.experiment.archive import pack_run, unpack_run
from keras_emotion.schema import InputError
from tests.experiment.made_records import record_of

SCIENCE = {"name": "archived", "dataset": "deap"}
DATA = {"dataset": "deap", "fingerprints": {"1": "abc"}}


def job(fold):
    return {"protocol": "trial_disjoint", "target": "valence", "subject": 1, "repetition": 0, "fold": fold}


@pytest.fixture
def run(tmp_path):
    """A run with one of two jobs, and files that belong to its machine."""
    folder = RunFolder(tmp_path / "run")
    folder.start(SCIENCE, "identity", DATA, resume=False)
    folder.record_start({"started": "2026-01-01T10:00:00+00:00", "command": "run --output /home/anna", "cpu": "one"})
    folder.record_start({"started": "2026-01-02T10:00:00+00:00", "command": "run --resume", "cpu": "two"})
    folder.write_job(record_of(job(0)))
    folder.write_bytes("log.txt", b"/home/anna")
    folder.write_bytes("experiment.json", b'{"root": "/home/anna"}')
    folder.write_bytes("stored_features.json", b'{"folders": ["/home/anna"]}')
    folder.write_bytes("jobs/weights.npz", b"/home/anna")
    folder.write_bytes("models/a.json", b"/home/anna")
    return folder


def test_run_continues_from_its_archive(run, tmp_path):
    content = pack_run(run)
    assert pack_run(run) == content
    assert b"/home/anna" not in lzma.decompress(content)
    file = tmp_path / "run.tar.xz"
    file.write_bytes(content)
    other = unpack_run(file, tmp_path / "elsewhere" / "run")
    assert other.start(SCIENCE, "identity", DATA, resume=True) is False
    for folder in (run, other):
        folder.write_job(record_of(job(1)))
        folder.finish({"class_names": {}})
    for name in ("results.csv", "predictions.csv", "config.json"):
        assert (other.path / name).read_bytes() == (run.path / name).read_bytes()
    assert [start["cpu"] for start in (other.environment, *other.environment["resumed"])] == ["one", "two"]
    assert not list(tmp_path.glob("**/.writing-*"))


def archive(**members):
    content = io.BytesIO()
    with lzma.open(content, "wb") as stream, tarfile.open(fileobj=stream, mode="w") as made:
        for name, member in members.items():
            if isinstance(member, tarfile.TarInfo):
                member.name = name
                made.addfile(member)
            else:
                entry = tarfile.TarInfo(name)
                entry.size = len(member)
                made.addfile(entry, io.BytesIO(member))
    return content.getvalue()


def link(target):
    entry = tarfile.TarInfo()
    entry.type, entry.linkname = tarfile.SYMTYPE, target
    return entry


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"no archive", "delete it, and the run is made again", id="text"),
        pytest.param(lzma.compress(b"no archive" * 100), "delete it, and the run is made again", id="no tar"),
        pytest.param(archive(**{"config.json": b"{}"})[:-20], "delete it, and the run is made again", id="truncated"),
        pytest.param(archive(**{"data.json": b"{}"}), "contains no config.json", id="no run"),
        pytest.param(archive(**{"../config.json": b"{}"}), "'../config.json', which is no record", id="outside"),
        pytest.param(archive(**{"/tmp/config.json": b"{}"}), "which is no record", id="absolute"),
        pytest.param(archive(**{"jobs/../../a.json": b"{}"}), "which is no record", id="up"),
        pytest.param(archive(**{"models/a.keras": b""}), "'models/a.keras', which is no record", id="model"),
        pytest.param(archive(**{"config.json": link("/etc/hosts")}), "which is no record", id="link"),
        pytest.param(archive(**{"config.json": bytes(2**20)}), "larger than 0.0001 GiB when", id="large"),
    ],
)
def test_other_files_are_refused(tmp_path, monkeypatch, content, message):
    monkeypatch.setenv("KERAS_EMOTION_LIMITS", "memory_gib=0.0001")
    file = tmp_path / "run.tar.xz"
    file.write_bytes(content)
    with pytest.raises(InputError, match=r"run\.tar\.xz") as caught:
        unpack_run(file, tmp_path / "made" / "run")
    assert message in str(caught.value)
    assert not list((tmp_path / "made").iterdir())
    assert {path.name for path in tmp_path.iterdir()} == {"run.tar.xz", "made"}


def test_what_is_there_is_not_replaced(run, tmp_path):
    file = tmp_path / "run.tar.xz"
    file.write_bytes(pack_run(run))
    with pytest.raises(InputError, match=r"run: exists; expected a new folder"):
        unpack_run(file, run.path)
    with pytest.raises(InputError, match="contains no run"):
        pack_run(RunFolder(tmp_path / "nothing"))
