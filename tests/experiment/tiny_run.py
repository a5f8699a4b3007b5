"""A small run as a program: to be killed, to be started twice at once, and to be run with too little space.

Without the ending that pytest collects; the tests load it by its path.
"""

import argparse
import os
import resource
import sys
from pathlib import Path

from keras_emotion.cli.exits import with_exit_codes
from keras_emotion.experiment import Experiment, Runtime, Training, run
from keras_emotion.pipelines import ConnectivityFeatures
from keras_emotion.systems.comparison_networks import ComparisonNetwork

N_JOBS = 6
"""Two subjects, three folds."""

NETWORK = ComparisonNetwork(network="dgcnn", features=ConnectivityFeatures(sample_seconds=2.0, window_seconds=1.0))
"""The network that is traced fastest: each process traces it."""


def tiny_experiment(feature_store: Path, system=NETWORK, **runtime) -> Experiment:
    """Seconds of training on the reader of `conftest.py`."""
    return Experiment(
        name="tiny",
        dataset="memory",
        targets=("valence",),
        protocols=("trial_disjoint",),
        maximum_folds=3,
        maximum_repetitions=1,
        system=system,
        training=Training(epochs=1, learning_rate=3e-3, batch_size=16),
        runtime=Runtime(feature_store=feature_store, **runtime),
    )


def _in_forks(n_processes: int, output: Path) -> None:
    """Continue in forks of this process, each with a file for its standard error; this one ends after them.

    Keras is imported before: this takes longer than the run.
    """
    import keras  # noqa: F401

    processes = []
    for number in range(n_processes):
        process = os.fork()
        if not process:
            os.dup2(os.open(f"{output}-{number}.txt", os.O_WRONLY | os.O_CREAT), sys.stderr.fileno())
            return
        processes.append(process)
    codes = [os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) for process in processes]
    raise SystemExit(0 if not any(codes) else f"exit codes {codes}")


@with_exit_codes
def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("output", type=Path)
    parser.add_argument("features", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--largest-file-bytes", type=int)
    parser.add_argument("--processes", type=int, default=1)
    options = parser.parse_args()
    if options.largest_file_bytes:
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (options.largest_file_bytes, hard))
    if options.processes > 1:
        _in_forks(options.processes, options.output)
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from conftest import MemoryReader

    reader = MemoryReader(options.features.parent)
    run(tiny_experiment(options.features, workers=options.workers), reader, options.output, resume=options.resume)


if __name__ == "__main__":
    main()
