"""MERCL's tables, and whom its reproductions take."""

import pandas as pd
import pytest

from keras_emotion.cli.items import _other_datasets
from keras_emotion.cli.request import choose, parse_request
from keras_emotion.datasets import DEAP, Recordings, with_stimuli
from keras_emotion.papers import Item, mercl, models
from keras_emotion.reports import paper_numbers
from keras_emotion.schema import InputError
from keras_emotion.synthetic import write_deap

ALL = (mercl.DEAP, mercl.SEED, mercl.RECORDINGS)


@pytest.fixture(scope="module")
def deap(tmp_path_factory):
    return write_deap(tmp_path_factory.mktemp("deap"), subjects=(2, 3, 5, 8), n_trials=1)


def questionnaire(deap, tmp_path, text):
    """A copy of the folder, by links, with a questionnaire."""
    copy = tmp_path / "copy"
    (copy / "metadata_csv").mkdir(parents=True)
    (copy / "data_preprocessed_python").symlink_to(deap / "data_preprocessed_python")
    (copy / "metadata_csv" / "participant_questionnaire.csv").write_bytes(text.encode())
    return DEAP(copy)


def test_each_table_of_the_paper_is_there():
    assert {one.name: "".join(one.tables) for one in ALL} == {
        "deap_mercl": "345789",
        "seed_mercl": "5789",
        "recordings_mercl": "6789",
    }
    assert set(mercl.PAPER.models) == {"mercl", "ve_bilstm", "ave_kelm", "ave_lstm", "ave_rt"} <= set(models())


@pytest.mark.parametrize(
    ("number", "targets", "names"),
    [
        ("3", ("valence", "arousal", "dominance"), [("low", "high")] * 3),
        ("4", ("valence", "arousal", "dominance"), list(mercl.THREE_LEVELS["class_names"].values())),
        *((number, ("valence+arousal",), [("HVHA", "LVHA", "LVLA", "HVLA")]) for number in ("5", "7", "8", "9")),
    ],
)
def test_each_table_of_deap_brings_its_classes(number, targets, names):
    # Whatever was asked for.
    asked = mercl.DEAP.presets["demo"].changed({"targets": mercl.DEAP.presets["paper"].targets, **mercl.THREE_LEVELS})
    printed = paper_numbers(mercl.PRINTED_NUMBERS, table=number)
    for line, method in mercl.DEAP.tables[number].items():
        row = method(asked)
        assert row.targets == targets
        assert [row.rule(target, {}).class_names for target in targets] == names, line
        assert set(printed.loc[printed["dataset"] == "deap", "n_classes"]) <= {len(names[0])}


def test_three_levels_are_those_of_table_2():
    rule = mercl.DEAP.tables["4"]["Proposed Method"](mercl.DEAP.presets["paper"]).rule("arousal", {})
    labels = rule.apply([1.0, 3.0, 3.01, 4.0, 6.0, 6.01, 7.0, 9.0])
    assert [rule.class_names[label] for label in labels] == [
        *["Activated"] * 2,
        *["Moderate"] * 3,
        *["Deactivated"] * 3,
    ]


@pytest.mark.parametrize("one", ALL, ids=lambda one: one.name)
def test_the_lines_of_the_tables_are_what_they_say(one):
    experiment = one.presets["demo"]
    for number, table in one.tables.items():
        rows = {line: method(experiment) for line, method in table.items()}
        assert len({row.identity() for row in rows.values()}) == len(rows)
        for line, row in list(rows.items())[1:]:
            assert row.paper_variant == line, number
        (first, full), *_ = rows.items()
        assert full.paper_variant is None, first
        # The same blocks for all.
        assert {row.system.windowing for row in rows.values()} == {experiment.system.windowing}


def test_methods_see_pictures_of_the_size_that_was_asked_for():
    asked = mercl.DEAP.presets["demo"].changed({"system.picture.image_size": 64, "system.eeg.lag_seconds": 0.5})
    for line, method in mercl.DEAP.tables["3"].items():
        system = method(asked).system
        assert system.windowing.lag_seconds == 0.5, line
        assert getattr(system.picture, "image_size", 64) == 64, line


def test_an_ablation_needs_what_it_is_of():
    asked = mercl.DEAP.presets["demo"].changed({"system.silent_rows": "drop"})
    with pytest.raises(ValueError, match="needs the modality audio"):
        mercl.DEAP.tables["7"]["Video + EEG"](asked)


def test_a_table_of_another_dataset_is_printed_as_such():
    assert _other_datasets(Item("table", "7", ""), paper_numbers(mercl.PRINTED_NUMBERS, table=7)) == [
        "table 7 of the paper is on DEHBA; its accuracies of valence+arousal: Audio + EEG + Video 96.5, "
        "Audio + Video 78.4, Audio + EEG 82.5, Video + EEG 84.6"
    ]


# --- who takes part


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffParticipant_id,Gender,Age\n2,Female,20\n3,male,21\n5,F,22\n8,M,23\n",
        "participant,age,What is your gender?\ns02,20,f\ns03,21,m\ns05,22,woman\ns08,23, Male\n",
    ],
)
def test_genders_are_those_of_the_questionnaire(deap, tmp_path, text):
    reader = questionnaire(deap, tmp_path, text)
    assert reader.genders() == {2: "female", 3: "male", 5: "female", 8: "male"}
    # `sexagenarian` has the word in it and is none.
    assert mercl._as_many_women_as_men(reader, 1) == (
        (2, 3),
        "the first 1 women and 1 men (the paper does not name them)",
    )
    found, how = mercl._as_many_women_as_men(reader, 3)
    assert (found, how.startswith("the first 4, of the data without gender")) == ((2, 3, 5, 8), True)


@pytest.mark.parametrize(
    "text", ["Participant_id,Age\n2,20\n", "Participant_id,Gender\n2,\n3,?\n", "a,b\n", "sex\nf\n"]
)
def test_genders_that_are_not_said_are_left_out(deap, tmp_path, text):
    assert questionnaire(deap, tmp_path, text).genders() == {}
    assert DEAP(deap).genders() == {}


def test_an_unreadable_questionnaire_is_named(deap, tmp_path):
    with pytest.raises(InputError, match=r"participant_questionnaire\.csv: cannot be read as csv"):
        questionnaire(deap, tmp_path, "").genders()


def test_subjects_are_chosen_from_the_copy_unless_they_are_named(deap, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "1.mp4").write_bytes(b"")
    words = ["deap_mercl", "--data-root", str(deap), "--stimuli", "clips"]
    request = parse_request(choose(words), words)
    assert request.experiment.subjects == (2, 3, 5, 8)
    assert "note: subjects: the first 4, of the data without gender" in capsys.readouterr().err
    request = parse_request(choose(words), [*words, "--subjects", "3", "5"])
    assert request.experiment.subjects == (3, 5)
    assert "note: subjects" not in capsys.readouterr().err


def test_clips_of_a_synthetic_study_are_there_for_each_stimulus(tmp_path):
    options = {"n_subjects": 1, "n_trials": 4, "trial_seconds": 4}
    mercl.write_recordings_and_stimuli(tmp_path / "study", options, {"size": (32, 32)})
    reader = with_stimuli(Recordings(tmp_path / "study"), tmp_path / "study" / "stimuli")
    description = reader.describe()
    assert not description["problems"]
    table = pd.DataFrame(description["stimuli"])
    assert len(table) == 4
    assert (table["picture_seconds"] >= 4).all()


def test_the_caption_of_table_5_is_that_of_its_dataset():
    captions = [one.table_captions["5"] for one in (mercl.DEAP, mercl.SEED)]
    assert captions == ["Comparison of methods on four classes", "Comparison of methods on three classes"]
