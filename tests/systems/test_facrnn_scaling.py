"""Feature scaling of 3FACRNN, and its effect on band attention."""

import keras
import numpy as np
import pytest

from keras_emotion.systems.facrnn import FACRNN, FACRNNExperiment

CELLS, N_BANDS = ((0, 3), (4, 4), (8, 5)), 4
LEVELS = np.array([3.0, 2.0, -1.0, 0.5])


@pytest.fixture(scope="module")
def arrays():
    """Entropies in three cells, with different levels per band; the other cells are empty."""
    rng = np.random.default_rng(0)
    eeg = np.zeros((40, 4, 9, 9, N_BANDS), np.float32)
    for row, column in CELLS:
        eeg[:, :, row, column] = LEVELS + 0.3 * rng.standard_normal((40, 4, N_BANDS))
    return {"eeg": eeg}


def fitted(scale_features, arrays, rows):
    keras.utils.set_random_seed(0)
    system = FACRNN(scale_features=scale_features, width_multiplier=0.02)
    model = system.model({"eeg": arrays["eeg"].shape[1:]}, 2, {})
    system.fit_statistics(model, arrays, rows)
    return system, model


def test_overall_scaling_has_one_mean_and_deviation_and_leaves_cells_empty(arrays):
    rows = np.arange(25)
    _, model = fitted("overall", arrays, rows)
    scaled = np.asarray(model.feature_scaling(arrays["eeg"]))
    values = np.stack([arrays["eeg"][:, :, row, column] for row, column in CELLS]).astype(np.float64)
    known = values[:, rows]
    expected = (values - known.mean()) / known.std()
    found = np.stack([scaled[:, :, row, column] for row, column in CELLS])
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.count_nonzero(scaled) == np.count_nonzero(arrays["eeg"])


def test_features_that_are_not_scaled_reach_the_network_as_they_are(arrays):
    system, model = fitted("none", arrays, np.arange(25))
    assert model.feature_scaling is None
    weights = np.asarray(model.band_attention_weights({"eeg": arrays["eeg"]}))
    (kernel,) = np.ravel(model.get_layer("band_attention").kernel)
    # Eq. 4-5 with a kernel of one: the sigmoid of the mean over all 81 cells.
    expected = 1 / (1 + np.exp(-kernel * arrays["eeg"].mean(axis=(2, 3))))
    np.testing.assert_allclose(weights, expected, atol=1e-5)
    means = system.diagnostics(model, arrays, np.arange(25, 40))
    # The order of the bands is that of their levels, or its reverse.
    by_level = [means[f"band_attention_{band}"] for band in np.array(list(system.features.bands))[np.argsort(LEVELS)]]
    assert by_level == sorted(by_level, reverse=bool(kernel < 0))


def test_standardised_features_give_all_bands_a_half(arrays):
    rows = np.arange(40)
    system, model = fitted("standard", arrays, rows)
    # For any trained kernel.
    model.get_layer("band_attention").kernel.assign([[[5.0]]])
    means = system.diagnostics(model, arrays, rows)
    assert list(means.values()) == pytest.approx([0.5] * N_BANDS, abs=2e-3)


def test_the_default_is_no_other_experiment_than_before_there_was_a_choice():
    one = FACRNNExperiment(name="test", dataset="deap", targets=("valence",))
    assert one.system.scale_features == "standard"
    assert "scale_features" not in one.scientific_config()["system"]
    identities = {one.changed({"system.scale_features": name}).identity() for name in ("standard", "overall", "none")}
    assert len(identities) == 3
