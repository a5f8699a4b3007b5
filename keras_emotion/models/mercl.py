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
# Kernel, pooling and stride of EEG Conformer's convolution module, for powers in windows and for the signal.
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
    """Layer or model that always runs in inference mode.

    An argument `training=False` in the graph of a functional model is not enough: Keras replaces it by that of the
    call.
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
    """Encoders of the modalities as part of a functional model; precedes `keras.Model`."""

    def _sequences(self, modalities, policy, frozen, encoders, sizes):
        """Return two dictionaries by modality: the inputs, and the encoders' outputs, `(batch, steps, units)`."""

        def called(layer, x):
            return (_InInference(layer, dtype=policy) if frozen else layer)(x)

        inputs, sequences = {}, {}
        for modality in modalities:
            encoder = encoders.get(modality)
            shape = _input_shape(modality, encoder, sizes)
            inputs[modality] = keras.Input(shape, name=modality)
            x = inputs[modality]
            # The encoder of pictures scales the pixels.
            if encoder is None or modality != "visual":
                axes = (-2, -1) if modality == "eeg" and sizes["n_bands"] is not None else (-1,)
                x = FeatureScaling(axes, dtype=policy, name=f"{modality}_scaling")(x)
            if modality == "eeg":
                x = called(_conformer(sizes, policy), x if sizes["n_bands"] is not None else ops.expand_dims(x, -1))
            elif encoder is not None:
                # Wrapped in a model, so that its layers have the same name regardless of its own.
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
        """Store the constructor's arguments."""
        # Set here: a functional model's constructor does not pass it on to its layers.
        self.trainable = trainable
        self.dtype_policy = policy
        self.modalities = modalities
        for name in _SIZES:
            setattr(self, name, sizes[name])
        # As text, because Keras would track the contents of a dictionary.
        self._encoder_configs = json.dumps(
            {_TRAINED[modality]: keras.saving.serialize_keras_object(encoder) for modality, encoder in encoders.items()}
        )

    def take_encoders(self, saved):
        """Copy the encoder weights of another such model, for the modalities that both have.

        Copies the spatial encoder and the TCN of a modality, and its projection if both have one, but not the scaling
        of the inputs, which belongs to the training windows.

        Args:
            saved: a `MERCL` or `MERCLEncoder`.

        Returns:
            The modalities whose encoders were copied, a tuple: at least one, because both have two of three.

        Raises:
            ValueError: the size of an encoder differs.
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
        """Scaling layers of the inputs, by modality.

        `model.feature_scaling["eeg"].set_statistics(mean, standard_deviation)` takes arrays `(channels, bands)`, or
        `(channels,)` for the signal itself, the others arrays `(features,)`, usually of the training windows.
        """
        names = {layer.name for layer in self.layers}
        return {one: self.get_layer(f"{one}_scaling") for one in self.modalities if f"{one}_scaling" in names}

    def get_config(self):
        """Return the constructor arguments of both models, for `from_config`."""
        encoders = json.loads(self._encoder_configs)
        return {
            **super().get_config(),
            "modalities": list(self.modalities),
            **{name: getattr(self, name) for name in _SIZES},
            **{name: encoders.get(name) for name in _TRAINED.values()},
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Build the model from a configuration."""
        # A copy, because Keras empties the configuration of a functional model while reading it.
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

    For each modality `m`, a spatial encoder returns the sequence `s_m`; a `ResidualTCN` of four blocks (dilations 1, 2,
    4 and 8) maps it to `h_m`, and the embedding is the mean over time, projected and normalised to length 1 (Eq. 2):

    $$z_m = \frac{W_m \bar h_m}{\lVert W_m \bar h_m \rVert}$$

    The spatial encoder of EEG is a Conformer without attention (`EEGConformerConvolution`). Those of picture and sound
    are separate frozen networks by default, whose outputs are the inputs here; given as `picture_encoder` and
    `sound_encoder`, they are part of the model and are trained. Train with `keras_emotion.losses.MERCLLoss`. Layers are
    named by modality (`eeg_scaling`, `eeg_conformer`, `eeg_tcn`, `eeg_projection`); `MERCL` has the same ones except
    the projection, so that weights can be transferred.

    **Deviations.** [1] states neither the kernel of the TCN (3 here), nor how a sequence becomes a vector (here the
    mean over time), nor whether embeddings have length 1, nor `units`. With 8 frames, 4 patches and 10 steps most taps
    of the TCN, which reaches 31 steps back, are padding. Inputs are scaled by the training windows (`feature_scaling`),
    including the features of frozen encoders.

    Args:
        modalities: two or three of `("visual", "audio", "eeg")`, the default; always in this order.
        n_frames: number of pictures of a block, 1 or more; default 8.
        n_picture_features: number of features of a picture, 1 or more; default 768 (ViT-Base). Ignored with
            `picture_encoder`.
        n_patches: number of patches of sound of a block, 1 or more; default 4.
        n_sound_features: number of features of a patch, 1 or more; default 128 (VGGish). Ignored with `sound_encoder`.
        n_steps: number of EEG steps of a block; default 25. `conformer="eeg"` needs 7 or more, 99 for the signal
            itself.
        n_channels: number of EEG channels, 1 or more; default 32.
        n_bands: number of bands of a channel, 1 or more, default 5; `None`: the signal itself, whose samples are the
            steps.
        conformer: `"eeg"` (default): EEG Conformer's convolution module; `"speech"`: that of Conformer for speech.
        units: number of features of the TCN and of the embedding, 1 or more; default 128.
        dropout: dropout rate of the features, from 0 to below 1; default 0.5 [1]. In the Conformer for speech at most
            0.1.
        picture_encoder: a model of `(batch, rows, columns, 3)` pictures to `(batch, features)`; default `None`.
        sound_encoder: a model of `(batch, frames, bands)` patches to `(batch, features)`; default `None`.
        name: name of the model.
        trainable: whether its weights are trained.
        dtype: dtype policy of every layer except the output, which is float32.

    Input:
        A dictionary by modality: `"visual"` `(batch, n_frames, n_picture_features)` or pictures `(batch, n_frames,
        rows, columns, 3)`; `"audio"` `(batch, n_patches, n_sound_features)` or patches `(batch, n_patches, frames,
        bands)`; `"eeg"` `(batch, n_steps, n_channels, n_bands)`, or `(batch, n_steps, n_channels)` with `n_bands=None`.

    Output:
        `(batch, modalities, units)`, float32; each embedding has length 1.

    Numerics: scaling, mean over time and normalisation run in float32 under mixed precision.

    Raises:
        ValueError: an argument is out of its range, or an encoder is not such a model.

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
    r"""The second stage of MERCL [1]: attention between the modalities and a classifier, on pre-trained encoders.

    The sequences `h_m` of `MERCLEncoder`; multi-head attention for each ordered pair of modalities
    (`PairwiseCrossModalAttention`, Eq. 8-13), whose means over time are concatenated; a dense layer with ReLU; a dense
    softmax.

    **Deviations.** [1] freezes the encoders in Algorithm 1 and fine-tunes them in section 3.3: `freeze_encoders`.
    Frozen encoders run in inference mode, without dropout and with the moving averages of their normalisation. [1] does
    not state what replaces the attention if it is left out (Table 8): here the means over time of `h_m` are
    concatenated. The size of the hidden layer is not stated: `units`.

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
        n_classes: number of classes, 2 or more; default 2.
        cross_modal_attention: whether the modalities attend to each other; default `True`.
        n_heads: number of heads of each attention, 1 or more, a divisor of `units`; default 4.
        freeze_encoders: whether scaling, encoders and TCN are frozen; default `False`.
        inference: metadata that a user of the saved model needs: channel order, bands, label rule.
            JSON-able mapping; default `None`.
        name: name of the model.
        trainable: whether its weights are trained.
        dtype: dtype policy of every layer except the output, which is float32.

    Input:
        As `MERCLEncoder`.

    Output:
        Probability of each class, `(batch, n_classes)`, float32.

    Numerics: scaling, softmaxes and means over time run in float32 under mixed precision.

    Raises:
        ValueError: an argument is out of its range, an encoder is not such a model, or `inference` is not JSON-able.

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
            # Only after all weights exist: those created later would be trained.
            for layer in self.encoder_layers:
                layer.trainable = False
        self._keep_inference(inference)

    @property
    def encoder_layers(self):
        """Scaling, spatial encoders and TCN of all modalities."""
        prefixes = tuple(f"{modality}_" for modality in self.modalities)
        return [layer for layer in self.layers if layer.name.startswith(prefixes)]

    def attention_scores(self, inputs):
        """Return the attention between the modalities for some windows.

        Args:
            inputs: inputs of the model.

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
        """Return the constructor arguments for `from_config`."""
        return {
            **super().get_config(),
            "n_classes": self.n_classes,
            "cross_modal_attention": self.cross_modal_attention,
            "n_heads": self.n_heads,
            "freeze_encoders": self.freeze_encoders,
        }
