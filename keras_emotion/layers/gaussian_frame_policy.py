"""Gaussian policy for the next frame to look at."""

import math

import keras
from keras import ops

DIRECTIONS = ("forward", "any")


@keras.saving.register_keras_serializable(package="keras_emotion")
class GaussianFramePolicy(keras.layers.Layer):
    r"""Draw the next frame from a normal distribution whose mean depends on a state.

    At position `f` of a segment of `n_frames` frames and with draw `z` of a standard normal distribution:

    $$\mu = lo + (hi - lo)\,\mathrm{sigmoid}(w^\top h + b), \qquad a = \mu + \sigma z, \qquad
    f' = \mathrm{round}(\mathrm{clip}(a, lo, hi))$$

    with `hi` the last frame and `lo` the frame after `f` or frame 0. The action is `a`, unclipped; clipping and
    rounding belong to the environment: the log-probability is that of `a`,

    $$\log \pi(a) = -\frac{(a - \mu)^2}{2\sigma^2} - \log\sigma - \frac{1}{2}\log 2\pi,$$

    per frame, and `a` is a constant for the gradient. The action of draw 0 is the most likely one (greedy).

    `w` and `b` start at zero: the mean is initially in the middle of the range.

    **Deviations.** [1] names a Gaussian policy without details.

    Args:
        n_frames: number of frames of a segment, 2 or more.
        direction: `"forward"` (default: later frames only) or `"any"`.
        sigma: standard deviation, as a share of the segment, above 0; default 0.1.
        learned_sigma: whether `sigma` is the initial value of a trained standard deviation; default `False`: it is
            fixed.
        **kwargs: `name`, `dtype`, `trainable` of `keras.layers.Layer`.

    Call arguments:
        inputs: a list of the state `h`, `(..., units)`, the position `f`, in frames from 0, and the draw `z`, both
            `(...)`.

    Output:
        A dictionary of float32 arrays `(...)`: `"action"` and `"position"`, in frames from 0, and `"log_probability"`.
        At the last frame in direction `"forward"`, where there is no next one, the position stays the same.

    Numerics: everything runs in float32 under any policy: bfloat16 cannot count to 480 frames.

    Raises:
        ValueError: an argument is out of its range, or `inputs` is not three arrays.

    Example:
        >>> import numpy as np
        >>> policy = GaussianFramePolicy(n_frames=40)
        >>> outputs = policy([np.zeros((2, 8)), np.array([0.0, 20.0]), np.zeros(2)])
        >>> ops.convert_to_numpy(outputs["position"]).tolist()
        [20.0, 30.0]

    References:
        [1] Wu, Zhang and Zhao (2020). Multimodal fused emotion recognition about expression-EEG interaction and
        collaboration using deep learning. IEEE Access 8, doi:10.1109/ACCESS.2020.3010311.
    """

    def __init__(self, n_frames, direction="forward", sigma=0.1, learned_sigma=False, **kwargs):
        # Without autocast, positions reach `call` in float32 under mixed precision.
        super().__init__(autocast=False, **kwargs)
        if n_frames < 2:
            raise ValueError(f"`n_frames` must be 2 or more; received n_frames={n_frames}")
        if direction not in DIRECTIONS:
            raise ValueError(f"`direction` must be one of {DIRECTIONS}; received direction={direction!r}")
        if not 0 < sigma < math.inf:
            raise ValueError(f"`sigma` must be above 0; received sigma={sigma}")
        self.n_frames = n_frames
        self.direction = direction
        self.sigma = sigma
        self.learned_sigma = learned_sigma
        self.location = keras.layers.Dense(1, kernel_initializer="zeros", dtype="float32", name="location")

    def build(self, input_shape):
        """Create the weights."""
        if not isinstance(input_shape, list) or len(input_shape) != 3:
            raise ValueError(f"`inputs` must be [state, position, draw]; received shape {input_shape}")
        self.location.build(input_shape[0])
        if self.learned_sigma:
            self.log_sigma = self.add_weight(
                shape=(), initializer=keras.initializers.Constant(math.log(self.sigma)), name="log_sigma"
            )

    def call(self, inputs):
        """Draw the next frame; see the class."""
        state, position, draw = (ops.cast(one, "float32") for one in inputs)
        last = float(self.n_frames - 1)
        low = position + 1.0 if self.direction == "forward" else ops.zeros_like(position)
        location = low + (last - low) * ops.sigmoid(self.location(state)[..., 0])
        log_sigma = ops.cast(self.log_sigma, "float32") if self.learned_sigma else math.log(self.sigma)
        log_sigma = ops.convert_to_tensor(log_sigma + math.log(self.n_frames), dtype="float32")
        action = ops.stop_gradient(location + ops.exp(log_sigma) * draw)
        return {
            "action": action,
            "position": ops.round(ops.minimum(ops.maximum(action, low), last)),
            "log_probability": -0.5 * ops.square((action - location) / ops.exp(log_sigma))
            - log_sigma
            - 0.5 * math.log(2 * math.pi),
        }

    def get_config(self):
        """Return the constructor arguments for `from_config`."""
        return {
            **super().get_config(),
            "n_frames": self.n_frames,
            "direction": self.direction,
            "sigma": self.sigma,
            "learned_sigma": self.learned_sigma,
        }
