import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from keras_emotion.experiment import Experiment, Runtime, Training, estimate, prepare, run, runner
from keras_emotion.experiment.origin import Origin
from keras_emotion.pipelines import ConnectivityFeatures
from keras_emotion.schema import InputError
from keras_emotion.systems.comparison_networks import ComparisonNetwork
from keras_emotion.systems.facrnn import FACRNN

TABLES = ("results.csv", "predictions.csv")
# Windows of 2 s; the network that is traced fastest, since each process traces it.
NETWORK = ComparisonNetwork(network="dgcnn", features=ConnectivityFeatures(sample_seconds=2.0, window_seconds=1.0))


def _experiment(folder: Path, workers=1, **fields):
    return Experiment(
        **{
            "name": "test",
            "dataset": "memory",
            "targets": ("valence",),
            "maximum_folds": 3,
            "maximum_repetitions": 1,
            "system": NETWORK,
            "training": Training(epochs=2, learning_rate=3e-3, batch_size=16),
            "runtime": Runtime(workers=workers, feature_store=folder / "features"),
            **fields,
        }
    )


def _tables(folder):
    return {name: (folder.path / name).read_bytes() for name in TABLES}


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory, memory_reader):
    """A run in one process, and its experiment and data."""
    folder = tmp_path_factory.mktemp("unbroken")
    reader = memory_reader(folder)
    return run(_experiment(folder), reader, folder / "run"), reader, folder


def _in_session(session):
    """Ids of the processes of a session that have not ended."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # After the name, which may hold anything: state, parent, group, session.
            state, _, _, of, *_ = path.read_text().rpartition(")")[2].split()
            found |= {int(path.parent.name)} if int(of) == session and state not in "ZX" else set()
    return found


def test_a_killed_run_resumed_by_two_workers_ends_with_the_same_table(unbroken, tmp_path):
    finished, reader, _ = unbroken
    program = f"""
import sys
sys.path[:0] = {[str(Path(__file__).parents[1]), str(Path(__file__).parent)]!r}
from pathlib import Path
from conftest import MemoryReader
from test_runner import _experiment
from keras_emotion.experiment import run
if __name__ == "__main__":
    folder = Path({str(tmp_path)!r})
    run(_experiment(folder), MemoryReader(folder), folder / "run", resume=True)
"""
    script = tmp_path / "script.py"
    script.write_text(program)
    process = subprocess.Popen([sys.executable, script], start_new_session=True, stderr=subprocess.DEVNULL)
    jobs = tmp_path / "run" / "jobs"
    deadline = time.monotonic() + 400  # for a busy machine
    while not list(jobs.glob("[!.]*.json")) and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.05)
    workers = _in_session(process.pid) - {process.pid}
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    # Workers end with their parent process, and do not continue training.
    deadline = time.monotonic() + 5
    while _in_session(process.pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    left = _in_session(process.pid)
    if left:
        os.killpg(process.pid, signal.SIGKILL)
    assert len(workers) >= 2
    assert not left
    n_before = len(list(jobs.glob("[!.]*.json")))
    assert 0 < n_before < 12
    assert not (tmp_path / "run" / "results.csv").exists()
    resumed = run(_experiment(tmp_path, workers=2), reader, tmp_path / "run", resume=True)
    assert _tables(resumed) == _tables(finished)


def test_a_finished_run_started_again_does_nothing(unbroken, monkeypatch):
    finished, reader, folder = unbroken
    monkeypatch.setattr(runner, "run_job", lambda *_: pytest.fail("a job was done again"))
    before = {path: path.stat().st_mtime_ns for path in finished.path.rglob("*")}
    run(_experiment(folder), reader, folder / "run")
    assert {path: path.stat().st_mtime_ns for path in finished.path.rglob("*")} == before


def test_another_configuration_in_the_same_folder_is_refused(unbroken):
    _, reader, folder = unbroken
    with pytest.raises(InputError, match=r"training.epochs: 2 -> 4"):
        run(_experiment(folder, training=Training(epochs=4)), reader, folder / "run", resume=True)


def test_tables_say_which_protocol_subject_and_fold(unbroken):
    results = unbroken[0].results()
    accuracies = results[results["metric"] == "accuracy"]
    assert len(accuracies) == 2 * 2 * 3
    predictions = unbroken[0].predictions()
    # Each window is tested once a repetition, under each protocol: 8 trials of 12 s, two subjects.
    windows = predictions.groupby(["protocol", "subject", "trial", "start_seconds"]).size()
    assert len(windows) == 2 * 2 * 8 * 6
    assert (windows == 1).all()
    sums = predictions[["probability_low", "probability_high"]].sum(axis=1)
    assert sums.between(1 - 1e-5, 1 + 1e-5).all()


def test_the_estimate_counts_what_remains(unbroken):
    finished, reader, folder = unbroken
    plan, _ = prepare(_experiment(folder), reader)
    whole = estimate(plan)
    # Under trial_disjoint 8 trials of two classes give 4 folds, capped at 3; steps: epochs x batches of 16 windows.
    jobs = plan.jobs()[0]
    assert whole.jobs == len(jobs) == 12
    assert whole.training_steps == sum(2 * -(-n_windows // 16) for _, n_windows in jobs)
    assert whole.seconds_per_step > 0
    assert estimate(plan, finished.finished_jobs()).jobs == 0


def test_a_subject_that_cannot_be_divided_is_listed_and_the_others_are_done(tmp_path, memory_reader):
    class Uneven(memory_reader):
        def trials(self, subjects=None):
            for trial in super().trials(subjects):
                if trial.subject == 2:
                    # One trial of the rarer class: training, validation and test would need three.
                    trial.ratings["valence"] = 7.0 if trial.trial == 1 else 3.0
                yield trial

    experiment = _experiment(tmp_path, protocols=("trial_disjoint",))
    folder = run(experiment, Uneven(tmp_path), tmp_path / "run")
    assert folder.predictions()["subject"].unique().tolist() == ["1"]
    (entry,) = folder.summary["not_evaluable"]
    assert (entry["protocol"], entry["target"], entry["subject"]) == ("trial_disjoint", "valence", 2)
    assert "1" in entry["reason"]


def test_an_unknown_target_is_named(tmp_path, memory_reader):
    with pytest.raises(InputError, match="target 'mood' is not a rating of dataset memory; it has valence, arousal"):
        run(_experiment(tmp_path, targets=("mood",)), memory_reader(tmp_path), tmp_path / "run")


@pytest.mark.parametrize(
    ("subjects", "message"),
    [
        (("pool", "b"), "subject 'pool': this name is reserved for all subjects together"),
        (("a\udcff",), r"subject 'a.udcff': has a character that is not valid Unicode"),
        ((1, "1"), "subject 1 and subject '1' are equal in a table of results"),
    ],
)
def test_names_that_cannot_be_used_are_refused_before_anything_is_read(tmp_path, memory_reader, subjects, message):
    reader = memory_reader(tmp_path)
    reader.subjects = subjects
    with pytest.raises(InputError, match=message):
        run(_experiment(tmp_path), reader, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_models_of_the_last_repetition_load_and_know_what_they_are(tmp_path, memory_reader):
    import keras

    runtime = Runtime(workers=1, feature_store=tmp_path / "features", save_models=True)
    system = FACRNN(width_multiplier=0.02)
    experiment = _experiment(tmp_path, protocols=("trial_disjoint",), system=system, runtime=runtime)
    folder = run(experiment, memory_reader(tmp_path, n_subjects=1), tmp_path / "run")
    models = sorted((folder.path / "models").glob("*.keras"))
    assert len(models) == 3
    model = keras.models.load_model(models[0])
    assert model.inference["class_names"] == ["low", "high"]
    assert model.inference["channel_names"][:2] == ["F3", "F4"]
    assert model.inference["parts"]["eeg"]["fields"]["window_seconds"] == 2.0
    # And their training data: all trials except the test trials.
    predictions, plan = folder.predictions(), prepare(experiment, memory_reader(tmp_path, n_subjects=1))[0]
    for fold, file in enumerate(models):
        origin = Origin.read(file.rename(tmp_path / "elsewhere.keras"))
        tested = predictions["fold"] == fold
        assert origin == Origin.of(plan, predictions[~tested])
        assert len(origin.recordings) == 1
        assert not set(origin.trials) & set(Origin.of(plan, predictions[tested]).trials)
