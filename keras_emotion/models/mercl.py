"""MERCL: encoders of picture, sound and EEG, their contrastive training, and the classifier on top of them."""

import copy
import json
import math

import keras
from keras import ops

from keras_emotion.layers import (
    EEGConformerConvolution,
    FeatureScaling,
    PairwiseCrossModalAttention,
    ResidualTCN,
    SpeechConformerConvolution,
)
from keras_emotion.models.window_classifier import WindowClassifierMixin, check_dropout, check_minima, softmax_head

MODALITIES = ("visual", "audio", "eeg")
CONFORMERS = ("eeg", "speech")

_DILATION_RATES = ((1,), (2,), (4,), (8,))
# Kernel, pooling and stride of the convolution module of EEG Conformer, for powers in windows and for the signal.
_CONFORMER_SIZES = {"powers": (5, 3, 2), "raw": (25, 75, 15)}
_SIZES = (
    "n_frames",
    "n_picture_features",
    "n_patches",
    "n_sound_features",
    "n_steps",
    "n_channels",
    "n_bands",
    "conformer",
    "units",
    "dropout",
)
_TRAINED = {"visual": "picture_encoder", "audio": "sound_encoder"}


class _InInference(keras.layers.Layer):
    """A layer or model that is called as in inference, whatever is called around it.

    An argument `training=False` in the graph of a functional model would not do: Keras replaces it by that of the call.
    """

    def __init__(self, layer, **kwargs):
        super().__init__(name=layer.name, **kwargs)
        self.layer = layer

    def build(self, input_shape):
        if not self.layer.built:
            self.layer.build(input_shape)

    def call(self, inputs):
        return self.layer(inputs, training=False)

    def compute_output_shape(self, input_shape):
        return self.layer.compute_output_shape(input_shape)


class _Encoders:
    """The encoders of the modalities as part of a functional model; stands before `keras.Model`."""

    def _sequences(self, modalities, policy, frozen, encoders, sizes):
        """Two dictionaries by modality: the inputs, and what the encoders make of them, `(batch, steps, units)`."""

        def called(layer, x):
            return (_InInference(layer, dtype=policy) if frozen else layer)(x)

        inputs, sequences = {}, {}
        for modality in modalities:
            encoder = encoders.get(modality)
            shape = _input_shape(modality, encoder, sizes)
            inputs[modality] = keras.Input(shape, name=modality)
            x = inputs[modality]
            # Of pictures, the encoder scales the pixels.
            if encoder is None or modality != "visual":
                axes = (-2, -1) if modality == "eeg" and sizes["n_bands"] is not None else (-1,)
                x = FeatureScaling(axes, dtype=policy, name=f"{modality}_scaling")(x)
            if modality == "eeg":
                x = called(_conformer(sizes, policy), x if sizes["n_bands"] is not None else ops.expand_dims(x, -1))
            elif encoder is not None:
                # One more model around it, so that its layers are found by the same name whatever its own is.
                encoder = keras.Model(encoder.input, encoder.output, name=f"{modality}_encoder")
                n_features = encoder.output_shape[-1]
                x = ops.reshape(called(encoder, ops.reshape(x, (-1, *shape[1:]))), (-1, shape[0], n_features))
            network = ResidualTCN(
                sizes["units"],
                _DILATION_RATES,
                dropout=sizes["dropout"],
                activation="elu",
                dtype=policy,
                name=f"{modality}_tcn",
            )
            sequences[modality] = called(network, x)
        return inputs, sequences

    def _keep(self, modalities, policy, trainable, encoders, sizes):
        """Remembers what the constructor was given."""
        # Set here: what a functional model's constructor is given does not reach its layers.
        self.trainable = trainable
        self.dtype_policy = policy
        self.modalities = modalities
        for name in _SIZES:
            setattr(self, name, sizes[name])
        # As text: Keras would track what is in a dictionary.
        self._encoder_configs = json.dumps(
            {_TRAINED[modality]: keras.saving.serialize_keras_object(encoder) for modality, encoder in encoders.items()}
        )

    def take_encoders(self, saved):
        """Take over the weights of the encoders of another such model, of the modalities that both have.

        The spatial encoder and the TCN of a modality, and its projection where both have one; not the scaling of the
        inputs, which is that of the training windows.

        Args:
            saved: a `MERCL` or `MERCLEncoder`.

        Returns:
            The modalities whose encoders were taken, a tuple: one at least, as both have two of three.

        Raises:
            ValueError: an encoder is of another size.
        """
        names = {layer.name for layer in self.layers} & {layer.name for layer in saved.layers}
        taken = tuple(one for one in self.modalities if one in saved.modalities)
        if not taken:
            raise ValueError(
                f"`saved` has {', '.join(saved.modalities)}; expected some of {', '.join(self.modalities)}"
            )
        for modality in taken:
            for name in (f"{modality}_{part}" for part in ("encoder", "conformer", "tcn", "projection")):
                if name not in names:
                    continue
                own, other = (getattr(one, "layer", one) for one in (self.get_layer(name), saved.get_layer(name)))
                shapes = [[tuple(weight.shape) for weight in layer.weights] for layer in (own, other)]
                if shapes[0] != shapes[1]:
                    raise ValueError(f"layer {name!r} of `saved` has weights of other shapes; expected the same sizes")
                own.set_weights(other.get_weights())
        return taken

    @property
    def feature_scaling(self):
        """The layers that scale the inputs, by modality.

        `model.feature_scaling["eeg"].set_statistics(mean, standard_deviation)` takes arrays `(channels, bands)`, or
        `(channels,)` for the signal itself, the others arrays `(features,)`, most often of the training windows.
        """
        names = {layer.name for layer in self.layers}
        return {one: self.get_layer(f"{one}_scaling") for one in self.modalities if f"{one}_scaling" in names}

    def get_config(self):
        """Constructor arguments that both models have, as `from_config` takes them."""
        encoders = json.loads(self._encoder_configs)
        return {
            **super().get_config(),
            "modalities": list(self.modalities),
            **{name: getattr(self, name) for name in _SIZES},
            **{name: encoders.get(name) for name in _TRAINED.values()},
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Build the model of a configuration."""
        # A copy: Keras empties the configuration of a functional model while it reads it.
        config = copy.deepcopy(config)
        for name in _TRAINED.values():
            if config.get(name) is not None:
                config[name] = keras.saving.deserialize_keras_object(config[name], custom_objects=custom_objects)
        return cls(**config)


def _checked_modalities(modalities):
    if isinstance(modalities, str) or len(modalities) < 2 or len(set(modalities)) < len(modalities):
        raise ValueError(f"`modalities` must be two or more of {MODALITIES}, each once; received {modalities!r}")
    if not set(modalities) <= set(MODALITIES):
        raise ValueError(f"`modalities` must be among {MODALITIES}; received modalities={modalities!r}")
    return tuple(modality for modality in MODALITIES if modality in modalities)


def _checked_encoders(modalities, picture_encoder, sound_encoder):
    encoders = {}
    for modality, encoder, n_axes in (("visual", picture_encoder, 4), ("audio", sound_encoder, 3)):
        if encoder is None or modality not in modalities:
            continue
        shapes = [getattr(encoder, name, None) for name in ("input_shape", "output_shape")]
        if not all(isinstance(shape, tuple) for shape in shapes) or [len(one) for one in shapes] != [n_axes, 2]:
            raise ValueError(
                f"`{_TRAINED[modality]}` must be a model of one input of {n_axes} axes and one output (batch, "
                f"features); received {encoder!r}"
            )
        encoders[modality] = encoder
    return encoders


def _check_sizes(sizes):
    check_minima(
        ("n_frames", sizes["n_frames"], 1),
        ("n_picture_features", sizes["n_picture_features"], 1),
        ("n_patches", sizes["n_patches"], 1),
        ("n_sound_features", sizes["n_sound_features"], 1),
        ("n_channels", sizes["n_channels"], 1),
        ("units", sizes["units"], 1),
    )
    if sizes["n_bands"] is not None:
        check_minima(("n_bands", sizes["n_bands"], 1))
    if sizes["conformer"] not in CONFORMERS:
        raise ValueError(f"`conformer` must be one of {CONFORMERS}; received conformer={sizes['conformer']!r}")
    fewest = 1
    if sizes["conformer"] == "eeg":
        kernel_size, pool_size, _ = _CONFORMER_SIZES["raw" if sizes["n_bands"] is None else "powers"]
        fewest = kernel_size + pool_size - 1
    check_minima(("n_steps", sizes["n_steps"], fewest))
    check_dropout(sizes["dropout"])


def _input_shape(modality, encoder, sizes):
    if modality == "eeg":
        bands = () if sizes["n_bands"] is None else (sizes["n_bands"],)
        return (sizes["n_steps"], sizes["n_channels"], *bands)
    n_steps, n_features = {
        "visual": (sizes["n_frames"], sizes["n_picture_features"]),
        "audio": (sizes["n_patches"], sizes["n_sound_features"]),
    }[modality]
    return (n_steps, *((n_features,) if encoder is None else encoder.input_shape[1:]))


def _conformer(sizes, policy):
    if sizes["conformer"] == "speech":
        return SpeechConformerConvolution(dropout=min(sizes["dropout"], 0.1), dtype=policy, name="eeg_conformer")
    kernel_size, pool_size, pool_stride = _CONFORMER_SIZES["raw" if sizes["n_bands"] is None else "powers"]
    return EEGConformerConvolution(
        kernel_size=kernel_size,
        pool_size=pool_size,
        pool_stride=pool_stride,
        dropout=sizes["dropout"],
        dtype=policy,
        name="eeg_conformer",
    )


def _mean_over_time(sequence):
    return ops.mean(ops.cast(sequence, "float32"), axis=1)


@keras.saving.register_keras_serializable(package="keras_emotion")
class MERCLEncoder(_Encoders, keras.Model):
    r"""The first stage of MERCL [1]: embeddings of picture, sound and EEG in one space.

    Of each modality `m`, a spatial encoder gives the sequence `s_m`; a `ResidualTCN` of four blocks (dilations 1, 2, 4
    and 8) makes of it `h_m`, and the embedding is the mean over time, projected and of length 1 (Eq. 2):

    $$z_m = \frac{W_m \bar h_m}{\lVert W_m \bar h_m \rVert}$$

    The spatial encoder of EEG is a Conformer without attention (`EEGConformerConvolution`). Those of picture and sound
    are frozen networks of their own by default, whose outputs are the inputs here; given as `picture_encoder` and
    `sound_encoder`, they are part of the model and are trained. Train with `keras_emotion.losses.MERCLLoss`. Layers are
    named by modality (`eeg_scaling`, `eeg_conformer`, `eeg_tcn`, `eeg_projection`); `MERCL` has the same ones but for
    the projection, so that weights go from one to the other.

    **Deviations.** [1] prints neither the kernel of the TCN (3 here), nor over what a sequence becomes a vector (the
    mean over time), nor whether embeddings have length 1, nor `units`. With 8 frames, 4 patches and 10 steps most taps
    of the TCN, which looks 31 steps back, see its padding. Inputs are scaled by the training windows
    (`feature_scaling`), the features of frozen encoders too.

    Args:
        modalities: two or three of `("visual", "audio", "eeg")`, the default; their order is this one.
        n_frames: pictures of a block, 1 or more; default 8.
        n_picture_features: features of a picture, 1 or more; default 768 (ViT-Base). Not read with `picture_encoder`.
        n_patches: patches of sound of a block, 1 or more; default 4.
        n_sound_features: features of a patch, 1 or more; default 128 (VGGish). Not read with `sound_encoder`.
        n_steps: steps of EEG of a block; default 25. `conformer="eeg"` needs 7 or more, 99 of the signal itself.
        n_channels: EEG channels, 1 or more; default 32.
        n_bands: bands of a channel, 1 or more, default 5; `None`: the signal itself, whose samples are the steps.
        conformer: `"eeg"` (default): EEG Conformer's convolution module; `"speech"`: that of Conformer for speech.
        units: features of the TCN and of the embedding, 1 or more; default 128.
        dropout: share of the features that is dropped in training, from 0 to below 1; default 0.5 [1]. In the Conformer
            for speech at most 0.1.
        picture_encoder: a model of `(batch, rows, columns, 3)` pictures to `(batch, features)`; default `None`.
        sound_encoder: a model of `(batch, frames, bands)` patches to `(batch, features)`; default `None`.
        name: name of the model.
        trainable: whether its weights are trained.
        dtype: dtype policy of every layer but the output, which is float32.

    Input:
        A dictionary by modality: `"visual"` `(batch, n_frames, n_picture_features)` or pictures `(batch, n_frames,
        rows, columns, 3)`; `"audio"` `(batch, n_patches, n_sound_features)` or patches `(batch, n_patches, frames,
        bands)`; `"eeg"` `(batch, n_steps, n_channels, n_bands)`, or `(batch, n_steps, n_channels)` with `n_bands=None`.

    Output:
        `(batch, modalities, units)`, float32; each embedding has length 1.

    Numerics: scaling, mean over time and normalisation run in float32 under mixed precision.

    Raises:
        ValueError: an argument out of its range, or an encoder that is no such model.

    Example:
        >>> import numpy as np
        >>> model = MERCLEncoder(modalities=("audio", "eeg"), units=8)
        >>> z = model({"audio": np.ones((2, 4, 128)), "eeg": np.ones((2, 25, 32, 5))})
        >>> tuple(z.shape)
        (2, 2, 8)

    References:
        [1] Lee, Kim and Kim (2024). Emotion recognition using EEG signals and audiovisual features with contrastive
        learning. Bioengineering 11, 997.
    """

    def __init__(
        self,
        modalities=MODALITIES,
        n_frames=8,
        n_picture_features=768,
        n_patches=4,
        n_sound_features=128,
        n_steps=25,
        n_channels=32,
        n_bands=5,
        conformer="eeg",
        units=128,
        dropout=0.5,
        picture_encoder=None,
        sound_encoder=None,
        *,
        name=None,
        trainable=True,
        dtype=None,
    ):
        sizes = {argument: value for argument, value in locals().items() if argument in _SIZES}
        modalities = _checked_modalities(modalities)
        encoders = _checked_encoders(modalities, picture_encoder, sound_encoder)
        _check_sizes(sizes)

        policy = keras.dtype_policies.get(dtype or keras.config.dtype_policy())
        inputs, sequences = self._sequences(modalities, policy, False, encoders, sizes)
        normalization = keras.layers.UnitNormalization(dtype="float32", name="normalization")
        embeddings = []
        for modality, x in sequences.items():
            projection = keras.layers.Dense(units, use_bias=False, dtype=policy, name=f"{modality}_projection")
            embeddings.append(ops.cast(projection(_mean_over_time(x)), "float32"))
        super().__init__(inputs=inputs, outputs=normalization(ops.stack(embeddings, axis=1)), name=name)
        self._keep(modalities, policy, trainable, encoders, sizes)


@keras.saving.register_keras_serializable(package="keras_emotion")
class MERCL(_Encoders, WindowClassifierMixin, keras.Model):
    r"""The second stage of MERCL [1]: attention between the modalities and a classifier, on encoders trained before.

    The sequences `h_m` of `MERCLEncoder`; multi-head attention for each ordered pair of modalities
    (`PairwiseCrossModalAttention`, Eq. 8-13), whose means over time are concatenated; a dense layer with ReLU; a dense
    softmax.

    **Deviations.** [1] freezes the encoders in Algorithm 1 and fine-tunes them in section 3.3: `freeze_encoders`.
    Frozen, they are called as in inference, without dropout and with the moving averages of their normalisation. What
    [1] has in place of the attention where it is left out (Table 8) is not printed: here the means over time of `h_m`
    are concatenated. The size of the hidden layer is not printed: `units`.

    Args:
        modalities: as `MERCLEncoder`.
        n_frames: as `MERCLEncoder`.
        n_picture_features: as `MERCLEncoder`.
        n_patches: as `MERCLEncoder`.
        n_sound_features: as `MERCLEncoder`.
        n_steps: as `MERCLEncoder`.
        n_channels: as `MERCLEncoder`.
        n_bands: as `MERCLEncoder`.
        conformer: as `MERCLEncoder`.
        units: as `MERCLEncoder`; also the features of each attention and of the hidden layer.
        dropout: as `MERCLEncoder`.
        picture_encoder: as `MERCLEncoder`.
        sound_encoder: as `MERCLEncoder`.
        n_classes: classes, 2 or more; default 2.
        cross_modal_attention: whether the modalities attend to each other; default `True`.
        n_heads: heads of each attention, 1 or more, a divisor of `units`; default 4.
        freeze_encoders: whether scaling, encoders and TCN are frozen; default `False`.
        inference: what a user of the saved model must know and the network does not: channel order, bands, label rule.
            A mapping that JSON can hold; default `None`.
        name: name of the model.
        trainable: whether its weights are trained.
        dtype: dtype policy of every layer but the output, which is float32.

    Input:
        As `MERCLEncoder`.

    Output:
        Probability of each class, `(batch, n_classes)`, float32.

    Numerics: scaling, softmaxes and means over time run in float32 under mixed precision.

    Raises:
        ValueError: an argument out of its range, an encoder that is no such model, or `inference` that JSON cannot
            hold.

    Example:
        >>> import numpy as np
        >>> model = MERCL(modalities=("audio", "eeg"), units=8, n_classes=4)
        >>> tuple(model({"audio": np.ones((2, 4, 128)), "eeg": np.ones((2, 25, 32, 5))}).shape)
        (2, 4)

    References:
        [1] Lee, Kim and Kim (2024). Emotion recognition using EEG signals and audiovisual features with contrastive
        learning. Bioengineering 11, 997.
    """

    def __init__(
        self,
        modalities=MODALITIES,
        n_frames=8,
        n_picture_features=768,
        n_patches=4,
        n_sound_features=128,
        n_steps=25,
        n_channels=32,
        n_bands=5,
        conformer="eeg",
        units=128,
        dropout=0.5,
        picture_encoder=None,
        sound_encoder=None,
        n_classes=2,
        cross_modal_attention=True,
        n_heads=4,
        freeze_encoders=False,
        inference=None,
        *,
        name=None,
        trainable=True,
        dtype=None,
    ):
        sizes = {argument: value for argument, value in locals().items() if argument in _SIZES}
        modalities = _checked_modalities(modalities)
        encoders = _checked_encoders(modalities, picture_encoder, sound_encoder)
        _check_sizes(sizes)
        check_minima(("n_classes", n_classes, 2), ("n_heads", n_heads, 1))

        # === Layers ===
        policy = keras.dtype_policies.get(dtype or keras.config.dtype_policy())
        attention = PairwiseCrossModalAttention(units, n_heads, dtype=policy, name="cross_modal_attention")
        hidden = keras.layers.Dense(units, activation="relu", dtype=policy, name="hidden")
        classifier, softmax = softmax_head(n_classes, policy)

        # === Graph ===
        inputs, sequences = self._sequences(modalities, policy, freeze_encoders, encoders, sizes)
        h = list(sequences.values())
        if cross_modal_attention:
            x = ops.reshape(attention(h), (-1, math.prod((len(h), len(h) - 1, units))))
        else:
            x = ops.concatenate([_mean_over_time(sequence) for sequence in h], axis=-1)
        super().__init__(inputs=inputs, outputs=softmax(classifier(hidden(x))), name=name)

        # === Configuration ===
        self._keep(modalities, policy, trainable, encoders, sizes)
        self.n_classes = n_classes
        self.cross_modal_attention = cross_modal_attention
        self.n_heads = n_heads
        self.freeze_encoders = freeze_encoders
        if freeze_encoders:
            # When all weights are there: those that are created later would be trained.
            for layer in self.encoder_layers:
                layer.trainable = False
        self._keep_inference(inference)

    @property
    def encoder_layers(self):
        """Scaling, spatial encoders and TCN of all modalities."""
        prefixes = tuple(f"{modality}_" for modality in self.modalities)
        return [layer for layer in self.layers if layer.name.startswith(prefixes)]

    def attention_scores(self, inputs):
        """The attention between the modalities for some windows.

        Args:
            inputs: as the model takes them.

        Returns:
            `(batch, heads, steps of the target, steps of the source)` by `(source, target)`.

        Raises:
            ValueError: the model has no attention.
        """
        if not self.cross_modal_attention:
            raise ValueError("`cross_modal_attention` is False; expected a model with attention")
        attention = self.get_layer("cross_modal_attention")
        sequences = keras.Model(self.input, [self.get_layer(f"{one}_tcn").output for one in self.modalities])
        _, scores = attention(sequences(inputs, training=False), return_attention_scores=True)
        pairs = [tuple(self.modalities[place] for place in pair) for pair in attention.pairs]
        return dict(zip(pairs, scores, strict=True))

    def get_config(self):
        """Constructor arguments, as `from_config` takes them."""
        return {
            **super().get_config(),
            "n_classes": self.n_classes,
            "cross_modal_attention": self.cross_modal_attention,
            "n_heads": self.n_heads,
            "freeze_encoders": self.freeze_encoders,
        }
