import keras
import numpy as np
import pytest

from keras_emotion.layers import FeatureScaling


def test_standardises_the_training_features():
    rng = np.random.default_rng(0)
    features = 5 + 3 * rng.standard_normal((50, 4, 3, 2, 5))
    layer = FeatureScaling()
    layer.build(features.shape)
    layer.set_statistics(features.mean(axis=(0, 1)), features.std(axis=(0, 1)))
    scaled = keras.ops.convert_to_numpy(layer(features))
    np.testing.assert_allclose(scaled.mean(axis=(0, 1)), 0, atol=1e-5)
    np.testing.assert_allclose(scaled.std(axis=(0, 1)), 1, rtol=1e-5)


@pytest.mark.parametrize("axes", [(-1,), (-3, -1), (-1, -3), (-3, -2, -1)])
def test_statistics_belong_to_their_axes(axes):
    rng = np.random.default_rng(1)
    features = rng.standard_normal((4, 3, 5, 2)).astype("float32")
    shared = tuple({0, 1, 2, 3} - {4 + axis for axis in axes})
    mean, standard_deviation = features.mean(axis=shared), features.std(axis=shared)
    layer = FeatureScaling(axes=axes)
    layer.build(features.shape)
    layer.set_statistics(mean, standard_deviation)
    expected = np.empty_like(features)
    for index in np.ndindex(features.shape):
        own = tuple(index[axis] for axis in sorted(axes))
        expected[index] = (features[index] - mean[own]) / standard_deviation[own]
    np.testing.assert_allclose(keras.ops.convert_to_numpy(layer(features)), expected, rtol=1e-4, atol=1e-5)


def test_starts_as_identity():
    features = np.random.default_rng(2).standard_normal((2, 3, 4, 5)).astype("float32")
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(FeatureScaling()(features)), features)


def test_constant_feature_gives_zero():
    layer = FeatureScaling(axes=(-1,))
    layer.build((None, 4))
    # Zero; below the float32 resolution of its mean (rounding of a constant); small and real; large.
    layer.set_statistics([0.0, 1000.0, 1000.0, 0.0], [0.0, 1e-5, 1e-2, 1e30])
    scaled = keras.ops.convert_to_numpy(layer(np.array([[7.0, 1001.0, 1000.01, 2e30]], "float32")))
    np.testing.assert_allclose(scaled, [[0.0, 0.0, 1.0, 2.0]], rtol=1e-2)
    assert scaled[0, 0] == scaled[0, 1] == 0


def test_statistics_of_another_fold_need_no_new_trace():
    traces = []

    @keras.saving.register_keras_serializable(package="test")
    class Counting(keras.layers.Layer):
        def call(self, inputs):
            traces.append(inputs)
            return inputs

    inputs = keras.Input((2, 3))
    scaling = FeatureScaling(axes=(-2, -1))
    model = keras.Model(inputs, Counting()(scaling(inputs)))
    model.compile()
    features = np.ones((4, 2, 3), "float32")
    np.testing.assert_array_equal(model.predict(features, verbose=0), 1)
    n_traces = len(traces)
    for fold in (1.0, 2.0):
        scaling.set_statistics(np.full((2, 3), -fold), np.full((2, 3), 0.5))
        np.testing.assert_array_equal(model.predict(features, verbose=0), 2 * (1 + fold))
    if keras.backend.backend() != "torch":  # which traces nothing
        assert len(traces) == n_traces


def test_features_of_another_shape_are_refused():
    layer = FeatureScaling()
    layer.build((None, 2, 3, 3, 4))
    with pytest.raises(ValueError, match="axis -1"):
        layer(np.zeros((1, 2, 3, 3, 5)))
    with pytest.raises(ValueError, match="ndim=5"):
        layer(np.zeros((1, 3, 3, 4)))


def test_training_leaves_the_statistics_alone():
    layer = FeatureScaling(axes=(-1,))
    layer.build((None, 3))
    assert [weight.name for weight in layer.non_trainable_weights] == ["mean", "scale"]
    assert layer.trainable_weights == []


def test_statistics_are_applied_in_float32_under_mixed_precision():
    # 100,001 is beyond float16, and neither bfloat16 nor float16 tells it from its mean.
    layer = FeatureScaling(axes=(-1,), dtype="mixed_float16")
    layer.build((None, 1))
    layer.set_statistics([100000.0], [2.0])
    scaled = layer(np.array([[100001.0]], "float32"))
    assert keras.backend.standardize_dtype(scaled.dtype) == "float16"
    assert float(scaled[0, 0]) == 0.5


@pytest.mark.parametrize(
    ("mean", "standard_deviation", "named"),
    [
        ([0.0, 0.0], [1.0, 1.0, 1.0], "`mean`.*\\(2,\\)"),
        ([0.0, 0.0, 0.0], [[1.0, 1.0, 1.0]], "`standard_deviation`.*\\(1, 3\\)"),
        ([0.0, np.nan, 0.0], [1.0, 1.0, 1.0], "`mean`.*nan"),
        ([0.0, 0.0, 0.0], [1.0, np.inf, 1.0], "`standard_deviation`.*inf"),
        ([0.0, 0.0, 0.0], [1.0, -2.0, 1.0], "`standard_deviation`.*-2.0"),
    ],
)
def test_impossible_statistics_are_refused(mean, standard_deviation, named):
    layer = FeatureScaling(axes=(-1,))
    layer.build((None, 3))
    with pytest.raises(ValueError, match=named):
        layer.set_statistics(mean, standard_deviation)
    np.testing.assert_array_equal(layer.get_weights(), [[0, 0, 0], [1, 1, 1]])
