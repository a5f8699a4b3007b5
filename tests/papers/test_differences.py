"""What runs differ in from their papers, in words; the paper's side was copied by hand from the papers."""

import pytest

from keras_emotion.datasets import READERS, Reader
from keras_emotion.papers import differences_from_the_paper, find_reproduction, reproductions

TEACHER = "the visual teacher is trained on the faces of each fold"
FACRNN_LINES = (
    "LSTM without the peephole terms of Eq. (12), (13) and (15)",
    "features are standardised with the statistics of the training windows; the paper mentions no scaling",
    TEACHER,
    "w = 1 is fixed; in the paper it is chosen among eleven values, on the test set",
    "in the paper by OpenFace",
    "in the paper videos have 60 frames per second",
    "differential entropies use the variance; Eq. (2) prints the standard deviation",
)
MERCL_LINES = (
    "picture features by a network with random weights; in the paper it is pre-trained",
    "sound features by a network with random weights; in the paper it is pre-trained",
    "EEG windows are not delayed relative to picture and sound",
    "contrastive losses use logarithms of sums of exp(similarity / temperature)",
    "cross-modal attention has a softmax, which is missing in Eq. (12)",
    "the second stage does not train the encoders, as in Algorithm 1; section 3.3 trains them",
    "windows without sound take part in all losses, as in Table 9 (all samples); section 3.2 leaves them out",
    "spatial encoders of picture and sound are not trained; Algorithm 1 updates all encoders",
    "the convolution module of the EEG Conformer; the paper cites the Conformer for speech",
)
DEEPVANET_LINES = (
    "face network trained from scratch; in the paper pre-trained on AFEW-VA",
    "in the paper by Bulat and Tzimiropoulos (2017)",
)
OF_PRESET_PAPER = {
    "affectnet_visual": ("in the paper by OpenFace",),
    "afew_va_visual": ("in the paper by OpenFace", "trained on this dataset alone; in the paper on AffectNet first"),
    "deap_deepvanet": DEEPVANET_LINES,
    "mahnob_deepvanet": (*DEEPVANET_LINES, "artefacts stay in the EEG; in the paper EEGLAB removes them"),
    "deap_3facrnn": FACRNN_LINES,
    "mahnob_3facrnn": FACRNN_LINES,
    "deap_dfcn": (
        "facial features come from MediaPipe's Face Landmarker; in the paper from OpenFace",
        "one of the training subjects is the validation set and is not used for training",
        "the 29 facial features are mapped to 32",
        "band powers are logarithmic, and gamma ends at 45 Hz",
    ),
    "deap_mercl": (*MERCL_LINES, "the paper states 512 Hz"),
    "seed_mercl": MERCL_LINES,
    "deap_hlstm": (
        "faces of 64 x 64 pixels are encoded by a small network",
        "in the paper by Faster R-CNN",
        "EEG images are encoded by a small convolutional network",
        "batches are shuffled windows; in the paper they come from experience replay",
    ),
}
"""Part of each line, in any order; of a reproduction that is not here none, since its paper has not used its data."""


class AsInThePaper(Reader):
    """A reader that has read nothing, with the arguments of a reproduction."""

    def __init__(self, reproduction, file_format=None, **changes):
        kind = READERS[reproduction.dataset]
        self.name = reproduction.dataset
        self.default_options = kind.default_options
        self.options = {**kind.default_options(), **reproduction.reader_options, **changes}
        self.file_format = file_format

    options = subjects = source_files = trials = inspect = None


AsInThePaper.__abstractmethods__ = frozenset()


def lines_of(name, changes=(), preset="paper", n_windows=None, **reader):
    reproduction = find_reproduction(name)
    experiment = reproduction.presets[preset].changed(dict(changes))
    return differences_from_the_paper(reproduction, experiment, AsInThePaper(reproduction, **reader), n_windows)


@pytest.mark.parametrize("name", reproductions())
def test_preset_paper_says_all_that_it_differs_in(name):
    lines, expected = lines_of(name), OF_PRESET_PAPER.get(name, ())
    assert len(lines) == len(expected), lines
    for part in expected:
        assert sum(part in line for line in lines) == 1, (part, lines)


@pytest.mark.parametrize("name", reproductions())
@pytest.mark.parametrize("preset", ["converged", "reduced", "demo"])
def test_lines_are_words_and_no_values_of_a_file(name, preset):
    for line in lines_of(name, preset=preset):
        assert not set(line) & set('{}[]"'), line
        assert len(line) < 220, line


def test_the_paper_of_mahnob_hci_has_its_windows_rate_and_bands():
    """Sections 2.2.1 and 3.1: middle 30 s of each clip, 0.5 s, 256 Hz, gamma 31 to 50 Hz, 60 windows of a clip."""
    reproduction = find_reproduction("mahnob_3facrnn")
    paper = reproduction.presets["paper"]
    assert (paper.middle_seconds, paper.system.features.window_seconds) == (30.0, 0.5)
    assert reproduction.reader_options == {"preprocess": "none", "sampling_rate_hz": 256.0}
    assert paper.system.features.bands["gamma"] == (31.0, 50.0)
    n_windows = paper.system.windowing.part("middle", 10_000, 30.0)
    assert 20 * (n_windows.stop - n_windows.start) == 1200
    assert paper.training.learning_rate == 1e-6
    assert paper.training.restore_best == "each_epoch"


def test_reading_the_eeg_in_another_way_is_said():
    lines = lines_of("mahnob_3facrnn", preprocess="eeg", sampling_rate_hz=128.0)
    assert "reader.preprocess: eeg in place of none" in lines
    assert "reader.sampling_rate_hz: 128 in place of 256" in lines
    lines = lines_of("deap_3facrnn", file_format="original")
    assert sum("read from the original recordings" in line for line in lines) == 1


def test_components_that_were_taken_out_are_one_line():
    lines = lines_of("mahnob_deepvanet", ica=True)
    assert sum("--reader.ica" in line or "reader.ica" in line for line in lines) == 1


@pytest.mark.parametrize(
    ("name", "protocols", "without"),
    [
        ("deap_deepvanet", ("as_published_deepvanet_inter_subject", "subject_disjoint"), ""),
        ("deap_deepvanet", ("as_published_deepvanet_literal",), ""),
        ("deap_deepvanet", ("trial_disjoint",), "as_published_deepvanet"),
        ("deap_deepvanet", ("as_published",), "as_published_deepvanet"),
        ("deap_dfcn", ("subject_disjoint",), ""),
        ("deap_dfcn", ("trial_disjoint",), "subject_disjoint"),
    ],
)
def test_each_setting_of_a_paper_has_its_protocol(name, protocols, without):
    lines = [line for line in lines_of(name, {"protocols": protocols}) if line.startswith("without the protocol")]
    assert lines == ([f"without the protocol of the paper, {without}"] if without else [])


def test_how_much_of_the_data_there_is_is_said():
    n_windows = dict.fromkeys(range(1, 23), 1200)
    assert not any(line.startswith(("subjects", "windows")) for line in lines_of("deap_3facrnn", n_windows=n_windows))
    n_windows = {1: 1200, 2: 1140}
    lines = lines_of("deap_3facrnn", {"subjects": (1, 2)}, n_windows=n_windows)
    assert lines[:2] == ["subjects: 2 in place of 22", "windows: 2,340 in place of 26,400 (8.86 %)"]


def test_without_the_teacher_one_line_says_so():
    lines = lines_of("deap_3facrnn", {"system.teacher": "none"})
    assert "trained without the visual teacher" in lines
    assert not any("system." in line or "faces" in line for line in lines if "peephole" not in line)


def test_how_w_is_chosen_is_said():
    lines = lines_of("deap_3facrnn", {"system.w_grid": (0.5, 1.0)})
    assert sum("w is chosen on validation windows; in the paper" in line for line in lines) == 1


def test_a_path_is_no_part_of_a_line():
    lines = lines_of("deap_3facrnn", {"system.teacher": "/home/somebody/teacher"})
    assert not any(TEACHER in line or "somebody" in line for line in lines)


def test_a_field_that_only_one_of_two_configurations_has_is_listed():
    lines = lines_of("deap_3facrnn", {"system.features.hop_seconds": 0.5, "system.width_multiplier": 0.5})
    assert "system.features.hop_seconds: 0.5 in place of none" in lines
    assert "system.width_multiplier: 0.5 in place of 1" in lines


def test_without_its_protocol_it_is_not_the_paper():
    lines = lines_of("deap_3facrnn", {"protocols": ("trial_disjoint",)})
    assert "without the protocol of the paper, as_published" in lines
    assert not any("protocol" in line for line in lines_of("deap_3facrnn", {"protocols": ("as_published",)}))
