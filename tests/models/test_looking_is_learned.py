"""A toy: of 40 frames of noise, frames 22 to 26 tell the class. Slow: these train networks."""

import sys

import keras
import numpy as np
import pytest

from keras_emotion.models import VideoEEGHierarchicalLSTM

pytestmark = pytest.mark.slow

N_FRAMES = 40
FIRST, LAST = 22, 26
BATCH = 64


def drawn(n_samples, seed):
    rng = np.random.default_rng(seed)
    classes = rng.integers(0, 2, n_samples)
    features = 0.5 * rng.standard_normal((n_samples, N_FRAMES, 4)).astype("float32")
    features[:, FIRST : LAST + 1, 0] += 2 * classes[:, np.newaxis] - 1
    return {"face_features": features}, classes


class Trained:
    """A model that is traced once and trained with several seeds."""

    def __init__(self, n_updates, **arguments):
        self.n_updates = n_updates
        small = {
            "modalities": ("face",),
            "face_encoder": "alexnet",
            "n_face_features": 4,
            "n_frames": N_FRAMES,
            "n_looks": 6,
            "width": 16,
            "units": 16,
            "n_levels": 2,
            "attention_units": 8,
            "dropout": 0.0,
            "sigma": 0.025,
            "n_rollouts": 4,
        }
        self.arguments = {**small, **arguments}
        self.model = VideoEEGHierarchicalLSTM(**self.arguments)
        self.model.compile(keras.optimizers.Adam(3e-3), jit_compile=keras.backend.backend() == "jax")
        self.model.optimizer.build(self.model.trainable_variables)
        self.start = [keras.ops.convert_to_numpy(variable) for variable in self.model.optimizer.variables]

    def __call__(self, seed):
        """Accuracy, share of samples with a look at an informative frame, and mean number of looks."""
        keras.utils.set_random_seed(seed)
        new = VideoEEGHierarchicalLSTM(**self.arguments)
        for variable, value in zip(self.model.variables, new.variables, strict=True):
            variable.assign(value)
        for variable, value in zip(self.model.optimizer.variables, self.start, strict=True):
            variable.assign(value)
        self.model.fit(*drawn(BATCH * self.n_updates, seed), batch_size=BATCH, verbose=0)
        inputs, classes = drawn(512, 1000 + seed)
        outputs = self.model.predict(inputs, batch_size=512, verbose=0)
        accuracy = (outputs["probabilities"].argmax(axis=1) == classes).mean()
        if "positions" not in outputs:
            return accuracy, None, None
        # The position is constant after the last look: later steps must not count as looks.
        seen = ((outputs["positions"] >= FIRST) & (outputs["positions"] <= LAST)).any(axis=1).mean()
        return accuracy, seen, outputs["looks"].mean()


def told(name, results):
    for seed, (accuracy, seen, looks) in enumerate(results):
        rest = "" if seen is None else f", looked there in {seen:.0%}, {looks:.1f} looks"
        sys.stdout.write(f"{name}, seed {seed}: accuracy {accuracy:.3f}{rest}\n")


def test_the_policy_finds_the_frames_that_tell_the_class():
    trained = Trained(500)
    rewarded = [trained(seed) for seed in range(5)]
    told("rewarded", rewarded)
    trained = Trained(500, reward_weight=0.0, sparsity_weight=0.0)
    cut_off = [trained(seed) for seed in range(5)]
    told("reward cut off", cut_off)
    # For comparison: as many looks as the trained policy takes.
    told("uniform", [Trained(500, looking="uniform", n_looks=5)(0)])
    random = {"direction": "any", "sigma": 0.3, "sample": True, "n_looks": 5}
    told("random", [Trained(500, reward_weight=0.0, sparsity_weight=0.0, **random)(0)])
    assert sum(seen > 0.95 for _, seen, _ in rewarded) >= 4
    assert sum(accuracy > 0.9 for accuracy, _, _ in rewarded) >= 4
    assert all(seen < 0.05 for _, seen, _ in cut_off)
    assert all(accuracy < 0.6 for accuracy, _, _ in cut_off)


def test_a_larger_sparsity_weight_looks_at_fewer_frames():
    looks = {}
    for weight in (-0.01, -0.2):
        trained = Trained(1000, sparsity_weight=weight, n_looks=8)
        results = [trained(seed) for seed in range(3)]
        told(f"sparsity weight {weight}", results)
        looks[weight] = [count for _, _, count in results]
    assert np.mean(looks[-0.2]) < np.mean(looks[-0.01]) - 0.5
