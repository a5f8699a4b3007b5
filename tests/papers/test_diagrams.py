"""Networks as graphs, and their pictures in the documentation."""

from pathlib import Path
from types import SimpleNamespace

import keras
import PIL.Image
import pytest

from keras_emotion import papers, reports
from keras_emotion.layers import ResidualTCN
from keras_emotion.papers import FigureSource, diagrams, facrnn
from keras_emotion.papers.page import network_figure, network_figures
from keras_emotion.reports import Box, draw_graphs, graphs
from keras_emotion.schema import InputError

FOLDER = Path(__file__).parents[2] / "docs" / "figures"
PICTURES = [found for paper in papers.papers().values() for found in network_figures(paper)]


def two_inputs():
    first, second = keras.Input((4, 3), name="first"), keras.Input((5,), name="second")
    x = keras.layers.Flatten(name="flat")(ResidualTCN(6, name="temporal")(first))
    x = keras.layers.Concatenate(name="both")([x, second])
    return keras.Model([first, second], keras.layers.Dense(2, name="head")(x))


def test_boxes_are_the_operations_and_arrows_the_tensors():
    model = two_inputs()
    boxes = {box.name: box for box in diagrams.network_boxes(model)}
    assert {name: list(box.sources) for name, box in boxes.items()} == {
        "first": [],
        "second": [],
        "temporal": ["first"],
        "flat": ["temporal"],
        "both": ["flat", "second"],
        "head": ["both"],
    }
    assert [boxes[name].shapes for name in ("first", "temporal", "both")] == [((4, 3),), ((4, 6),), ((29,),)]
    assert boxes["head"].n_parameters == 29 * 2 + 2
    assert sum(box.n_parameters for box in boxes.values()) == model.count_params()
    assert [name for name, box in boxes.items() if box.is_output] == ["head"]
    # What a layer is made of: together all of its weights.
    assert sum(count for _, _, count in boxes["temporal"].parts) == boxes["temporal"].n_parameters
    assert {name: box.group for name, box in boxes.items() if box.group != "other"} == {
        "first": "input",
        "second": "input",
        "temporal": "convolution",
        "head": "dense",
    }


def chain(*sources_of):
    return [Box(name, "Dense", [(1,)], 1, sources) for name, sources in sources_of]


@pytest.mark.parametrize(
    "boxes",
    [
        chain(("a", ()), ("b", ("a",)), ("c", ("a", "b"))),
        chain(("a", ()), ("b", ()), ("c", ("a",)), ("d", ("b", "c")), ("e", ("d",)), ("f", ("d",)), ("g", ("d",))),
        chain(("a", ()), ("b", ("a",)), ("c", ("a",)), ("d", ("b",)), ("e", ("c",)), ("f", ("d", "e"))),
        chain(("a", ()), ("b", ()), ("c", ("a", "b")), ("d", ("a", "b")), ("e", ("c", "d"))),
    ],
)
def test_a_box_is_below_what_it_reads_and_covers_no_other(boxes):
    places, bottom = graphs._layout(boxes)
    ends = {box.name: places[box.name][1] + box.height for box in boxes}
    for box in boxes:
        assert all(ends[source] < places[box.name][1] for source in box.sources)
        for other in boxes:
            lanes_apart = abs(places[box.name][0] - places[other.name][0])
            above, below = sorted((box, other), key=lambda one: places[one.name][1])
            assert box is other or lanes_apart >= 1 or ends[above.name] <= places[below.name][1]
    assert max(ends.values()) <= bottom


def test_the_text_of_a_box_is_within_it():
    boxes = list(diagrams.network_boxes(two_inputs()))
    drawn = draw_graphs({"one": boxes, "two": boxes}, "figure1", "two networks", "how to read it")
    figure = drawn.figure
    for axes in figure.axes:
        frames = [patch.get_window_extent() for patch in axes.patches]
        for text in axes.texts:
            extent = text.get_window_extent()
            if text.get_text():
                assert any(
                    frame.x0 <= extent.x0 and extent.x1 <= frame.x1 and frame.y0 - 1 <= extent.y0 for frame in frames
                ), text.get_text()


def test_networks_that_are_trained_apart_are_not_drawn():
    one = papers.find_reproduction("deap_deepvanet")
    wanted = one.presets["paper"].changed({"system.fusion": "decision"})
    with pytest.raises(InputError, match="has several networks; expected a single one"):
        one.drawn_figures["1"].draw(FigureSource("1", wanted))


def test_a_layer_in_inference_mode_is_drawn_as_what_it_is():
    boxes = {box.name: box for box in diagrams.network_boxes(diagrams.trained_network(_mercl()))}
    assert boxes["eeg_tcn"].kind == "ResidualTCN"
    assert boxes["eeg_tcn"].group == "convolution"


def _mercl():
    return papers.find_reproduction("deap_mercl").presets["demo"]


def test_the_network_has_the_shapes_of_the_papers_windows():
    boxes = {box.name: box for box in diagrams.network_boxes(diagrams.trained_network(facrnn.DEAP.presets["paper"]))}
    # Section 2.2: T slices of 9 x 9 cells and four bands, two LSTM layers of 128 units.
    assert boxes["eeg"].shapes == ((4, 9, 9, 4),)
    assert boxes["recurrent_2"].shapes == ((4, 128),)


def test_the_documentation_has_the_pictures_of_all_networks():
    assert {path.name for path in FOLDER.glob("*_figure*.png")} == {name for name, _, _ in PICTURES}
    assert {name for name, _, number in PICTURES if number == "1"} == {
        f"{paper}_figure1.png" for paper in ("3facrnn", "deepvanet", "prior_dfcn", "mercl", "hlstm")
    }
    assert max(path.stat().st_size for path in FOLDER.glob("*.png")) < 150_000


@pytest.mark.parametrize(
    ("name", "one", "number"), [found for found in PICTURES if found[2] == "1"], ids=lambda value: str(value)[:20]
)
def test_a_picture_shows_the_network_as_it_is_built(name, one, number, monkeypatch):
    # What is in a picture is compared, not how it is painted.
    monkeypatch.setattr(reports, "draw_graphs", lambda *_: SimpleNamespace(png=b""))
    with PIL.Image.open(FOLDER / name) as image:
        said = image.info["Source"]
    expected, _ = network_figure(one, number)
    assert said == expected, "draw it again: python -m keras_emotion.papers.page --figures docs/figures"
