"""Figures of papers, drawn from what a run leaves."""

import numpy as np
import pytest

from keras_emotion import experiment
from keras_emotion.papers.figures import draw_priors
from keras_emotion.systems.prior_dfcn import PriorDFCNExperiment


@pytest.mark.parametrize("prior", ["face", "none"])
def test_the_prior_of_a_window_is_drawn(prior, tmp_path, memory_reader, monkeypatch):
    wanted = PriorDFCNExperiment(name="test", dataset="memory", targets=("valence",))
    system = wanted.system.model_copy(update={"prior": "none"} if prior == "none" else {})
    wanted = wanted.model_copy(update={"system": system})
    reader = memory_reader(tmp_path, n_subjects=1, n_trials=4, seconds=int(system.features.sample_seconds) + 1)
    trial = list(reader.trials())[2]
    maps = np.random.default_rng(0).random((1, system.features.n_windows, len(trial.eeg.channel_names)))
    table = trial.window_table(np.zeros(1), 2.0)
    monkeypatch.setattr(experiment, "channel_priors", lambda *_: {"trial_disjoint": {"valence": (maps, table)}})
    said = draw_priors(wanted, reader, tmp_path)
    assert (tmp_path / "prior_valence.png").is_file() == (prior != "none")
    assert ("the model has none" in said) == (prior == "none")
