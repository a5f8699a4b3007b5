"""Video-EEG hierarchical LSTM: a network that selects which frames of faces and EEG images to look at."""

import math

import keras
import numpy as np
from keras import ops

from keras_emotion.layers import (
    BandAttention,
    FeatureScaling,
    GaussianFramePolicy,
    HierarchicalLSTMCell,
    ImageEncoder,
    SharedLSTMCell,
)
from keras_emotion.models.inference import InferenceMixin
from keras_emotion.models.topographic_images import TopographicImages
from keras_emotion.models.window_classifier import check_dropout, check_minima, softmax_head

MODALITIES = ("face", "eeg")
FACE_ENCODERS = ("small", "alexnet")
LOOKINGS = ("policy", "uniform")
POLICY_GRADIENTS = ("head", "all")
BASELINES = ("learned", None)

_MEAN, _DEVIATION = 0.45, 0.225
"""Statistics of ImageNet pictures over colours, for values from 0 to 1."""


class _LookingCell(keras.layers.Layer):
    """One look: input at the position, glimpse, core, and the next position; for `keras.layers.RNN`.

    The input of a step is the draw of the policy (or the next position, without a policy), `(batch, 1)`, followed by
    the dropout mask of the fused glimpse, if any. `frames` holds the features of all frames while a sequence is
    processed. The output concatenates the state of the core, the weights of its levels, the position and whether the
    step is live. The cell runs in float32, because positions do; its sublayers follow the precision policy.
    """

    def __init__(self, glimpse, core, band_attention, policy, n_frames, n_bands, unroll, **kwargs):
        super().__init__(autocast=False, **kwargs)
        # An unrolled loop is also for formats without conditions. For the gradient, JAX would store the needs of both
        # branches at every step: that takes a third more time than computing all steps.
        self.skips = not unroll and keras.backend.backend() != "jax"
        self.glimpse = glimpse
        self.core = core
        self.band_attention = band_attention
        self.policy = policy
        self.n_frames = n_frames
        self.n_bands = n_bands
        self.frames = None
        self.state_size = [1, 1, *glimpse.state_size, *core.state_size]
        self.output_size = core.units + len(core.attentions) * core.n_levels + 2

    def build(self, input_shape):
        # The surrounding layer, which has the sizes of the frames, builds its sublayers.
        self.built = True

    def get_initial_state(self, batch_size=None):
        # The first position is 0, and the first step is live.
        states = [ops.zeros((batch_size, size), dtype="float32") for size in self.state_size]
        return [states[0], ops.ones((batch_size, 1), dtype="float32"), *states[2:]]

    def call(self, inputs, states):
        if not self.skips:
            return self._look(inputs, states)
        # A step at which no segment of the batch is live is skipped.
        return ops.cond(ops.any(states[1] > 0.5), lambda: self._look(inputs, states), lambda: self._carry(states))

    def _carry(self, states):
        """Return the output of a step without a look."""
        position, live, *before = states
        weights = ops.zeros((ops.shape(position)[0], self.output_size - self.core.units - 2), dtype="float32")
        return ops.concatenate([self._top(before), weights, position, live], axis=-1), list(states)

    def _top(self, states):
        """Return the state of the highest level of the core."""
        return states[2][:, -self.core.units :]

    def _look(self, inputs, states):
        position, live, *before = states
        core_before = before[2:]

        # === Input at the position ===
        here = ops.one_hot(ops.cast(position[:, 0], "int32"), self.n_frames)
        seen = []
        for name, frames in self.frames.items():
            there = ops.matmul(ops.expand_dims(ops.cast(here, frames.dtype), 1), frames)[:, 0]
            if name == "eeg":
                bands = ops.reshape(there, (-1, self.n_bands, there.shape[-1] // self.n_bands))
                there = self.band_attention([bands, self._top(before)])
            seen.append(there)

        # === Glimpse and core ===
        fused, glimpse_after = self.glimpse(ops.concatenate(seen, axis=-1), before[:2])
        if inputs.shape[-1] > 1:
            fused = ops.cast(fused, "float32") * inputs[:, 1:]
        core_after, weights = self.core.step(fused, core_before)

        # === After the end all states are carried ===
        is_live = live > 0.5
        after = [
            ops.where(is_live, ops.cast(new, "float32"), old)
            for new, old in zip([*glimpse_after, *core_after], before, strict=True)
        ]
        state = self._top(after)
        output = ops.concatenate([state, *weights, position, live], axis=-1)

        # === Action: none at the last frame ===
        goes_on = ops.logical_and(is_live, position < self.n_frames - 1)
        if self.policy is None:
            chosen = inputs[:, :1]
        else:
            # No gradient passes through the loop here: `_Looking` recomputes log-probabilities outside.
            given = [ops.stop_gradient(one) for one in (state, position[:, 0], inputs[:, 0])]
            chosen = ops.expand_dims(self.policy(given)["position"], -1)
        return output, [ops.where(goes_on, chosen, position), ops.cast(goes_on, "float32"), *after]


class _Looking(keras.layers.Layer):
    """Sequence of looks at frames, from vectors of all frames, `n_rollouts` times in training.

    Inputs by name: `face` `(batch, frames, width)`, `eeg` `(batch, frames, bands, features)`, `noise` `(batch,
    rollouts, looks)`. All outputs are float32 and have the rollouts as second axis.

    Args:
        arguments: constructor arguments of the model, by name.
        inner_policy: dtype policy of the parts trained without rewards.
        **kwargs: `name` of `keras.layers.Layer`.
    """

    def __init__(self, arguments, inner_policy, **kwargs):
        super().__init__(autocast=False, dtype="float32", **kwargs)
        for argument in ("modalities", "n_frames", "n_looks", "width", "sample", "policy_gradient"):
            setattr(self, argument, arguments[argument])
        self.policy = self.baseline = None
        self.n_rollouts = 1
        if arguments["looking"] == "policy":
            self.n_rollouts = arguments["n_rollouts"]
            gaussian = {name: arguments[name] for name in ("n_frames", "direction", "sigma", "learned_sigma")}
            self.policy = GaussianFramePolicy(**gaussian, dtype="float32", name="policy")
            if arguments["baseline"] == "learned":
                # Zero at the start: without rewards the policy has no gradient.
                self.baseline = keras.layers.Dense(1, kernel_initializer="zeros", dtype="float32", name="baseline")
        levels = {
            name: arguments[name] for name in ("units", "n_levels", "level_attention", "level_state", "attention_units")
        }
        band_attention = None
        if "eeg" in self.modalities:
            band_attention = BandAttention(self.width, dtype=inner_policy, name="band_attention")
        self.cell = _LookingCell(
            glimpse=SharedLSTMCell(arguments["units"], len(self.modalities), dtype=inner_policy, name="glimpse"),
            core=HierarchicalLSTMCell(**levels, dtype=inner_policy, name="core"),
            band_attention=band_attention,
            policy=self.policy,
            n_frames=self.n_frames,
            n_bands=arguments["n_bands"],
            unroll=arguments["unroll"],
            dtype="float32",
            name="cell",
        )
        self.loop = keras.layers.RNN(
            self.cell, return_sequences=True, unroll=arguments["unroll"], dtype="float32", name="loop"
        )
        self.dropout = keras.layers.Dropout(arguments["dropout"], dtype="float32", name="glimpse_dropout")
        self.draws = keras.random.SeedGenerator()

    def build(self, input_shape):
        cell = self.cell
        cell.glimpse.build((None, len(self.modalities) * self.width))
        cell.core.build((None, cell.glimpse.output_size))
        if cell.band_attention is not None:
            cell.band_attention.build([(None, *input_shape["eeg"][2:]), (None, cell.core.units)])
        for layer, shape in (
            (self.policy, [(None, cell.core.units), (None,), (None,)]),
            (self.baseline, (None, self.n_looks - 1, cell.core.units)),
        ):
            if layer is not None:
                layer.build(shape)
        self.loop.build((None, self.n_looks, 1))

    def call(self, inputs, training=False):
        n_rollouts = self.n_rollouts if training else 1
        n_samples = ops.shape(inputs[self.modalities[0]])[0]
        sequence = self._sequence(inputs, n_samples, n_rollouts, training)

        # === The loop ===
        frames = {name: self._frames(inputs[name], n_rollouts) for name in self.modalities}
        steps = ops.reshape(sequence, (-1, self.n_looks, 1))
        if training and self.dropout.rate:
            ones = ops.ones((n_samples * n_rollouts, self.n_looks, self.cell.glimpse.output_size), dtype="float32")
            steps = ops.concatenate([steps, self.dropout(ones, training=True)], axis=-1)
        # A cell gets one sequence and states: data shared by all steps are stored in the cell.
        self.cell.frames = frames
        try:
            gone_through = self.loop(steps)
        finally:
            self.cell.frames = None
        gone_through = ops.reshape(gone_through, (-1, n_rollouts, self.n_looks, self.cell.output_size))
        states = gone_through[..., : self.cell.core.units]
        weights = gone_through[..., self.cell.core.units : -2]
        positions, live = gone_through[..., -2], gone_through[..., -1]

        # === Results of the loop ===
        looks = ops.sum(live, axis=-1)
        outputs = {"state": states[:, :, -1]}
        if self.cell.core.attentions:
            # Eq. 8 and 9: the mean of weights that sum to 1 is 1 / L.
            squared = ops.sum(ops.square(weights - 1 / self.cell.core.n_levels), axis=-1)
            outputs["penalty"] = ops.sum(live * squared, axis=-1) / looks
        if self.policy is not None:
            before = states[:, :, :-1]
            read = ops.stop_gradient(before) if self.policy_gradient == "head" else before
            given = self.policy([read, positions[:, :, :-1], sequence[:, :, :-1]])
            outputs |= {"positions": positions, "looks": looks}
            # A step at which an action was drawn is followed by a live one.
            acts = live[:, :, 1:] > 0.5
            outputs["actions"] = ops.where(acts, given["action"], positions[:, :, :-1])
            outputs["log_policy"] = ops.where(acts, given["log_probability"], 0.0)
            if self.baseline is not None:
                value = self.baseline(ops.stop_gradient(before))[..., 0]
                outputs["baseline"] = ops.where(acts, value, 0.0)
        return outputs

    def compute_output_spec(self, inputs, training=False):
        # Explicit: Keras would trace the loop to find out.
        shapes = {"state": (self.cell.core.units,)}
        if self.cell.core.attentions:
            shapes["penalty"] = ()
        if self.policy is not None:
            before = (self.n_looks - 1,)
            shapes |= {"positions": (self.n_looks,), "looks": (), "actions": before, "log_policy": before}
            if self.baseline is not None:
                shapes["baseline"] = before
        leading = (inputs[self.modalities[0]].shape[0], self.n_rollouts if training else 1)
        return {name: keras.KerasTensor((*leading, *shape), "float32") for name, shape in shapes.items()}

    def _sequence(self, inputs, n_samples, n_rollouts, training):
        """Return draws of the policy, or next positions, `(batch, rollouts, looks)`."""
        shape = (n_samples, n_rollouts, self.n_looks)
        if self.policy is None:
            places = np.linspace(0, self.n_frames - 1, self.n_looks).round()
            return ops.zeros(shape, dtype="float32") + ops.convert_to_tensor([*places[1:], places[-1]], "float32")
        if not training and not self.sample:
            return ops.zeros(shape, dtype="float32")
        if "noise" in inputs:
            return ops.cast(inputs["noise"][:, :n_rollouts], "float32")
        return keras.random.normal(shape, dtype="float32", seed=self.draws)

    def _frames(self, frames, n_rollouts):
        frames = ops.reshape(frames, (-1, self.n_frames, math.prod(frames.shape[2:])))
        return ops.repeat(frames, n_rollouts, axis=0) if n_rollouts > 1 else frames


@keras.saving.register_keras_serializable(package="keras_emotion")
class VideoEEGHierarchicalLSTM(InferenceMixin, keras.Model):
    r"""Look at some frames of a face and of EEG images, one after another, and classify the emotion [1].

    A sample is a segment of frames, each a picture of the face and an image of EEG for each frequency band. Starting at
    frame 0, at each look `n`:

    1. Encoders, applied to all frames before the loop, return `x_v` of the face, projected to `width`, and `e_i` of
       each band, by one encoder for all bands; `BandAttention` fuses them to `x_e` (Eq. 1 and 2).
    2. Glimpse: `SharedLSTMCell` reads both, each with its own states; the outputs are concatenated; dropout.
    3. Core: `HierarchicalLSTMCell` (Eq. 3 to 7), whose top state `h_n` is read by band attention, policy and softmax.
    4. Action: `GaussianFramePolicy` returns the next frame. The segment ends when the last frame has been looked at, or
       after `n_looks` looks; after the end, all states are carried. In inference the policy is greedy.

    After dropout, a dense layer with softmax computes the probabilities from the last state. The loss, `compute_loss`,
    is the same for every backend: compile the model without a loss, and pass the class of each segment as target.

    $$\mathcal L = -\log p(y) - \lambda P - \frac{1}{M} \sum_m \sum_{n<N} \log \pi(a_n^m) (R^m - b_n^m)
    + \frac{1}{M} \sum_m \frac{1}{N-1} \sum_{n<N} (R^m - b_n^m)^2$$

    - `P` (Eq. 8 and 9): mean over looks of the squared deviations of the weights of the levels, of hidden and of cell
      states, from their mean, summed over levels. It is `2 (1 - 1/L)` at most, and 0 with one level. (The text of [1]
      mentions diversity between time steps, the equation diversity between levels.)
    - `R = reward_weight R' + sparsity_weight N` (Eq. 16 and 17), with `R'` `reward_right` or `reward_wrong`, and `N`
      the number of looks. `R`, `b` before `log π`, and the actions are constants for the gradient.
    - `b_n`: a linear function of `h_n`, trained by the last term only; none with `baseline=None`.

    With `training=False` (`evaluate`, validation) `compute_loss` returns only the cross-entropy, as a criterion for the
    epoch.

    **Deviations.** [1] states neither the encoder of EEG images, nor any size of the network, nor the meaning of
    dropout 0.6 (a rate here), nor standard deviation, range and readout of the policy, nor the rewards,
    `sparsity_weight`, the number of rollouts and the baseline strategy (announced, never described). All of them are
    arguments. [1] extracts features of faces by a fully connected layer of AlexNet; `face_encoder="alexnet"` uses them
    unchanged. `x_e` already has the width of the projection. "Experience replay", mentioned once, is not implemented.

    Args:
        modalities: `("face", "eeg")` (default) or one of them.
        n_frames: number of frames of a segment, 2 or more; default 40 (5 s at 8 frames per second).
        n_looks: maximum number of looks, `N_max`, 2 or more; default 40.
        face_encoder: `"small"` (default): an `ImageEncoder` of pictures, trained with the rest; `"alexnet"`: the
            features of a frozen network are the input.
        face_size: rows and columns of a face in pixels, 1 or more; default 64. For `"small"`.
        n_face_features: number of features of a face, 1 or more; default 4096 (fc7 of AlexNet). For `"alexnet"`.
        image_size: rows and columns of an EEG image, 1 or more; default 32.
        n_bands: number of frequency bands, 1 or more; default 3.
        channel_names: names of the EEG channels: the input is the logarithmic powers of each channel, which
            `TopographicImages`, the layer `topography`, interpolates to images within the network; default `None`: the
            input is images.
        electrode_directions: as the `directions` of `TopographicImages`; default `None`.
        filters: as `ImageEncoder`, of both encoders; default `(16, 32, 32)`.
        width: size of the projected vectors, and of the encoders' outputs; default 256.
        units: size of the states of glimpse and core, 1 or more; default 256.
        n_levels: as `HierarchicalLSTMCell`.
        level_attention: as `HierarchicalLSTMCell`.
        level_state: as `HierarchicalLSTMCell`.
        attention_units: as `HierarchicalLSTMCell`.
        n_classes: number of classes, 2 or more; default 2.
        dropout: dropout rate of the fused glimpse and of the last state, from 0 to below 1; default 0.6.
        looking: `"policy"` (default), or `"uniform"`: `n_looks` frames evenly spread from the first to the last, for
            comparison; there is then neither policy nor REINFORCE.
        direction: as `GaussianFramePolicy`.
        sigma: as `GaussianFramePolicy`.
        learned_sigma: as `GaussianFramePolicy`.
        policy_gradient: `"head"` (default): REINFORCE trains only the policy's weights; `"all"`: also the layers below.
        level_penalty: `λ`, 0 or above; default 1 [1]. Not used without attention between levels.
        reward_weight: `λ_r`, 0 or above; default 1. At 0 correct predictions are not rewarded.
        reward_right: `R'` of a correct prediction; default 1.
        reward_wrong: `R'` of a wrong one; default -2 ("highly punished").
        sparsity_weight: `λ_sparse`, 0 or below; default -0.01.
        baseline: `"learned"` (default) or `None`.
        n_rollouts: `M`, number of looking sequences of a sample in training, 1 or more; default 1.
        sample: whether the policy draws in inference, too; default `False`.
        given_noise: whether the draws are an input, for tests and for comparing backends; default `False`.
        unroll: whether the loop is unrolled, for formats without loops; default `False`: an unrolled loop takes a
            minute and more to compile.
        inference: metadata that a user of the saved model needs: how faces and EEG images are
            made, bands, frame rate, label rule. JSON-able mapping; default `None`.
        name: name of the model.
        trainable: whether its weights are trained.
        dtype: dtype policy of the encoders, glimpse, core and classifier.

    Input:
        A dictionary with `"faces"`, `(batch, frames, rows, columns, 3)`, values from 0 to 255 (the model subtracts the
        mean of ImageNet's pictures and divides by their deviation, over colours: uncentred pixels hardly train the
        encoder), or `"face_features"`, `(batch, frames, features)`, standardised by `feature_scaling`; `"eeg"`,
        `(batch, frames, rows, columns, bands)`, standardised, or with `channel_names` `(batch, frames, channels,
        bands)`, logarithms of powers; with `given_noise=True` also `"noise"`, `(batch, n_rollouts, n_looks)`, standard
        normal; inference reads it only with `sample=True`, the first rollout.

    Output:
        A dictionary of float32 arrays. For each segment:

        - `"probabilities"`, `(batch, n_classes)`, mean over rollouts;

        and with a policy:

        - `"positions"`, `(batch, n_looks)`: the frames that were looked at, from 0; constant after the last look;
        - `"looks"`, `(batch,)`: their number;
        - `"actions"`, `(batch, n_looks - 1)`: the next position before clipping and rounding.

        For `compute_loss`, for each rollout, of which there is one in inference: `"rollout_logits"`, `(batch, rollouts,
        n_classes)`; with attention between levels `"penalty"`, `(batch, rollouts)`; with a policy `"rollout_looks"`,
        `(batch, rollouts)`, `"log_policy"` and `"baseline"`, `(batch, rollouts, n_looks - 1)`, 0 where no action was
        drawn. Positions, looks and actions are those of the first rollout.

    Numerics: positions, policy, baseline, dropout of the glimpse, softmaxes and loss run in float32 under mixed
    precision, and the states of the loop are stored in it. A seed gives different draws on different backends.

    Raises:
        InputError: electrodes in `channel_names` have no known position, or there are fewer than three.
        ValueError: an argument is out of its range, or `inference` is not JSON-able.

    Example:
        >>> import numpy as np
        >>> model = VideoEEGHierarchicalLSTM(n_frames=4, n_looks=3, face_size=16, image_size=8, width=4, units=4)
        >>> outputs = model({"faces": np.zeros((2, 4, 16, 16, 3)), "eeg": np.zeros((2, 4, 8, 8, 3))})
        >>> tuple(outputs["probabilities"].shape), ops.convert_to_numpy(outputs["positions"]).tolist()
        ((2, 2), [[0.0, 2.0, 3.0], [0.0, 2.0, 3.0]])

    References:
        [1] Wu, Zhang and Zhao (2020). Multimodal fused emotion recognition about expression-EEG interaction and
        collaboration using deep learning. IEEE Access 8, doi:10.1109/ACCESS.2020.3010311.
    """

    def __init__(
        self,
        modalities=MODALITIES,
        n_frames=40,
        n_looks=40,
        face_encoder="small",
        face_size=64,
        n_face_features=4096,
        image_size=32,
        n_bands=3,
        channel_names=None,
        electrode_directions=None,
        filters=(16, 32, 32),
        width=256,
        units=256,
        n_levels=3,
        level_attention=True,
        level_state="sum",
        attention_units=64,
        n_classes=2,
        dropout=0.6,
        looking="policy",
        direction="forward",
        sigma=0.1,
        learned_sigma=False,
        policy_gradient="head",
        level_penalty=1.0,
        reward_weight=1.0,
        reward_right=1.0,
        reward_wrong=-2.0,
        sparsity_weight=-0.01,
        baseline="learned",
        n_rollouts=1,
        sample=False,
        given_noise=False,
        unroll=False,
        inference=None,
        *,
        name=None,
        trainable=True,
        dtype=None,
    ):
        own = {**locals()}
        arguments = {argument: own[argument] for argument in _ARGUMENTS}
        _check(arguments)
        modalities = tuple(modality for modality in MODALITIES if modality in modalities)
        arguments |= {"modalities": modalities, "filters": tuple(filters)}

        # === Layers ===
        dtype_policy = keras.dtype_policies.get(dtype or keras.config.dtype_policy())
        looking_layer = _Looking(arguments, dtype_policy, name="looking")
        classifier, softmax = softmax_head(n_classes, dtype_policy)
        head_dropout = keras.layers.Dropout(dropout, dtype=dtype_policy, name="dropout")

        # === Graph ===
        inputs, vectors = {}, {}
        if "face" in modalities and face_encoder == "small":
            x = inputs["faces"] = keras.Input((n_frames, face_size, face_size, 3), name="faces")
            x = keras.layers.Rescaling(1 / 255, dtype=dtype_policy, name="rescaling")(x)
            scale, offset = 1 / _DEVIATION, -_MEAN / _DEVIATION
            x = keras.layers.Rescaling(scale, offset, dtype=dtype_policy, name="centring")(x)
            x = ImageEncoder(filters, width, dtype=dtype_policy, name="face_encoder")(x)
        elif "face" in modalities:
            x = inputs["face_features"] = keras.Input((n_frames, n_face_features), name="face_features")
            x = FeatureScaling((-1,), dtype=dtype_policy, name="face_scaling")(x)
        if "face" in modalities:
            vectors["face"] = keras.layers.Dense(width, dtype=dtype_policy, name="face_projection")(x)
        if "eeg" in modalities:
            if channel_names is None:
                x = inputs["eeg"] = keras.Input((n_frames, image_size, image_size, n_bands), name="eeg")
                x = ops.transpose(x, (0, 1, 4, 2, 3))
            else:
                x = inputs["eeg"] = keras.Input((n_frames, len(channel_names), n_bands), name="eeg")
                images = TopographicImages(
                    channel_names, electrode_directions, image_size, dtype=dtype_policy, name="topography"
                )
                x = images(x)
            x = ops.expand_dims(x, -1)
            vectors["eeg"] = ImageEncoder(filters, width, dtype=dtype_policy, name="eeg_encoder")(x)
        if given_noise:
            vectors["noise"] = inputs["noise"] = keras.Input((n_rollouts, n_looks), name="noise")
        seen = looking_layer(vectors)
        logits = ops.cast(classifier(head_dropout(seen["state"])), "float32")
        outputs = {
            "probabilities": ops.mean(softmax(logits), axis=1),
            **{name: seen[name][:, 0] for name in ("positions", "looks", "actions") if name in seen},
            "rollout_logits": logits,
            **({"rollout_looks": seen["looks"]} if "looks" in seen else {}),
            **{name: seen[name] for name in ("penalty", "log_policy", "baseline") if name in seen},
        }
        super().__init__(inputs=inputs, outputs=outputs, name=name)

        # === Configuration ===
        # Set here: a functional model's constructor does not pass it on to its layers.
        self.trainable = trainable
        self.dtype_policy = dtype_policy
        if channel_names is not None:
            arguments["channel_names"] = tuple(channel_names)
        if electrode_directions is not None:
            given = (None if one is None else tuple(float(part) for part in one) for one in electrode_directions)
            arguments["electrode_directions"] = tuple(given)
        for argument, value in arguments.items():
            setattr(self, argument, value)
        self._keep_inference(inference)

    @property
    def feature_scaling(self):
        """Layers with statistics of inputs, by the name of the input.

        `model.feature_scaling["face_features"]` is a `FeatureScaling` of `(features,)`; `["eeg"]`, if the model
        computes the images, the `TopographicImages`.
        """
        names = {"topography": "eeg", "face_scaling": "face_features"}
        return {names[layer.name]: layer for layer in self.layers if layer.name in names}

    def eeg_images(self, powers):
        """Return the network's images of EEG.

        Args:
            powers: `(batch, frames, channels, bands)` logarithms of powers.

        Returns:
            `(batch, frames, bands, image_size, image_size)` float32 NumPy array.

        Raises:
            ValueError: the network's inputs are images (`channel_names=None`).
        """
        if self.channel_names is None:
            raise ValueError("`channel_names` is None: the images are the input; expected the names of the channels")
        return ops.convert_to_numpy(ops.cast(self.get_layer("topography")(powers), "float32"))

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Compute cross-entropy, penalty and the score-function estimate; see the class.

        Args:
            x: inputs; ignored.
            y: class of each segment, `(batch,)` or `(batch, 1)`.
            y_pred: outputs of the model.
            sample_weight: weight of each segment, `(batch,)`; default: all 1.
            training: whether all terms are summed; otherwise (`False`) only the cross-entropy.

        Returns:
            The mean over the segments (weighted, divided by their number), a float32 scalar.
        """
        logits = y_pred["rollout_logits"]
        # (batch, 1): all rollouts of a segment have its class.
        classes = ops.cast(ops.reshape(y, (-1, 1)), "int32")
        one_hot = ops.one_hot(classes, self.n_classes, dtype="float32")
        loss = -ops.sum(one_hot * ops.log_softmax(logits, axis=-1), axis=-1)
        if training and "penalty" in y_pred:
            loss = loss - self.level_penalty * y_pred["penalty"]
        if training and "log_policy" in y_pred:
            right = ops.cast(ops.argmax(logits, axis=-1), "int32") == classes
            reward = self.reward_weight * ops.where(right, self.reward_right, self.reward_wrong)
            reward = ops.stop_gradient(reward + self.sparsity_weight * y_pred["rollout_looks"])
            # Actions are drawn at looks 1 to N - 1.
            looks = ops.expand_dims(y_pred["rollout_looks"], -1)
            acts = ops.cast(ops.arange(1, self.n_looks, dtype="float32") < looks, "float32")
            advantage = ops.expand_dims(reward, -1)
            if "baseline" in y_pred:
                advantage = advantage - y_pred["baseline"]
                loss = loss + ops.sum(acts * ops.square(advantage), axis=-1) / ops.maximum(ops.sum(acts, axis=-1), 1)
            loss = loss - ops.sum(acts * y_pred["log_policy"] * ops.stop_gradient(advantage), axis=-1)
        loss = ops.mean(loss, axis=1)
        if sample_weight is not None:
            loss = loss * ops.reshape(ops.cast(sample_weight, "float32"), (-1,))
        return ops.mean(loss)

    def window_probabilities(self, outputs):
        """Return the class probabilities of a window.

        Args:
            outputs: outputs or predictions of the model.

        Returns:
            `(batch, n_classes)` tensor whose rows sum to 1.
        """
        return outputs["probabilities"]

    def window_looks(self, outputs):
        """Return which frames were looked at; `None` without a policy.

        Args:
            outputs: outputs or predictions of the model.

        Returns:
            `(batch,)` numbers of looks, and `(batch, n_looks)` positions from 0, constant after the last look.
        """
        return (outputs["looks"], outputs["positions"]) if self.looking == "policy" else None

    def is_decided(self, outputs, margin=1e-3):
        """Return whether the positions of a segment are robust to rounding: none lies between two frames.

        Two implementations of the network may differ by float32 rounding, and look at different frames if a position is
        half-way.

        Args:
            outputs: outputs or predictions of the model.
            margin: smallest distance of a position before rounding from the midpoint between two frames.

        Returns:
            `(batch,)` bool NumPy array.
        """
        if self.looking != "policy":
            return np.ones(len(outputs["probabilities"]), bool)
        actions = ops.convert_to_numpy(outputs["actions"]).astype("float64")
        return (np.abs(actions % 1 - 0.5) >= margin).all(axis=1)

    def exported_model(self):
        """Build the network for export to other formats: greedy, without random operations, with an unrolled loop.

        Returns:
            A functional model with these weights and inputs (except `"noise"`), whose outputs are `"probabilities"`
            and, with a policy, `"positions"`, `"looks"` and `"actions"`.
        """
        known = {argument: getattr(self, argument) for argument in _ARGUMENTS}
        greedy = type(self)(**{**known, "sample": False, "given_noise": False, "unroll": True}, dtype=self.dtype_policy)
        greedy.set_weights(self.get_weights())
        names = ("probabilities", "positions", "looks", "actions")
        outputs = {name: greedy.output[name] for name in names if name in greedy.output}
        return keras.Model(greedy.input, outputs, name=self.name)

    def get_config(self):
        """Return the constructor arguments for `from_config`."""
        arguments = {argument: getattr(self, argument) for argument in _ARGUMENTS}
        lists = {name: list(arguments[name]) for name in ("modalities", "filters")}
        for name in ("channel_names", "electrode_directions"):
            if arguments[name] is not None:
                lists[name] = [list(one) if isinstance(one, tuple) else one for one in arguments[name]]
        return {**super().get_config(), **arguments, **lists}


_ARGUMENTS = (
    "modalities",
    "n_frames",
    "n_looks",
    "face_encoder",
    "face_size",
    "n_face_features",
    "image_size",
    "n_bands",
    "channel_names",
    "electrode_directions",
    "filters",
    "width",
    "units",
    "n_levels",
    "level_attention",
    "level_state",
    "attention_units",
    "n_classes",
    "dropout",
    "looking",
    "direction",
    "sigma",
    "learned_sigma",
    "policy_gradient",
    "level_penalty",
    "reward_weight",
    "reward_right",
    "reward_wrong",
    "sparsity_weight",
    "baseline",
    "n_rollouts",
    "sample",
    "given_noise",
    "unroll",
)


def _check(arguments):
    modalities = arguments["modalities"]
    if isinstance(modalities, str) or not modalities or not set(modalities) <= set(MODALITIES):
        raise ValueError(f"`modalities` must be one or both of {MODALITIES}; received modalities={modalities!r}")
    for argument, allowed in (
        ("face_encoder", FACE_ENCODERS),
        ("looking", LOOKINGS),
        ("policy_gradient", POLICY_GRADIENTS),
        ("baseline", BASELINES),
    ):
        if arguments[argument] not in allowed:
            raise ValueError(f"`{argument}` must be one of {allowed}; received {argument}={arguments[argument]!r}")
    twos = ("n_frames", "n_looks", "n_classes")
    ones = ("face_size", "n_face_features", "image_size", "n_bands", "width", "units", "n_rollouts")
    check_minima(*((name, arguments[name], 2) for name in twos), *((name, arguments[name], 1) for name in ones))
    check_minima(("level_penalty", arguments["level_penalty"], 0), ("reward_weight", arguments["reward_weight"], 0))
    check_dropout(arguments["dropout"])
    if arguments["sparsity_weight"] > 0:
        raise ValueError(
            f"`sparsity_weight` must be 0 or below; received sparsity_weight={arguments['sparsity_weight']}"
        )
