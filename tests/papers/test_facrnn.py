"""3FACRNN's Table 6: what the methods read."""

import numpy as np
import pytest

from keras_emotion.papers import facrnn
from keras_emotion.pipelines import Windowing
from keras_emotion.schema import Recording, Trial
from keras_emotion.systems.facrnn import FACRNN

CHANNELS = ("Fp1", "C3", "Oz", "T8")


@pytest.fixture(scope="module")
def trial():
    signal = np.random.default_rng(0).standard_normal((4, 12 * 128))
    recording = Recording(signal, CHANNELS, ("uV",) * 4, 128.0, 3.0)
    return Trial("deap", 1, 1, "1", recording, CHANNELS, {"valence": 6.5})


@pytest.mark.parametrize(
    "features",
    [
        {},
        {"window_seconds": 1.0, "hop_seconds": 0.5, "steps": 2, "baseline": "none"},
        {"sequence": "windows", "window_seconds": 1.0, "steps": 3, "hop_seconds": 1.5},
    ],
    ids=["as in print", "overlapping", "sequences of windows"],
)
def test_methods_have_the_windows_of_3facrnn(features, trial):
    own = FACRNN(features=FACRNN().features.changed(**features), width_multiplier=0.25)
    expected = own.features.extract([trial])[1]
    for name, change in facrnn.METHODS.items():
        system = change(own)
        (part,) = system.parts().values()
        assert part.extract([trial])[1].equals(expected), name
        steps = {"Conti-CNN": 1, "GCNN": 1, "CRAM": 1}.get(name, own.features.steps)
        hop = own.windowing.hop_seconds
        assert system.windowing == Windowing(
            window_seconds=own.windowing.window_seconds, hop_seconds=hop, steps=steps
        ), name
    widths = {name: getattr(change(own), "width_multiplier", None) for name, change in facrnn.METHODS.items()}
    # The others have one size.
    assert {name for name, width in widths.items() if width == 0.25} == {"3FACRNN", "Conti-CNN", "CNN-LSTM", "4D-CRNN"}


def test_methods_read_what_3facrnn_reads_but_for_those_on_raw_eeg(trial):
    own = FACRNN()
    maps = own.features.extract([trial])[0]["eeg"]
    occupied = maps.any(axis=(0, 1, 4))
    arrays = {
        name: next(iter(change(own).parts().values())).extract([trial])[0] for name, change in facrnn.METHODS.items()
    }
    np.testing.assert_array_equal(arrays["4D-CRNN"]["eeg"], maps)
    assert arrays["GCN-LSTM"]["eeg"].shape == (4, 4, 4, 4)
    np.testing.assert_array_equal(np.sort(arrays["GCN-LSTM"]["eeg"], axis=2), np.sort(maps[:, :, occupied], axis=2))
    assert arrays["Conti-CNN"]["eeg"].shape == (4, 1, 9, 9, 4)
    assert arrays["GCNN"]["eeg"].shape == (4, 1, 4, 4)
    assert arrays["CNN-LSTM"]["eeg"].shape == (4, 4, 9, 9, 64)
    assert arrays["CRAM"]["bio"].shape == (4, 256, 4)


def test_each_method_is_another_experiment():
    experiment = facrnn.DEAP.presets["reduced"]
    made = {name: method(experiment) for name, method in facrnn.COMPARISON.items()}
    assert len({one.identity() for one in made.values()}) == len(made)
    assert made["3FACRNN"].identity() == experiment.identity()
    # Nothing else differs.
    assert {one.training for one in made.values()} == {experiment.training}
    assert {one.protocols for one in made.values()} == {experiment.protocols}
