import keras
import numpy as np
import pytest

from keras_emotion.layers import PairwiseCrossModalAttention

STEPS = (4, 3, 5)


def sequences(n_samples=2, n_features=6, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal((n_samples, n_steps, n_features)).astype("float32") for n_steps in STEPS]


def softmax(scores):
    shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return shares / shares.sum(axis=-1, keepdims=True)


def test_values_and_order_of_pairs_against_loops():
    h = dict(zip("vae", sequences(), strict=True))
    layer = PairwiseCrossModalAttention(units=6, n_heads=3)
    means, scores = layer(list(h.values()), return_attention_scores=True)
    means = keras.ops.convert_to_numpy(means)
    # As section 3.3 prints them.
    order = ("av", "va", "ev", "ve", "ea", "ae")
    for place, (source, target) in enumerate(order):
        query, key, value, output = (np.asarray(weight, "float64") for weight in layer.attentions[place].get_weights())
        for sample in range(2):
            heads = []
            for head in range(3):
                q = h[target][sample] @ query[:, head]
                k, v = h[source][sample] @ key[:, head], h[source][sample] @ value[:, head]
                attention = softmax(q @ k.T / np.sqrt(2))
                np.testing.assert_allclose(scores[place][sample, head], attention, rtol=1e-4, atol=1e-6)
                heads.append(attention @ v @ output[head])
            np.testing.assert_allclose(means[sample, place], sum(heads).mean(axis=0), rtol=1e-4, atol=1e-5)


def test_attention_that_is_asked_for_changes_nothing():
    layer = PairwiseCrossModalAttention(units=4, n_heads=2)
    inputs = sequences()
    alone = layer(inputs)
    means, scores = layer(inputs, return_attention_scores=True)
    np.testing.assert_allclose(alone, means, rtol=1e-5, atol=1e-6)
    assert [tuple(score.shape) for score in scores] == [
        (2, 2, STEPS[target], STEPS[source]) for source, target in layer.pairs
    ]


@pytest.mark.parametrize("n_modalities", [2, 3, 4])
def test_every_ordered_pair_has_weights_of_its_own(n_modalities):
    layer = PairwiseCrossModalAttention(units=4, n_heads=1)
    layer.build([(None, None, 3)] * n_modalities)
    assert sorted(layer.pairs) == [
        (source, target) for source in range(n_modalities) for target in range(n_modalities) if source != target
    ]
    assert len(layer.trainable_weights) == 4 * n_modalities * (n_modalities - 1)


def test_a_step_of_the_source_that_all_queries_attend_to_decides():
    # The second step of the source has by far the largest key: its value alone is left.
    layer = PairwiseCrossModalAttention(units=1, n_heads=1)
    layer.build([(1, 2, 1), (1, 3, 1)])
    for attention in layer.attentions:
        attention.set_weights([np.ones(weight.shape) for weight in attention.get_weights()])
    target, source = np.ones((1, 2, 1), "float32"), np.array([[[0.0], [100.0], [1.0]]], "float32")
    np.testing.assert_allclose(layer([target, source])[0, 0], [100.0], rtol=1e-5)
