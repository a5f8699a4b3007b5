"""Folds trained at once and one by one, on Keras's JAX backend.

Usage: `KERAS_BACKEND=jax python folds_at_once.py FOLDER cases` (or `slow_cases`, `runs`). Writes what came out to
`told.json` there. Without the ending that pytest collects; a program, because a process has one backend.
"""

import json
import sys
from pathlib import Path

from keras_emotion.audit import audit
from keras_emotion.experiment import Experiment, estimate, prepare, run, training, vectorized
from keras_emotion.pipelines import EEGImages, RawSignals
from keras_emotion.systems.comparison_networks import ComparisonNetwork
from keras_emotion.systems.facrnn import FACRNN
from keras_emotion.systems.hlstm import HLSTMSystem


def cases(folder: Path):
    """Name, experiment and reader of each."""
    from conftest import MemoryReader
    from test_teacher import TEACHING, MemoryTrials
    from test_teacher import experiment as taught_experiment
    from tiny_run import tiny_experiment

    reader = MemoryReader(folder, n_subjects=1)
    # What is chosen by is no matter of the network, and any one diverges at that rate: the one that is traced fastest.
    fast = tiny_experiment(folder / "features", workers=1).changed({"training.epochs": 3, "training.batch_size": 5})
    each_epoch = fast.changed({"training.restore_best": "each_epoch"})
    # An effect so weak that the best epoch is not the last one in all folds.
    weak = MemoryReader(folder, n_subjects=2, effect=0.2)
    yield "chosen_by_loss", each_epoch, weak
    yield "diverging", fast.changed({"training.learning_rate": 1e30}), reader
    yield "chosen_by_accuracy", fast.changed({"protocols": ("as_published",)}), weak
    fields = {name: getattr(fast, name) for name in Experiment.model_fields}
    # Dropout, batch normalisation, depthwise and separable convolutions.
    eegnet = ComparisonNetwork(network="eegnet", raw=RawSignals(channels="eeg", window_seconds=2.0))
    yield "eegnet", Experiment(**{**fields, "system": eegnet}), MemoryReader(folder, n_subjects=1, seconds=4)
    # Two networks of each fold, of which the second reads what the first gives. Two epochs, so that there is one to
    # choose.
    teaching = TEACHING.changed({"epochs": 2})
    taught = taught_experiment(folder, teacher="fold", teacher_training=teaching)
    yield "with_teacher", taught.changed({"protocols": ("trial_disjoint",)}), MemoryTrials(folder)


def slow_cases(folder: Path):
    """As `cases`: a network that takes long to compile, with a loop, draws of a policy in it, and a loss of its own."""
    from conftest import MemoryReader
    from tiny_run import tiny_experiment

    system = HLSTMSystem(
        images=EEGImages(window_seconds=1.0, frame_rate_hz=8.0),
        modalities=("eeg",),
        **{"image_size": 8, "n_looks": 4, "n_rollouts": 2, "units": 6, "width": 6, "filters": (2,)},
    )
    yield "hlstm", tiny_experiment(folder / "features", system, workers=1), MemoryReader(folder, n_subjects=1)


def both_ways(cases) -> dict:
    """The records of both ways for each case."""
    told = {}
    for name, experiment, reader in cases:
        plan, _ = prepare(experiment, reader)
        jobs = [job for job, _ in plan.jobs()[0]]
        told[name] = {
            "one_by_one": [training.run_job(plan, job) for job in jobs],
            "at_once": vectorized.run_jobs([(plan, job) for job in jobs]),
        }
    return told


def whole_run(folder: Path, engine: str) -> dict:
    """A resumed run, its audit, and its estimated cost."""
    from conftest import MemoryReader
    from tiny_run import tiny_experiment

    runtime = {"runtime.engine": engine, "runtime.folds_at_once": 2, "runtime.workers": 1}
    experiment = tiny_experiment(folder / "features", FACRNN(width_multiplier=0.05)).changed(runtime)
    reader, output = MemoryReader(folder), folder / engine
    cost = estimate(prepare(experiment, reader)[0])
    run(experiment, reader, output)
    (output / "results.csv").unlink()
    next(iter(sorted((output / "jobs").iterdir()))).unlink()
    finished = run(experiment, reader, output, resume=True)
    audited = audit(experiment, reader, folder / f"{engine}_audit", n_light_permutations=1, n_permutations=1)
    return {
        "results": finished.results().to_csv(index=False),
        "scores": audited.scores.to_csv(index=False),
        "n_jobs": cost.jobs,
        "hours": cost.hours,
    }


def main() -> None:
    folder = Path(sys.argv[1])
    sys.path.insert(0, str(Path(__file__).parents[1]))
    cases_of = {"cases": cases, "slow_cases": slow_cases}
    if sys.argv[2] in cases_of:
        told = both_ways(cases_of[sys.argv[2]](folder))
    else:
        told = {engine: whole_run(folder, engine) for engine in ("processes", "vectorized")}
    (folder / "told.json").write_text(json.dumps(told))


if __name__ == "__main__":
    main()
