import keras
import numpy as np
import pytest
import scipy.stats

from keras_emotion.layers import GaussianFramePolicy


def chosen(position, draw, location=0.0, **arguments):
    """Outputs of a policy whose location is `sigmoid(location)` of the range, for any state."""
    policy = GaussianFramePolicy(**{"n_frames": 41, **arguments})
    position, draw = np.broadcast_arrays(np.asarray(position, "float32"), np.asarray(draw, "float32"))
    policy.build([(None, 3), (None,), (None,)])
    policy.location.set_weights([np.zeros((3, 1)), np.array([location])])
    outputs = policy([np.ones((len(position), 3)), position, draw])
    return {name: keras.ops.convert_to_numpy(output) for name, output in outputs.items()}


@pytest.mark.parametrize(
    ("direction", "positions", "expected"),
    [
        # Half of the remaining range of 41 frames, from the next frame on.
        ("forward", [0, 20, 38, 39], [20.5, 30.5, 39.5, 40.0]),
        ("any", [0, 20, 38, 40], [20.0, 20.0, 20.0, 20.0]),
    ],
)
def test_location_is_a_share_of_the_range(direction, positions, expected):
    outputs = chosen(positions, np.zeros(4), direction=direction)
    np.testing.assert_allclose(outputs["action"], expected)


@pytest.mark.parametrize(
    ("direction", "draws", "action", "position"),
    [
        ("forward", [0.0, 1.0, -10.0, 10.0], [25.5, 29.6, -15.5, 66.5], [26.0, 30.0, 11.0, 40.0]),
        ("any", [0.0, 1.0, -10.0, 10.0], [20.0, 24.1, -21.0, 61.0], [20.0, 24.0, 0.0, 40.0]),
    ],
)
def test_the_action_is_unclipped_and_the_position_clipped_and_rounded(direction, draws, action, position):
    outputs = chosen([10] * 4, draws, direction=direction)
    np.testing.assert_allclose(outputs["action"], action, rtol=1e-5)
    np.testing.assert_array_equal(outputs["position"], position)


@pytest.mark.parametrize("learned_sigma", [False, True])
def test_log_probability_is_that_of_the_unclipped_action(learned_sigma):
    draws = np.array([0.0, 1.0, -10.0, 10.0])
    outputs = chosen([10] * 4, draws, sigma=0.2, learned_sigma=learned_sigma, location=0.7)
    location = 11 + 29 / (1 + np.exp(-0.7))
    expected = scipy.stats.norm(location, 0.2 * 41).logpdf(location + 0.2 * 41 * draws)
    np.testing.assert_allclose(outputs["log_probability"], expected, rtol=1e-5)


def test_forward_always_goes_forward_and_ends_at_the_last_frame():
    rng = np.random.default_rng(0)
    positions = rng.integers(0, 40, 500)
    outputs = chosen(positions, 3 * rng.standard_normal(500), sigma=0.3)
    assert (outputs["position"] > positions).all()
    assert outputs["position"].max() == 40
    np.testing.assert_array_equal(chosen([40], [-3.0])["position"], 40)


@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16"])
def test_frames_are_counted_exactly_in_half_precision(dtype):
    # bfloat16 has no odd numbers above 256, float16 none above 2048.
    positions, draws = [257, 1001, 2051], [0.001, 0.002, 0.003]
    expected = chosen(positions, draws, n_frames=2200)
    for name, output in chosen(positions, draws, n_frames=2200, dtype=dtype).items():
        np.testing.assert_array_equal(output, expected[name], name)
