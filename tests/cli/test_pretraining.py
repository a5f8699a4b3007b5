"""What `--pretraining-data` trains before a run, and where it is kept."""

import dataclasses
import io
from pathlib import Path

import pytest
import rich.console

from keras_emotion.cli import pretraining
from keras_emotion.cli.pretraining import with_pretraining
from keras_emotion.cli.request import Request, RunOptions
from keras_emotion.papers import find_reproduction
from keras_emotion.schema import InputError
from keras_emotion.synthetic import write_afew_va


@pytest.fixture
def trained(monkeypatch):
    """Networks are files without content; what was to be trained is noted."""
    calls = []

    def train(one, wanted, root, folder, *, verify):
        calls.append((one.name, wanted, root, verify))
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ("network.keras" if one.command == "pretrain" else "teacher")).write_bytes(b"")

    monkeypatch.setattr(pretraining, "_train", train)
    return calls


def request_of(name, tmp_path, changes=(), **options):
    reproduction = find_reproduction(name)
    wanted = reproduction.presets["demo"].changed(dict(changes))
    options = RunOptions(output=tmp_path / "run", preset="demo", **options)
    return Request(reproduction, options, wanted, dataset=None)


def with_printed(request):
    console = rich.console.Console(file=io.StringIO(), width=80)
    return with_pretraining(request, console), console.file.getvalue()


def test_without_data_nothing_is_trained(tmp_path, trained):
    request = request_of("deap_deepvanet", tmp_path)
    assert with_printed(request) == (request, "")
    assert not trained


@pytest.mark.parametrize("name", ["deap_deepvanet", "mahnob_deepvanet"])
def test_the_face_network_is_trained_as_wide_as_it_was_asked_for(tmp_path, trained, name):
    request = request_of(
        name, tmp_path, {"system.width_multiplier": 0.5, "runtime.workers": 3}, pretraining_data=tmp_path
    )
    started, text = with_printed(request)
    ((trainer, wanted, root, verify),) = trained
    assert (trainer, root, verify) == ("afew_va_deepvanet", tmp_path, False)
    assert (wanted.system.width_multiplier, wanted.runtime.workers, wanted.training.epochs) == (0.5, 3, 20)
    network = started.experiment.system.face_weights
    assert network.name == "network.keras"
    assert network.parent.parent == tmp_path
    assert text == f"pre-training: afew_va_deepvanet on {tmp_path}: {network}\n"
    assert not any("scratch" in line for line in started.experiment.system.unlike_the_paper())


def test_what_trains_one_network_leaves_it_in_the_folder(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(pretraining.experiment, "pretrain", lambda *given, verify: calls.append((*given, verify)))
    write_afew_va(tmp_path / "afew_va", n_clips=2, n_actors=2, frames_per_clip=1, frame_size=(96, 80))
    request = request_of("deap_deepvanet", tmp_path, pretraining_data=tmp_path / "afew_va", verify=True)
    network = with_printed(request)[0].experiment.system.face_weights
    ((wanted, dataset, folder, verify),) = calls
    assert (wanted.name, dataset.name, dataset.root) == ("afew_va_deepvanet", "afew_va", tmp_path / "afew_va")
    assert (folder / "network.keras", verify) == (network, True)
    with pytest.raises(InputError, match="nowhere: no such folder"):
        with_printed(request_of("deap_deepvanet", tmp_path, pretraining_data=tmp_path / "nowhere"))


def test_runs_share_a_network_of_the_same_data_and_width(tmp_path, trained):
    def network(name, data=tmp_path, **changes):
        request = request_of(name, tmp_path, changes, pretraining_data=data)
        return with_printed(request)[0].experiment.system.face_weights

    first = network("deap_deepvanet")
    assert first == network("mahnob_deepvanet") == network("deap_deepvanet", tmp_path / "." / "x" / "..")
    assert first != network("deap_deepvanet", tmp_path / "other")
    assert first != network("deap_deepvanet", **{"system.width_multiplier": 0.5})


def test_the_visual_teacher_is_trained_on_affectnet_first(tmp_path, trained):
    changes = {"targets": ("valence",), "system.padding": "same", "system.faces.image_size": 36}
    request = request_of("afew_va_visual", tmp_path, changes, pretraining_data=tmp_path)
    started, _ = with_printed(request)
    ((trainer, wanted, *_),) = trained
    assert (trainer, wanted.targets, wanted.system.padding) == ("affectnet_visual", ("valence",), "same")
    assert (wanted.system.faces.image_size, wanted.system.faces.hop_seconds) == (36, None)
    assert started.experiment.system.initial_weights.name == "teacher"
    assert not any("alone" in line for line in started.experiment.system.unlike_the_paper())


def test_a_dry_run_trains_nothing(tmp_path, trained):
    request = request_of("deap_deepvanet", tmp_path, pretraining_data=tmp_path, dry_run=True)
    same, text = with_printed(request)
    assert same is request
    assert not trained
    assert "afew_va_deepvanet on" in text
    assert "comes first; its time is not part of the estimate" in text
    # Once it is there, the estimate is of what follows.
    asked = dataclasses.replace(request, options=dataclasses.replace(request.options, dry_run=False))
    network = with_printed(asked)[0].experiment.system.face_weights
    assert with_printed(request)[0].experiment.system.face_weights == network


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("deap_3facrnn", {}, "--pretraining-data .*: deap_3facrnn has no pre-training; leave it out"),
        ("deap_deepvanet", {"system.face_weights": Path("x.keras")}, "--system.face-weights gives a network as well"),
        ("afew_va_visual", {"system.initial_weights": Path("x")}, "--system.initial-weights gives a network as well"),
    ],
)
def test_data_that_nothing_is_trained_on_are_refused(tmp_path, trained, name, changes, message):
    with pytest.raises(InputError, match=message):
        with_printed(request_of(name, tmp_path, changes, pretraining_data=tmp_path))
    assert not trained
