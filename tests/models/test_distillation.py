"""Whether a teacher helps, if it can: EEG that follows the face, and trials that a network could overfit.

The face shows an expression that varies within a trial; its mean follows the rating (`face_effect`). EEG power weakly
follows the expression, with gains that differ between trials. From one label per trial only, a network overfits the
gains of the training trials. A teacher with the expression at each moment provides the relevant signal instead.

(If EEG contains nothing of the face, no teacher can help: in the test the network reads EEG only.)
"""

import keras
import numpy as np
import pytest
import scipy.ndimage

from keras_emotion.models import FACRNNEEGNetwork, distillation_losses

N_TRIALS, WINDOWS, STEPS = 24, 30, 4
CELLS = np.array([(1, 3), (2, 2), (2, 6), (4, 2), (4, 6), (6, 2), (6, 6), (8, 3), (3, 3), (5, 5), (2, 4), (6, 4)])


def recordings(seed, face_effect):
    rng = np.random.default_rng(seed)
    labels = np.repeat([0, 1], N_TRIALS // 2)
    rng.shuffle(labels)
    n_slices = WINDOWS * STEPS
    wander = scipy.ndimage.gaussian_filter1d(rng.standard_normal((N_TRIALS, n_slices)), 8, axis=1)
    expression = np.tanh(0.7 * face_effect * (2 * labels[:, np.newaxis] - 1) + 0.8 * wander / wander.std())
    loading = np.zeros((len(CELLS), 4))
    loading[:4, 3], loading[4:8, 1] = 1, -1
    gains = 0.9 * rng.standard_normal((N_TRIALS, 1, *loading.shape))
    noise = 0.3 * rng.standard_normal((N_TRIALS, n_slices, *loading.shape))
    eeg = np.zeros((N_TRIALS, n_slices, 9, 9, 4), np.float32)
    eeg[:, :, *CELLS.T] = 0.8 * expression[..., np.newaxis, np.newaxis] * loading + gains + noise
    weights = np.random.default_rng(99).standard_normal((2, 128))
    features = 0.3 * np.maximum(expression[..., np.newaxis] * weights[0] + 0.5 * weights[1], 0)
    features += 0.05 * rng.standard_normal(features.shape)
    windows = (N_TRIALS * WINDOWS, STEPS)
    return (
        eeg.reshape(*windows, 9, 9, 4),
        features.reshape(*windows, 128).astype(np.float32),
        np.repeat(labels, WINDOWS),
        np.repeat(np.arange(N_TRIALS), WINDOWS),
    )


def accuracy_on_other_trials(seed, face_effect, teacher):
    eeg, features, labels, trials = recordings(seed, face_effect)
    by_trial = labels[::WINDOWS]
    tested = np.concatenate([np.flatnonzero(by_trial == label)[: N_TRIALS // 4] for label in (0, 1)])
    test = np.isin(trials, tested)
    keras.utils.set_random_seed(seed)
    model = FACRNNEEGNetwork(width_multiplier=0.1, distillation_features="lstm")
    model.feature_scaling.set_statistics(eeg[~test].mean((0, 1)), eeg[~test].std((0, 1)))
    losses = distillation_losses(0.1, 20, "mean") if teacher else distillation_losses(0.8, 1, "mean", teacher=False)
    model.compile(keras.optimizers.Adam(1e-3), **losses)
    targets = {"probabilities": np.repeat(labels[:, np.newaxis], STEPS, axis=1)}
    if teacher:
        targets["features"] = features
    targets = {name: values[~test] for name, values in targets.items()}
    model.fit({"eeg": eeg[~test]}, targets, epochs=20, batch_size=32, verbose=0)
    outputs = model.predict({"eeg": eeg[test]}, verbose=0)
    return float((np.asarray(model.window_probabilities(outputs)).argmax(axis=1) == labels[test]).mean())


def mean_accuracy(face_effect, teacher):
    return np.mean([accuracy_on_other_trials(seed, face_effect, teacher) for seed in range(3)])


@pytest.mark.slow
def test_a_teacher_helps_where_the_face_shows_the_rating_and_not_where_it_does_not():
    taught, alone = mean_accuracy(1.0, teacher=True), mean_accuracy(1.0, teacher=False)
    assert taught > alone + 0.05
    assert taught > 0.7
    # Three subjects of twelve test trials each: the standard error is 8 points.
    assert abs(mean_accuracy(0.0, teacher=True) - 0.5) < 0.16
