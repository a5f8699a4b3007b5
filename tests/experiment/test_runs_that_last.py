import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from keras_emotion.experiment import RunFolder, run, runner
from keras_emotion.schema import InputError

TABLES = ("results.csv", "predictions.csv")


def _command(tiny_run, output, features, *options):
    return [sys.executable, tiny_run.__file__, str(output), str(features), *options]


def _same_tables(one, other):
    return all((Path(one) / table).read_bytes() == (Path(other) / table).read_bytes() for table in TABLES)


def _broken_off(unbroken, path, n_jobs):
    """A copy of a run as if it had been killed after its first jobs."""
    shutil.copytree(unbroken.path, path)
    for file in (*TABLES, "finished.json"):
        (path / file).unlink()
    for job in sorted((path / "jobs").iterdir())[n_jobs:]:
        job.unlink()
    return RunFolder(path)


def test_two_processes_share_a_run(unbroken_tiny_run, tiny_run, tmp_path):
    unbroken, _, features = unbroken_tiny_run
    command = _command(tiny_run, tmp_path / "run", features, "--workers", "1", "--resume", "--processes", "2")
    answer = subprocess.run(command, stderr=subprocess.PIPE, text=True)
    printed = [answer.stderr, *(path.read_text() for path in sorted(tmp_path.glob("run-*.txt")))]
    assert answer.returncode == 0, printed
    assert len(printed) == 3
    assert not printed[0]
    assert all(printed[1:])
    assert _same_tables(tmp_path / "run", unbroken.path)
    assert sorted(path.name for path in (tmp_path / "run" / "jobs").iterdir()) == sorted(
        path.name for path in (unbroken.path / "jobs").iterdir()
    )
    # No line of TensorFlow's start-up log.
    assert all(line.startswith("[") for text in printed for line in text.splitlines()), printed
    # Each prints every job that was not done when it started, its own with their accuracies.
    assert sum(text.count(": accuracy ") for text in printed) < 2 * tiny_run.N_JOBS


def test_a_job_that_another_process_has_recorded_meanwhile_is_left_out(
    unbroken_tiny_run, tiny_run, tmp_path, monkeypatch, capsys
):
    unbroken, reader, features = unbroken_tiny_run
    folder = _broken_off(unbroken, tmp_path / "run", 0)
    done, run_job = [], runner.run_job

    def and_another_process_does_all_others(plan, job):
        for path in (unbroken.path / "jobs").iterdir():
            if path.stem != job.name:
                shutil.copy(path, folder.path / "jobs")
        done.append(job.name)
        return run_job(plan, job)

    monkeypatch.setattr(runner, "run_job", and_another_process_does_all_others)
    run(tiny_run.tiny_experiment(features, workers=1), reader, folder.path, resume=True)
    assert len(done) == 1
    assert capsys.readouterr().err.count("done by another process") == tiny_run.N_JOBS - 1
    assert _same_tables(folder.path, unbroken.path)


def test_who_takes_a_run_up_goes_through_the_jobs_in_an_order_of_its_own(
    unbroken_tiny_run, tiny_run, tmp_path, monkeypatch
):
    unbroken, reader, features = unbroken_tiny_run
    records = {path.stem: unbroken._read(f"jobs/{path.name}") for path in (unbroken.path / "jobs").iterdir()}
    orders = []
    monkeypatch.setattr(runner, "run_job", lambda _, job: orders[-1].append(job.name) or records[job.name])
    for attempt in range(5):
        orders.append([])
        folder = _broken_off(unbroken, tmp_path / str(attempt), 0)
        run(tiny_run.tiny_experiment(features, workers=1), reader, folder.path, resume=True)
    assert all(sorted(order) == sorted(records) for order in orders)
    assert len(set(map(tuple, orders))) > 1


def test_a_worker_records_what_the_starting_process_never_hears_of(unbroken_tiny_run, tiny_run, tmp_path, monkeypatch):
    unbroken, reader, features = unbroken_tiny_run
    folder = _broken_off(unbroken, tmp_path / "run", 4)

    def dies(done, *_):
        next(iter(done))
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "show_progress", dies)
    with pytest.raises(KeyboardInterrupt):
        run(tiny_run.tiny_experiment(features, workers=1), reader, folder.path, resume=True)
    assert len(folder.finished_jobs()) == 5


@pytest.mark.slow  # a full disk, which is another error with the same message, is always tried
def test_a_limit_of_file_sizes_in_a_worker_is_one_clear_message(unbroken_tiny_run, tiny_run, tmp_path):
    unbroken, reader, features = unbroken_tiny_run
    folder = _broken_off(unbroken, tmp_path / "run", 2)
    before = {path.name: path.read_bytes() for path in (folder.path / "jobs").iterdir()}
    largest = max(path.stat().st_size for path in folder.path.glob("*.json"))
    smallest = min(path.stat().st_size for path in (unbroken.path / "jobs").iterdir())
    assert largest < smallest  # so that only records of jobs are too large
    limit = str((largest + smallest) // 2)
    command = _command(tiny_run, folder.path, features, "--resume", "--largest-file-bytes", limit)
    answer = subprocess.run(command, capture_output=True, text=True)
    assert answer.returncode == 2, answer.stderr
    assert answer.stderr.splitlines()[-1].startswith(f"error: {folder.path}/jobs/")
    assert "cannot be written: File too large; what is finished is kept: free some space" in answer.stderr
    assert "Traceback" not in answer.stderr
    assert {path.name: path.read_bytes() for path in (folder.path / "jobs").iterdir()} == before
    resumed = run(tiny_run.tiny_experiment(features, workers=1), reader, folder.path, resume=True)
    assert _same_tables(resumed.path, unbroken.path)


def test_a_full_disk_is_one_clear_message_and_loses_no_finished_job(
    unbroken_tiny_run, tiny_run, tmp_path, monkeypatch, capsys
):
    unbroken, reader, features = unbroken_tiny_run
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("this user may not mount a small disk")
    try:
        folder = _broken_off(unbroken, disk / "run", 2)
        before = {path.name: path.read_bytes() for path in (folder.path / "jobs").iterdir()}
        # Room for a start and less than three more records.
        record_bytes = max(map(len, before.values()))
        room = os.statvfs(disk)
        blocks = room.f_bavail - 3 * -(-record_bytes // room.f_bsize)
        (disk / "filler").write_bytes(bytes(blocks * room.f_bsize))
        # In this process: a new one would have to import and trace everything.
        _, *words = _command(tiny_run, folder.path, features, "--resume", "--workers", "1")
        monkeypatch.setattr(sys, "argv", words)
        monkeypatch.setattr(sys, "path", [*sys.path])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            tiny_run.main()
        assert stopped.value.code == 2
        printed = capsys.readouterr().err
        assert "No space left on device; what is finished is kept: free some space" in printed.splitlines()[-1]
        assert "Traceback" not in printed
        for name, content in before.items():
            assert (folder.path / "jobs" / name).read_bytes() == content
        assert len(folder.finished_jobs()) < tiny_run.N_JOBS
        (disk / "filler").unlink()
        run(tiny_run.tiny_experiment(features, workers=1), reader, folder.path, resume=True)
        assert _same_tables(folder.path, unbroken.path)
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_logs_for_tensorboard_change_nothing(unbroken_tiny_run, tiny_run, tmp_path):
    unbroken, reader, features = unbroken_tiny_run
    folder = _broken_off(unbroken, tmp_path / "run", tiny_run.N_JOBS - 1)
    (last,) = {path.stem for path in (unbroken.path / "jobs").iterdir()} - folder.finished_jobs()
    run(tiny_run.tiny_experiment(features, workers=1, tensorboard=True), reader, folder.path, resume=True)
    assert _same_tables(folder.path, unbroken.path)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (job,) = (folder.path / "tensorboard").iterdir()
    assert job.name == last
    logged = EventAccumulator(str(job / "train")).Reload()
    assert "epoch_loss" in logged.Tags()["tensors"]


@pytest.mark.slow
def test_a_run_killed_twenty_times_ends_with_the_same_tables(unbroken_tiny_run, tiny_run, tmp_path):
    unbroken, _, _ = unbroken_tiny_run
    rng = random.Random(20)

    def started(place):
        place.mkdir(exist_ok=True)
        # Separate features: they are computed again, and interrupted too.
        command = _command(tiny_run, place / "run", place / "features", "--resume")
        return subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)

    before = time.monotonic()
    assert started(tmp_path / "whole").wait() == 0
    seconds = time.monotonic() - before
    n_kills, n_runs, jobs_when_killed = 0, 0, set()
    while n_kills < 20:
        # A run that ended before enough interruptions is followed by another.
        n_runs += 1
        place = tmp_path / str(n_runs)
        code = None
        while code is None:
            process = started(place)
            try:
                code = process.wait(timeout=rng.uniform(0, seconds) if n_kills < 20 else None)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                n_kills += 1
                jobs_when_killed.add(len(list((place / "run" / "jobs").glob("[!.]*.json"))))
        assert code == 0
        assert _same_tables(place / "run", unbroken.path)
    # Before the first job, and in the middle of them.
    assert len(jobs_when_killed) > 1


def test_another_configuration_is_refused_in_a_folder_that_is_being_worked_on(unbroken_tiny_run, tiny_run, tmp_path):
    unbroken, reader, features = unbroken_tiny_run
    folder = _broken_off(unbroken, tmp_path / "run", 2)
    experiment = tiny_run.tiny_experiment(features, workers=1).changed({"training.epochs": 7})
    with pytest.raises(InputError, match=r"another configuration[^:]*:\n  training.epochs: 1 -> 7"):
        run(experiment, reader, folder.path, resume=True)
    assert len(folder.finished_jobs()) == 2
