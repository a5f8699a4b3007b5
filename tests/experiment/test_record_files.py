"""Records of jobs that are damaged, of another job, of another run, or of an earlier version."""

import functools
import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_emotion.experiment import RunFolder
from keras_emotion.experiment.record_schema import earlier_name, problem_of, record_name
from keras_emotion.experiment.record_tables import FAILED
from keras_emotion.json_files import DamagedFile, json_bytes, plain_json, read_json
from keras_emotion.schema import InputError
from tests.experiment.made_records import record_of

SCIENCE = {"seed": 0, "dataset": "deap"}
DATA = {"dataset": "deap", "synthetic": True, "fingerprints": {"1": "abc"}}
SUMMARY = {"class_names": {"valence": ["low", "high"]}, "not_evaluable": [], "dropped_windows": {}}
OLD_RUN = Path(__file__).parents[1] / "golden" / "run_of_0.1.0"


def job(subject="A/01", fold=0, **fields):
    return {"protocol": "p", "target": "valence", "subject": subject, "repetition": 0, "fold": fold, **fields}


def record(of):
    return record_of(of, attention=1 / 3)


def failed(of, subjects):
    return {"job": of, "failed": "training loss not finite in epoch 2", "test_subjects": subjects, "seconds": 0.1}


def started(path, jobs=(), data=DATA):
    folder = RunFolder(path)
    folder.start(SCIENCE, "identity", data, resume=True)
    for one in jobs:
        folder.write_job(record(one))
    return folder


def file_of(folder, of):
    return folder.path / "jobs" / f"{record_name(of)}.json"


def test_what_is_written_is_read(tmp_path):
    folder = started(tmp_path / "run", [job()])
    name = record_name(job())
    assert folder.finished_jobs() == {name}
    # As text, in which NaN is equal to NaN.
    assert json.dumps(folder.job(name)) == json.dumps(plain_json(record(job())))
    assert folder.check_jobs().notes == []


@functools.cache
def _written():
    return json_bytes({**record(job()), "run": "0" * 32})


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    """A file that is written over and over."""
    return tmp_path_factory.mktemp("changed") / "record.json"


@settings(max_examples=300, deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), byte=st.integers(0, 255))
def test_a_changed_byte_is_noticed_or_changes_nothing(scratch, place, byte):
    file = scratch
    content = bytearray(_written())
    content[int(place * len(content))] = byte
    file.write_bytes(content)
    expected = json.loads(_written())
    del expected["checksum"], expected["has_checksum"]
    try:
        found, has_checksum = read_json(file)
    except DamagedFile:
        return
    assert has_checksum
    assert json.dumps(found) == json.dumps(expected)


def test_a_file_that_has_lost_its_checksum_is_damaged(tmp_path):
    """Under no name: `config.json` and `environment.json` of earlier versions had none."""
    file = tmp_path / "config.json"
    for name in (b'"chfcksum"', b'"checksum "'):
        file.write_bytes(_written().replace(b'"checksum"', name))
        with pytest.raises(DamagedFile, match="missing field checksum"):
            read_json(file)
    file.write_bytes(_written().replace(b' "has_checksum": true,\n', b""))
    assert read_json(file)[1]


BAD = {
    "empty": b"",
    "nothing": b"{}",
    "list": b"[]",
    "deep": b"[" * 100_000,
    "deep_object": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "utf_16": '{"job": 1}'.encode("utf-16"),
    "latin_1": '{"job": "é"}'.encode("latin-1"),
    "byte_order_mark": b"\xef\xbb\xbf{}",
    "long_number": b'{"job": ' + b"9" * 5000 + b"}",
    "wrong_types": json.dumps({**record(job()), "metrics": 3}).encode(),
    "job_of_wrong_type": json.dumps({**record(job()), "job": "x"}).encode(),
    "counts_of_wrong_type": json.dumps({**record(job()), "counts": 3}).encode(),
}


@pytest.mark.parametrize("how", BAD)
def test_a_damaged_record_is_moved_and_its_job_done_again(tmp_path, how, capsys):
    folder = started(tmp_path / "run", [job(), job(fold=1)])
    folder.finish(SUMMARY)
    file = file_of(folder, job())
    file.write_bytes(BAD[how])
    with pytest.raises(InputError, match=f"1 damaged records; --resume moves it .*\n  {file}: "):
        folder.finish({})
    (note,) = folder.check_jobs().notes
    assert note.startswith(f"jobs/{file.name}: damaged (")
    # Reading a run moves no file.
    assert file.read_bytes() == BAD[how]
    jobs = folder.set_aside_damaged()
    assert jobs.finished == {record_name(job(fold=1))}
    assert not folder.is_finished
    (moved,) = (folder.path / "damaged").iterdir()
    assert moved.read_bytes() == BAD[how]
    assert capsys.readouterr().err.count(f"{file}: damaged (") == 1
    # As another process does that found the same.
    assert folder.set_aside_damaged() == jobs


def test_a_record_that_was_written_again_meanwhile_stays(tmp_path, capsys):
    folder = started(tmp_path / "run", [job()])
    file = file_of(folder, job())
    good = file.read_bytes()
    file.write_bytes(b"{}")
    jobs = folder.check_jobs()
    file.write_bytes(good)
    for damaged in jobs.damaged:
        folder._set_aside(damaged)
    assert file.read_bytes() == good
    assert not list((folder.path / "damaged").iterdir())
    assert not capsys.readouterr().err


def test_a_record_counts_for_its_own_job_and_run_alone(tmp_path):
    folder = started(tmp_path / "run", [job()])
    shutil.copy(file_of(folder, job()), file_of(folder, job(fold=1)))
    other = started(tmp_path / "other", [job(fold=2)], {**DATA, "fingerprints": {"1": "xyz"}})
    shutil.copy(file_of(other, job(fold=2)), folder.path / "jobs")
    jobs = folder.check_jobs()
    assert jobs.finished == {record_name(job())}
    assert sorted(one.reason.partition(":")[0] for one in jobs.damaged) == [
        "contains the record of another job",
        "contains the record of another run",
    ]


def test_a_record_of_an_earlier_version_counts_and_is_mentioned(tmp_path):
    folder = started(tmp_path / "run")
    old = record(job(subject=1))
    (folder.path / "jobs" / f"{earlier_name(old)}.json").write_text(json.dumps(old))
    assert folder.check_jobs().finished == {record_name(job(subject=1))}
    assert folder.check_jobs().notes == ["1 record without a checksum, of an earlier version"]
    # Of a repeated job, one record counts.
    folder.write_job(record(job(subject=1)))
    folder.finish(SUMMARY, expected=[record_name(job(subject=1))])
    assert len(folder.predictions()) == 2
    # Without a checksum under a name of this version, or under that of another job.
    (folder.path / "jobs" / f"{record_name(job(fold=1))}.json").write_text(json.dumps(record(job(fold=1))))
    (folder.path / "jobs" / "p-valence-2-repetition0-fold0.json").write_text(json.dumps(record(job(subject=3))))
    assert len(folder.check_jobs().damaged) == 2


def test_a_run_of_0_1_0_is_finished_as_it_was(tmp_path):
    shutil.copytree(OLD_RUN, tmp_path / "run")
    folder = RunFolder(tmp_path / "run")
    jobs = folder.set_aside_damaged()
    assert (len(jobs.finished), jobs.failed, jobs.damaged, jobs.n_without_checksum) == (3, {}, (), 3)
    names = {record_name(job(1, fold, protocol="trial_disjoint")) for fold in range(3)}
    assert jobs.finished == names
    assert folder.is_finished
    before = [(folder.path / name).read_bytes() for name in ("results.csv", "predictions.csv")]
    folder.finish(SUMMARY, expected=names)
    columns = folder.predictions().drop(columns=["dataset", "session"])
    assert columns.to_csv(index=False).encode() == before[1]
    assert (folder.path / "results.csv").read_bytes() == before[0]


@pytest.mark.parametrize("name", ["data.json", "environment.json", "finished.json", "inference.json", "starts/1.json"])
@pytest.mark.parametrize("how", ["empty", "deep", "utf_16", "list"])
def test_other_damaged_files_are_made_again(tmp_path, name, how):
    folder = started(tmp_path / "run", [job()])
    folder.write_json("inference.json", {"dataset": "deap", "synthetic": True})
    folder.write_json("starts/1.json", {"started": "2026-01-01T10:00:00+00:00"})
    folder.finish(SUMMARY)
    before = {one: (folder.path / one).read_bytes() for one in ("data.json", "environment.json", "finished.json")}
    (folder.path / name).write_bytes(BAD[how])
    folder.set_aside_damaged()
    assert not (folder.path / name).exists()
    # Nothing is made again in a run that is finished.
    assert folder.is_finished is name.startswith("starts")
    folder.start(SCIENCE, "identity", DATA, resume=True)
    folder.record_start({"started": "2026-01-01T10:00:00+00:00"})
    folder.finish(SUMMARY)
    assert (folder.path / "data.json").read_bytes() == before["data.json"]
    assert folder.inference is None or name != "inference.json"
    assert folder.environment["started"] == "2026-01-01T10:00:00+00:00"


@pytest.mark.parametrize("name", ["results.csv", "predictions.csv", "search.csv"])
@pytest.mark.parametrize(
    "damage",
    [lambda content: content[:-40], lambda content: bytes(len(content)), lambda content: b"", None],
    ids=["truncated", "zeros", "empty", "missing"],
)
def test_damaged_tables_are_put_together_again(tmp_path, name, damage, capsys):
    folder = started(tmp_path / "run")
    for candidate, score in (("a", 0.1), ("b", 0.2)):
        folder.write_job({**record(job(candidate=candidate)), "validation_score": score})
    folder.finish(SUMMARY)
    assert folder.set_aside_damaged().finished == folder.finished_jobs()
    assert folder.is_finished
    file = folder.path / name
    whole = file.read_bytes()
    if damage is None:
        file.unlink()
    else:
        file.write_bytes(damage(whole))
    read = {"results.csv": folder.results, "predictions.csv": folder.predictions}
    if name in read and damage is not None:
        with pytest.raises(InputError, match=f"^{file}: .*; --resume creates it again$"):
            read[name]()
    folder.set_aside_damaged()
    assert not folder.is_finished
    folder.finish(SUMMARY)
    assert file.read_bytes() == whole
    assert damage is None or len(list((folder.path / "damaged").glob(f"{file.stem}-*.csv"))) == 1


def test_changed_data_are_not_believed(tmp_path):
    folder = started(tmp_path / "run")
    folder.write_json("data.json", {**DATA, "dataset": "amigos"})
    folder.set_aside_damaged()
    folder.start(SCIENCE, "identity", DATA, resume=True)
    assert folder.data == DATA


def test_a_damaged_configuration_is_refused(tmp_path):
    folder = started(tmp_path / "run", [job()])
    file = folder.path / "config.json"
    good = file.read_bytes()
    for content in (b"{}", b"[" * 100_000, good.replace(b'"seed": 0', b'"seed": 1')):
        file.write_bytes(content)
        with pytest.raises(InputError, match=r"config\.json: damaged .*; restore it from a copy"):
            folder.set_aside_damaged()
        with pytest.raises(InputError, match=r"config\.json: damaged"):
            folder.start(SCIENCE, "identity", DATA, resume=True)


def test_a_failed_job_leaves_its_subject_out_of_every_protocol(tmp_path):
    folder = started(tmp_path / "run")
    for protocol in ("p", "q"):
        for subject in (1, 2):
            for fold in (0, 1):
                one = job(subject, fold, protocol=protocol)
                is_failed = (protocol, subject, fold) == ("q", 2, 1)
                folder.write_job(failed(one, ["2"]) if is_failed else record(one))
    folder.finish(SUMMARY)
    assert set(folder.predictions()["subject"]) == {"1"}
    results = folder.results()
    lost = results[results["subject"] == "2"]
    assert lost[["protocol", "target", "fold", "metric", "value"]].to_numpy().tolist() == [
        ["q", "valence", 1, FAILED, 1.0]
    ]
    (one,) = folder.summary["failed"]
    assert (one["protocol"], one["fold"], one["left_out"]) == ("q", 1, ["2"])
    assert one["reason"] == "training loss not finite in epoch 2"
    assert list(folder.check_jobs().failed) == [record_name(job(2, 1, protocol="q"))]


def test_a_candidate_that_diverged_is_not_chosen(tmp_path):
    folder = started(tmp_path / "run")
    folder.write_job(failed(job(1, candidate="a"), ["1"]))
    for name, score in (("b", -0.7), ("c", -0.6)):
        folder.write_job({**record(job(1, candidate=name)), "validation_score": score})
    folder.finish(SUMMARY)
    search = (folder.path / "search.csv").read_text().splitlines()
    assert [line.rpartition(",")[2] for line in search] == ["chosen", "False", "False", "True"]
    assert len(folder.predictions()) == 2
    (one,) = folder.summary["failed"]
    assert (one["candidate"], one["left_out"]) == ("a", [])


def test_a_score_that_is_null_is_as_good_as_missing(tmp_path):
    folder = started(tmp_path / "run")
    for name, score in (("a", None), ("b", 0.6)):
        folder.write_job({**record(job(1, candidate=name)), "validation_score": score})
    folder.finish(SUMMARY)
    search = (folder.path / "search.csv").read_text().splitlines()
    assert [line.rpartition(",")[2] for line in search] == ["chosen", "False", "True"]


def test_a_run_in_which_all_jobs_failed_has_empty_tables(tmp_path):
    folder = started(tmp_path / "run")
    folder.write_job(failed(job(1), ["1"]))
    folder.finish(SUMMARY)
    assert folder.predictions().empty
    assert folder.results()["metric"].tolist() == [FAILED]


def test_tables_are_not_made_of_fewer_records_than_there_are_jobs(tmp_path):
    folder = started(tmp_path / "run", [job()])
    with pytest.raises(InputError, match=r"1 jobs have no record .*give --resume"):
        folder.finish(SUMMARY, expected=[record_name(job()), record_name(job(fold=1))])


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"best_epoch": None}, "best_epoch: "),
        ({"job": {**job(), "fold": -1}}, "job.fold: "),
        ({"job": {**job(), "subject": True}}, "job.subject"),
        ({"n_training_windows": "9"}, "n_training_windows: "),
        ({"predictions": {}}, "has no field predictions.subject, predictions.trial"),
        ({"predictions": {**record(job())["predictions"], "label": [0]}}, "columns of different lengths"),
        (
            {"predictions": {**record(job())["predictions"], "probability_low": [0.1, float("nan")]}},
            "not a number from 0",
        ),
        (
            {"predictions": {**record(job())["predictions"], "probability_low": ["0.1", 0.1]}},
            "not a number from 0 to 1",
        ),
        ({"failed": ""}, "has no field test_subjects"),
    ],
)
def test_a_record_of_another_form_is_refused(change, problem):
    assert problem_of(record(job())) == ""
    assert problem in problem_of({**record(job()), **change})


def test_the_record_of_an_earlier_audit_counts_under_its_name(tmp_path):
    counts = [{"permutation": 1, "subject": "1", "repetition": 0, "fold": 0, "right": 3, "labels": [2, 2]}]
    old = {"model": "logistic regression", "protocol": "p", "target": "valence", "counts": counts}
    folder = started(tmp_path / "run")
    name = "logistic_regression-p-valence-1-permutations1to20"
    for content in (old, {**old, "job": None}):
        (folder.path / "jobs" / f"{name}.json").write_text(json.dumps(content))
        assert folder.finished_jobs() == {name}
        assert folder.jobs() == [content]
    (folder.path / "jobs" / "logistic_regression-q-valence-1-permutations1to20.json").write_text(json.dumps(old))
    assert len(folder.check_jobs().damaged) == 1
