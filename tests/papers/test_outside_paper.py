"""The toy paper of the documentation, which lies outside of the package, is used as any other."""

import contextlib
import io
import json
import os
import runpy
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from keras_emotion import cli, datasets
from tests.training import without_graphs

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
RUN = "run --register toy_paper --model toy_look --dataset toy --data-root data --target valence --preset demo"
RUN += " --workers 1 --subjects 1"

COMMANDS = """
import json, sys
from keras_emotion import cli
for line in sys.stdin:
    try:
        code = cli.main(json.loads(line))
    except SystemExit as end:
        code = end.code
    print(f"\\ncode {code}", flush=True)
"""


@contextlib.contextmanager
def command_line(folder, **variables):
    """A new process, and a function that has it carry out a command: what that printed, and its exit code."""
    root = EXAMPLES.parents[1]
    with subprocess.Popen(
        [sys.executable, "-c", COMMANDS],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(EXAMPLES), str(root), os.environ["PYTHONPATH"]]),
            **variables,
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:

        def run_choice(command):
            process.stdin.write(json.dumps(command.split()) + "\n")
            process.stdin.flush()
            lines = []
            for line in process.stdout:
                if line.startswith("code "):
                    return "".join(lines), line.split()[1]
                lines.append(line)
            raise AssertionError(f"{command}: the process ended\n{''.join(lines)}")

        yield run_choice
        process.stdin.close()
        assert not process.stdout.read()


@pytest.fixture(scope="module")
def registered(folder, searched):
    """Carries out commands that register the toy paper."""
    with searched(EXAMPLES), pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)

        def run_choice(command):
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
                try:
                    code = cli.main(command.split())
                except SystemExit as end:
                    code = end.code
            return printed.getvalue(), str(code)

        yield run_choice


@pytest.fixture(scope="module")
def another_process(folder):
    """Carries out commands in another process, on Keras's JAX backend where there is one."""
    with command_line(folder, **({"KERAS_BACKEND": "jax"} if find_spec("jax") else {})) as run_choice:
        yield run_choice


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy")
    with pytest.MonkeyPatch.context() as patch:
        # The file is run for its writer: only `--register` may make its reader known.
        patch.setattr(datasets, "register_reader", lambda reader: reader)
        write_toy = runpy.run_path(str(EXAMPLES / "toy_dataset.py"))["write_toy"]
    write_toy(folder / "data", n_subjects=1)
    return folder


@pytest.fixture(scope="module")
def printed(registered):
    """What was printed by each command on the toy paper, in order."""
    commands = {
        "describe": "describe data --dataset toy --brief --register toy_paper",
        "dry run": f"{RUN} --output run --dry-run",
        "run": f"{RUN} --output run --save-models",
        "finished": f"{RUN} --output run --save-models",
    }
    printed = {name: registered(command) for name, command in commands.items()}
    # The run was trained with graphs.
    with without_graphs():
        audit = "audit run --register toy_paper --light-permutations 2 --permutations 1"
        return {**printed, "audit": registered(audit)}


def test_each_command_ends_well(folder, printed):
    assert {name: code for name, (_, code) in printed.items()} == dict.fromkeys(printed, "0")
    assert "the copy is complete" in printed["describe"][0]
    assert "3 jobs to do" in printed["dry run"][0]
    assert "accuracy" not in printed["finished"][0].split("TOY")[0]
    findings = json.loads((folder / "run" / "audit" / "findings.json").read_text())
    # Two shuffles of eight ratings are too few, and the training windows of a canary may have one class.
    assert {finding["kind"] for finding in findings["findings"]} <= {"score on shuffled labels", "not checkable"}


def test_both_stages_are_in_the_records(folder, printed):
    records = [json.loads(file.read_text()) for file in (folder / "run" / "jobs").iterdir()]
    assert len(records) == 3
    for record in records:
        first, *_ = record["stages"]
        assert first["name"] == "pretraining"
    predictions = pd.read_csv(folder / "run" / "predictions.csv")
    assert set(predictions["dataset"]) == {"toy"}
    np.testing.assert_allclose(predictions.filter(like="probability").sum(axis=1), 1, atol=1e-5)


def test_a_run_that_was_broken_off_is_resumed_with_the_same_numbers(folder, printed, registered):
    broken = shutil.copytree(folder / "run", folder / "broken")
    for name in ("finished.json", "results.csv", "predictions.csv"):
        (broken / name).unlink()
    next((broken / "jobs").iterdir()).unlink()
    text, code = registered(f"{RUN} --output broken --save-models --resume")
    assert code == "0", text
    for name in ("results.csv", "predictions.csv"):
        assert (broken / name).read_text() == (folder / "run" / name).read_text()


@pytest.fixture(scope="module")
def model_and_recording(folder, printed):
    """A network of the run, and the EEG of its first two trials; relative to the folder."""
    with np.load(folder / "data" / "subject1.npz") as file:
        signal = np.concatenate(file["signal"][:2], axis=1)
    np.save(folder / "new.npy", signal)
    names = ["F3", "F4", "C3", "C4", "P3", "P4", "O1", "O2"]
    sidecar = {"sampling_rate_hz": 128, "channel_names": names, "unit": "uV", "axes": ["channels", "samples"]}
    (folder / "new.json").write_text(json.dumps(sidecar))
    return f"run/models/{next((folder / 'run' / 'models').iterdir()).name} new.npy"


@pytest.fixture(scope="module")
def unregistered(another_process, model_and_recording):
    """What commands say in a process that has not registered the toy paper, by what they lack."""
    commands = {
        "--register": f"predict {model_and_recording} --output prediction",
        "no_such_module": "run --register no_such_module --model toy_look",
        "--dataset toy: unknown dataset": "describe data --dataset toy",
        "toy_look": "run --model toy_look --dataset deap --data-root data --target valence",
    }
    return {lacking: another_process(command) for lacking, command in commands.items()}


def test_what_is_not_registered_is_said_in_one_line(unregistered):
    # A model never names a module to import: what is not registered is not loaded, and the message says what to do.
    for lacking, (text, code) in unregistered.items():
        assert code != "0"
        assert lacking in text
        assert "Traceback" not in text


def test_folds_are_trained_at_once(folder, printed, unregistered, another_process):
    pytest.importorskip("jax")
    # It is registered there from now on.
    text, code = another_process(f"{RUN} --output at_once --engine vectorized")
    assert code == "0", text
    there = [pd.read_csv(folder / name / "predictions.csv") for name in ("at_once", "run")]
    keys = ["protocol", "subject", "trial", "fold", "start_seconds", "label"]
    pd.testing.assert_frame_equal(there[0][keys], there[1][keys])


def test_a_saved_model_is_applied_to_a_recording_of_eeg_alone(folder, model_and_recording, registered):
    text, code = registered(f"predict {model_and_recording} --output prediction --register toy_paper")
    assert code == "0", text
    prediction = pd.read_csv(folder / "prediction" / "prediction.csv")
    assert len(prediction) == 4
