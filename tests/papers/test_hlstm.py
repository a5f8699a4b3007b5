"""Figures of the hierarchical LSTM's paper: what their variants change, and the methods on the same segments."""

import numpy as np
import pytest

from keras_emotion.faces.detection import LANDMARKER_VARIABLE
from keras_emotion.papers import hlstm, models
from keras_emotion.reports import paper_numbers
from keras_emotion.schema import InputError
from keras_emotion.systems import NetworkSystem

ALL = (hlstm.DEAP, hlstm.MAHNOB_HCI)
CHANGED = {
    "5": {f"L = {n}": {"n_levels": n} for n in range(1, 6)},
    "6": {"Hierarchical attention": {"level_attention": True}, "Common stacked LSTM": {"level_attention": False}},
    "7": {"With penalty": {"penalty_weight": 1.0}, "Without penalty": {"penalty_weight": 0.0}},
}


@pytest.fixture(autouse=True)
def landmarker(monkeypatch, tmp_path):
    file = tmp_path / "face_landmarker.task"
    file.write_bytes(b"a network")
    monkeypatch.setenv(LANDMARKER_VARIABLE, str(file))


@pytest.mark.parametrize("number", CHANGED)
@pytest.mark.parametrize("one", ALL, ids=lambda one: one.name)
def test_variants_differ_in_what_their_names_say(one, number):
    figure = one.compared_figures[number]
    assert figure.metric == "accuracy"
    assert list(figure.methods) == list(CHANGED[number])
    assert figure.reference == {"5": "L = 3"}.get(number)
    # Whatever was asked for.
    for asked in ({}, {"system.level_attention": False}, {"system.penalty_weight": 0.5}):
        experiment = one.presets["demo"].changed(asked)
        rows = {line: method(experiment).system for line, method in figure.methods.items()}
        first, *others = rows.values()
        for line, system in rows.items():
            for name, value in CHANGED[number][line].items():
                assert getattr(system, name) == value
        for other in others:
            differing = {name for name in type(first).model_fields if getattr(first, name) != getattr(other, name)}
            assert differing == set().union(*CHANGED[number].values())
        assert len({method(experiment).identity() for method in figure.methods.values()}) == len(rows)


@pytest.mark.parametrize("number", CHANGED)
def test_variants_are_called_as_their_bars(number):
    paper = hlstm.DEAP.presets["paper"]
    called = [method(paper).paper_variant for method in hlstm.FIGURES[number].methods.values()]
    # The first bar of Fig. 6 and 7 is the network of the paper.
    assert called == (list(CHANGED["5"]) if number == "5" else [None, list(CHANGED[number])[1]])


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"system.n_levels": 1}, "Common stacked LSTM"),
        ({"system.level_attention": False, "system.penalty_weight": 0.0}, "Common stacked LSTM"),
        ({"system.modalities": ("eeg",)}, "eeg alone"),
        ({"system.modalities": ("face",), "system.level_attention": False}, "face alone, Common stacked LSTM"),
    ],
)
def test_other_variants_have_names(changes, name):
    assert hlstm.DEAP.presets["paper"].changed(changes).paper_variant == name


def test_levels_are_compared_on_the_image_without_attention_and_without_a_policy():
    for method in hlstm.FIGURES["5"].methods.values():
        system = method(hlstm.DEAP.presets["paper"]).system
        assert (system.modalities, system.level_attention, system.looking) == (("face",), False, "uniform")
    assert {variant.system.n_levels for variant in hlstm.DEAP.presets.values()} == {3}


@pytest.mark.parametrize("one", ALL, ids=lambda one: one.name)
def test_methods_have_the_segments_and_faces_of_the_network(one):
    experiment = one.presets["paper"].changed({"system.images.window_seconds": 4.0, "system.faces.image_size": 48})
    for number, metric in (("8", "accuracy"), ("9", "f1")):
        figure = one.compared_figures[number]
        assert figure.metric == metric
        assert list(figure.methods) == ["Proposed model", "Ref [20]", "Ref [21]", "Ref [22]"]
        rows = {line: method(experiment) for line, method in figure.methods.items()}
        proposed = rows.pop("Proposed model").system
        faces = proposed.parts()["face"]
        for line, row in rows.items():
            assert row.paper_variant == line
            assert row.protocols == experiment.protocols
            windowing = row.system.windowing
            assert (windowing.window_seconds, windowing.hop_seconds) == (4.0, None)
            np.testing.assert_array_equal(windowing.starts(60.0), proposed.windowing.starts(60.0))
            # Crops that are stored already are used again.
            own = row.system.parts().get("faces")
            assert own is None if line == "Ref [21]" else own.key() == faces.key()


def test_quantities_of_the_face_need_the_face_landmarker(monkeypatch):
    monkeypatch.delenv(LANDMARKER_VARIABLE)
    with pytest.raises(InputError, match=f"Ref \\[21\\] needs facial features.*set {LANDMARKER_VARIABLE}"):
        hlstm.FIGURES["8"].methods["Ref [21]"](hlstm.DEAP.presets["demo"])


def test_printed_numbers_name_bars_of_their_figure():
    numbers = paper_numbers(hlstm.PRINTED_NUMBERS)
    for table, rows in numbers.groupby("table"):
        methods = hlstm.FIGURES[table.removeprefix("figure ")].methods
        assert set(rows["variant"]) <= set(methods)


def test_the_paper_preset_is_as_printed():
    paper = hlstm.DEAP.presets["paper"]
    assert (paper.training.epochs, paper.training.batch_size, paper.training.learning_rate) == (100, 12, 1e-4)
    assert paper.protocols == ("as_published_hlstm", "trial_disjoint")
    assert paper.subjects == tuple(range(1, 23))
    system = paper.system
    assert (system.baseline, system.dropout, system.n_looks, system.n_levels) == ("none", 0.6, 40, 3)
    shapes = {name: shape for part in system.parts().values() for name, shape in part.array_shapes(32, 128.0).items()}
    assert shapes["eeg"][0] == shapes["faces"][0] == 40
    assert hlstm.DEAP.presets["converged"].system.baseline == "learned"


def test_models():
    names = {"hlstm", "face_network_eeg_svm", "face_eeg_lstm", "mind_reader"}
    assert set(hlstm.PAPER.models) == names <= set(models())
    for name in names:
        presets = models()[name]({"name": name, "dataset": "recordings", "targets": ("valence",)})
        # Of methods that scikit-learn fits there are no epochs to shorten.
        is_network = isinstance(presets["paper"].system, NetworkSystem)
        assert (presets["paper"].training != presets["demo"].training) == is_network
