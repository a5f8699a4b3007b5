import errno
import json
import os

import pandas as pd
import pytest

from keras_emotion.evaluation import PREDICTION_COLUMNS
from keras_emotion.experiment import RunFolder
from keras_emotion.experiment.record_schema import record_name
from keras_emotion.experiment.record_tables import RESULT_COLUMNS
from keras_emotion.schema import InputError
from tests.experiment.made_records import record_of

SCIENCE = {"seed": 0, "training": {"epochs": 5}}
DATA = {"dataset": "deap", "synthetic": True, "fingerprints": {"1": "abc"}}


def _record(subject, fold, accuracy=0.5):
    job = {"protocol": "trial_disjoint", "target": "valence", "subject": subject, "repetition": 0, "fold": fold}
    return record_of(job, accuracy, trials=(2, 1), band_attention_gamma=0.7)


def _started(path):
    folder = RunFolder(path / "run")
    folder.start(SCIENCE, "identity", DATA, resume=False)
    return folder


def test_tables_hold_the_promised_columns_in_a_stable_order(tmp_path):
    folders = []
    for name, order in (("a", [10, 9, 1]), ("b", [1, 10, 9])):
        folder = _started(tmp_path / name)
        for subject in order:
            folder.write_job(_record(subject, fold=0))
        folder.finish({})
        folders.append(folder)
    results, predictions = folders[0].results(), folders[0].predictions()
    assert tuple(results.columns) == RESULT_COLUMNS
    assert tuple(predictions.columns[: len(PREDICTION_COLUMNS)]) == PREDICTION_COLUMNS
    assert predictions["subject"].unique().tolist() == ["1", "9", "10"]
    assert predictions["trial"].tolist() == [1, 2] * 3
    assert predictions["probability_low"].iloc[0] == 1 / 3
    assert set(results["metric"]) >= {"accuracy", "f1", "training_majority", "best_epoch", "band_attention_gamma"}
    for file in ("results.csv", "predictions.csv"):
        assert (folders[0].path / file).read_bytes() == (folders[1].path / file).read_bytes()


def test_a_broken_off_run_asks_for_resume(tmp_path):
    folder = _started(tmp_path)
    folder.write_job(_record(1, 0))
    with pytest.raises(
        InputError, match="interrupted run, or one that is still running elsewhere, after 1 jobs; give --resume"
    ):
        folder.start(SCIENCE, "identity", DATA, resume=False)
    folder.start(SCIENCE, "identity", DATA, resume=True)
    assert folder.finished_jobs() == {record_name(_record(1, 0)["job"])}


def test_another_configuration_or_other_data_are_refused_with_the_difference(tmp_path):
    folder = _started(tmp_path)
    with pytest.raises(InputError, match=r"another configuration[^:]*:\n  training.epochs: 5 -> 6"):
        folder.start({**SCIENCE, "training": {"epochs": 6}}, "other", DATA, resume=True)
    with pytest.raises(InputError, match=r'another data[^:]*:\n  fingerprints.1: "abc" -> "xyz"'):
        folder.start(SCIENCE, "identity", {**DATA, "fingerprints": {"1": "xyz"}}, resume=True)


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.tex").write_text("mine")
    with pytest.raises(InputError, match="not empty and contains no run"):
        RunFolder(tmp_path / "run").start(SCIENCE, "identity", DATA, resume=True)


def test_a_start_that_was_killed_can_be_started_again(tmp_path):
    run = tmp_path / "run"
    (run / "jobs").mkdir(parents=True)
    (run / "jobs" / ".writing-abc").write_text('{"job": ')
    (run / ".writing-def").write_text("{")
    (run / "data.json").write_text('{"dataset": "another"}')
    assert RunFolder(run).start(SCIENCE, "identity", DATA, resume=False)
    RunFolder(run).start(SCIENCE, "identity", DATA, resume=True)


def test_finished_jobs_without_a_configuration_are_not_taken_for_a_new_run(tmp_path):
    folder = _started(tmp_path)
    folder.write_job(_record(1, 0))
    (folder.path / "config.json").unlink()
    with pytest.raises(InputError, match="not empty and contains no run"):
        folder.start(SCIENCE, "identity", DATA, resume=True)


@pytest.mark.parametrize("links", [True, False])
def test_of_two_first_starts_at_once_one_is_the_first(tmp_path, monkeypatch, links):
    if not links:

        def no_links(*_):
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))

        monkeypatch.setattr(os, "link", no_links)
    slow, fast = RunFolder(tmp_path / "run"), RunFolder(tmp_path / "run")
    write = RunFolder._write

    def overtaken(self, name, writes):
        if self is slow and name == "config.json":
            assert fast.start({**SCIENCE, "seed": 1}, "other", DATA, resume=False)
        return write(self, name, writes)

    monkeypatch.setattr(RunFolder, "_write", overtaken)
    with pytest.raises(InputError, match=r"another configuration[^:]*:\n  seed: 1 -> 0"):
        slow.start(SCIENCE, "identity", DATA, resume=True)
    assert slow.config["identity"] == "other"
    assert not list(slow.path.glob(".writing-*"))


def test_every_start_is_kept(tmp_path):
    folder = _started(tmp_path)
    first = {"started": "2026-01-01T10:00:00+00:00", "command": "run", "cpu": "one", "jobs": 2}
    second = {"started": "2026-01-02T10:00:00+00:00", "command": "run --resume", "cpu": "another", "jobs": 2}
    folder.record_start(first)
    assert folder.environment == first
    folder.record_start(second)
    folder.record_start({**first, "started": "2026-01-03T10:00:00+00:00"})
    resumed = [{**second}, {"started": "2026-01-03T10:00:00+00:00"}]
    del resumed[0]["jobs"]
    assert folder.environment == {**first, "resumed": resumed}


def test_the_first_start_stays_the_first_where_the_clock_was_set_back(tmp_path):
    folder = _started(tmp_path)
    times = [
        "2026-05-01T10:00:00+00:00",
        "2025-01-01T10:00:00+00:00",
        "2026-05-01T10:00:00+00:00",
        "2026-01-01T10:00:00",
    ]
    # As the first versions named them.
    folder.write_json("starts/2026-05-01T100000+0000-ffff.json", {"started": times[0]})
    for started in times[1:]:
        folder.record_start({"started": started})
    assert folder.environment == {"started": times[0], "resumed": [{"started": started} for started in times[1:]]}


def test_other_versions_of_the_first_start_are_listed(tmp_path):
    folder = _started(tmp_path)
    assert folder.other_versions({"numpy": "2.0"}) == []
    folder.record_start({"started": "2026-01-01T10:00:00+00:00", "packages": {"numpy": "1.26", "keras": "3.12"}})
    assert folder.other_versions({"numpy": "2.0", "keras": "3.12", "jax": "0.5"}) == ["numpy 1.26 (here 2.0)"]
    with pytest.raises(InputError, match=r"the run was started with other versions: .*numpy 1\.26 \(here 2"):
        folder.start({**SCIENCE, "seed": 9}, "identity", DATA, resume=True)


def test_the_start_that_an_earlier_version_kept_stays(tmp_path):
    folder = _started(tmp_path)
    first = {"started": "2026-01-01T10:00:00+00:00", "cpu": "one"}
    folder.write_json("environment.json", first)
    folder.record_start({"started": "2026-01-02T10:00:00+00:00", "cpu": "another"})
    assert folder.environment["cpu"] == "one"
    assert folder.environment["resumed"] == [{"started": "2026-01-02T10:00:00+00:00", "cpu": "another"}]


def test_a_run_of_an_earlier_version_is_taken_up_on_the_same_data_only(tmp_path):
    folder = _started(tmp_path)
    folder.write_json("config.json", {"identity": "identity", "science": SCIENCE})
    assert not folder.start(SCIENCE, "identity", DATA, resume=True)
    with pytest.raises(InputError, match="another data"):
        folder.start(SCIENCE, "identity", {**DATA, "dataset": "amigos"}, resume=True)


def test_a_half_written_record_does_not_count(tmp_path):
    folder = _started(tmp_path)
    (folder.path / "jobs" / ".writing-abc").write_text('{"job": ')
    assert folder.finished_jobs() == set()


def test_no_two_writers_share_a_temporary_file(tmp_path, monkeypatch):
    folder, used = _started(tmp_path), []
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda source, target: used.append(source) or replace(source, target))
    # As on two machines, where processes may have the same number.
    monkeypatch.setattr(os, "getpid", lambda: 1)
    for _ in range(2):
        folder.write_job(_record(1, 0))
    assert len(set(used)) == 2


def test_a_damaged_record_is_named(tmp_path):
    folder = _started(tmp_path)
    (folder.path / "jobs" / "job-1.json").write_text('{"job": ')
    with pytest.raises(InputError, match=r"1 damaged records; --resume [\s\S]*job-1\.json: not readable as JSON"):
        folder.finish({})


def test_a_full_disk_keeps_what_is_finished(tmp_path, monkeypatch):
    folder = _started(tmp_path)
    folder.write_job(_record(1, 0))

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="No space left on device; what is finished is kept: free some space"):
        folder.write_job(_record(2, 0))
    assert folder.finished_jobs() == {record_name(_record(1, 0)["job"])}
    assert [path.name for path in (folder.path / "jobs").iterdir()] == [f"{record_name(_record(1, 0)['job'])}.json"]


def test_numbers_are_plain_json(tmp_path):
    folder = _started(tmp_path)
    folder.write_json("extra.json", {"value": pd.Series([1]).iloc[0], "path": tmp_path})
    content = json.loads((folder.path / "extra.json").read_text())
    assert content.pop("checksum")
    assert content.pop("has_checksum")
    assert content == {"value": 1, "path": str(tmp_path)}


def test_a_missing_run_is_said(tmp_path):
    with pytest.raises(InputError, match=r"is .* a run folder"):
        RunFolder(tmp_path / "nowhere").config  # noqa: B018
