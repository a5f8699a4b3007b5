"""DeepVANet's Table 2, Fig. 2 and grid of feature sizes, and the pre-training of its face network."""

import pytest

from keras_emotion.evaluation import PROTOCOLS
from keras_emotion.papers import deepvanet, find_reproduction
from keras_emotion.papers.registry import PRESETS
from keras_emotion.reports import paper_numbers
from keras_emotion.schema import InputError

BOTH = (deepvanet.DEAP, deepvanet.MAHNOB_HCI)
QUOTED = {
    "deap": {
        "Siddharth et al. [28], inter-subject": (79.52, 78.34),
        "Tang et al. [30], inter-subject": (83.82, 83.23),
        "Koelstra et al. [17], per-subject": (62.70, 62.00),
        "Huang et al. [12], per-subject": (80.30, 74.23),
        "Liu et al. [22], per-subject": (85.20, 80.50),
        "Alhagry et al. [1], per-subject": (85.65, 85.45),
        "Yang et al. [36], per-subject": (90.80, 91.03),
        "Anubhav et al. [2], per-subject": (94.69, 93.13),
    },
    "mahnob_hci": {
        "Soleymani et al. [29], inter-subject": (57.00, 52.40),
        "Wiem and Lachiri [33], inter-subject": (68.75, 64.23),
        "Siddharth et al. [28], inter-subject": (85.49, 82.93),
        "Koelstra et al. [18], per-subject": (74.00, 70.00),
        "Huang et al. [12], per-subject": (75.21, 75.63),
    },
}
OWN = {
    "deap": {"inter-subject": (95.56, 95.33), "per-subject": (98.56, 98.18)},
    "mahnob_hci": {"inter-subject": (96.82, 97.79), "per-subject": (99.19, 99.22)},
}
"""Valence and arousal of each line of Table 2, copied by hand."""


@pytest.mark.parametrize("dataset", OWN)
def test_each_number_of_table_2_is_there(dataset):
    numbers = paper_numbers(deepvanet.PRINTED_NUMBERS, dataset=dataset, table=2)
    found = {
        variant: tuple(rows.set_index("target")["value"][["valence", "arousal"]])
        for variant, rows in numbers.groupby("variant")
    }
    assert found == {**OWN[dataset], **QUOTED[dataset]}
    assert set(numbers["metric"]) == {"accuracy"}
    is_quoted = numbers["note"].str.contains("quoted")
    assert set(numbers.loc[is_quoted, "variant"]) == set(QUOTED[dataset])


@pytest.mark.parametrize("one", BOTH, ids=lambda one: one.name)
def test_settings_are_evaluated_as_published_and_on_what_they_keep_apart(one):
    # Whatever was asked for.
    experiment = one.presets["demo"].changed({"protocols": ("window_disjoint",)})
    rows = {line: method(experiment) for line, method in one.tables["2"].items()}
    assert {line: row.paper_variant for line, row in rows.items()} == {line: line for line in OWN["deap"]}
    for line, scope in (("per-subject", "within_subject"), ("inter-subject", "across_subjects")):
        published, honest = (PROTOCOLS[name] for name in rows[line].protocols)
        assert (published.scope, published.setting.startswith("deepvanet")) == (scope, True)
        assert honest.scope == scope
        assert not honest.flags
    assert not set(rows["per-subject"].protocols) & set(rows["inter-subject"].protocols)
    # Of three subjects one can be left out with another one to choose the epoch.
    assert len(experiment.subjects) == one.demo.options["n_subjects"] == 3


@pytest.mark.parametrize("one", BOTH, ids=lambda one: one.name)
def test_the_grid_has_all_sizes_and_starts_with_the_chosen_ones(one):
    experiment = one.presets["paper"]
    rows = {line: method(experiment) for line, method in one.tables["lambda"].items()}
    assert len(rows) == len({row.identity() for row in rows.values()}) == 25
    (first, chosen), *_ = rows.items()
    assert (first, chosen.identity()) == ("lambda_1 = 16, lambda_2 = 64", experiment.identity())
    for line, row in rows.items():
        assert line == f"lambda_1 = {row.system.face_units}, lambda_2 = {row.system.bio_units}"
    sizes = {16, 32, 64, 128, 256}
    assert {row.system.face_units for row in rows.values()} == {row.system.bio_units for row in rows.values()} == sizes


@pytest.mark.parametrize("modalities", ["faces", "bio"])
def test_the_grid_needs_both_modalities(modalities):
    asked = deepvanet.DEAP.presets["demo"].changed({"system.modalities": modalities})
    with pytest.raises(InputError, match=f"--table lambda: .*--modalities {modalities} has one of them; leave it out"):
        deepvanet.DEAP.tables["lambda"]["lambda_1 = 16, lambda_2 = 16"](asked)


@pytest.mark.parametrize("asked", [{}, {"system.modalities": "bio", "system.bio.channels": "eeg"}])
def test_bars_of_fig_2_are_what_they_are_called(asked):
    figure = deepvanet.DEAP.compared_figures["2"]
    assert (figure.metric, figure.reference) == ("accuracy", "Feature-level fusion")
    experiment = deepvanet.DEAP.presets["demo"].changed(asked)
    rows = {line: method(experiment) for line, method in figure.methods.items()}
    assert len({row.identity() for row in rows.values()}) == 6
    called = {line: row.system.paper_variant for line, row in rows.items()}
    assert called == {**{line: line for line in rows}, "Feature-level fusion": None}
    assert {row.protocols for row in rows.values()} == {experiment.protocols}
    parts = {line: list(row.system.parts()) for line, row in rows.items()}
    assert parts.pop("Face") == ["faces"]
    for line, names in parts.items():
        assert names == (["bio", "faces"] if line.endswith("fusion") else ["bio"])


def test_the_text_has_the_number_of_one_bar_of_fig_2():
    numbers = paper_numbers(deepvanet.PRINTED_NUMBERS, table="figure 2")
    assert numbers[["dataset", "variant", "target", "value"]].values.tolist() == [
        ["deap", "Feature-level fusion", "valence", 98.56],
        ["deap", "Feature-level fusion", "arousal", 98.18],
    ]
    assert set(numbers["variant"]) <= set(deepvanet.ABLATION.methods)


@pytest.mark.parametrize("name", PRESETS)
def test_the_face_network_is_pre_trained_as_wide_as_it_is_used(name):
    for one in BOTH:
        lines = one.presets[name].system.unlike_the_paper()
        assert "face network trained from scratch; in the paper pre-trained on AFEW-VA" in lines
        before = find_reproduction(one.pretraining.reproduction).presets[name]
        assert before.system.width_multiplier == one.presets[name].system.width_multiplier
        assert before.system.faces.image_size == one.presets[name].system.faces.image_size
