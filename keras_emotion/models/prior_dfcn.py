"""PriorDFCN: prior-driven dynamic functional connectivity network for EEG and faces (Zheng et al., 2023)."""

import keras
from keras import ops

from keras_emotion.layers import CrossModalPrior, FeatureScaling, NonLocal3D, ResidualBlock3D
from keras_emotion.models.window_classifier import WindowClassifierMixin, check_minima, softmax_head


@keras.saving.register_keras_serializable(package="keras_emotion")
class PriorDFCN(WindowClassifierMixin, keras.Model):
    r"""EEG connectivity of each window, weighted by the correlation of EEG and face, and 3D convolutions.

    A sample is a trial of `T` windows. Its networks `DFCN_original`, the correlations of every two EEG channels in each
    window (Eq. 1 of [1], computed before), are weighted by the cross-modal prior (Eq. 2 to 5, `CrossModalPrior`),

    $$DFCN = DFCN_{original} \odot Cor \quad (6)$$

    and pass STFENet as one map of windows, channels and channels: blocks of two 3D convolutions (Eq. 7,
    `ResidualBlock3D`), each followed by a 3D max pooling, and a non-local block after the last pooling (Eq. 8 to 10,
    `NonLocal3D`). A dense layer with softmax classifies the flattened map. With the default sizes 20 windows of 32 x 32
    channels become 20 x 16 x 16, 10 x 8 x 8 and 5 x 4 x 4 positions of 16, 32 and 64 channels. Train it with Keras's
    `"sparse_categorical_crossentropy"`. Layers can be accessed by name (`get_layer("non_local")`).

    **Variants.** The rows of Table 2 of [1], by arguments:

    | row | arguments |
    |---|---|
    | Ours | `prior="sum"` |
    | w/o PKE | `prior=None` |
    | w/o NL block | `non_local_after=None` |
    | w/o STFENet | `stfenet=False` |
    | Baseline | `prior=None, stfenet=False` |

    A trained network stores the statistics of its training trials: `feature_scaling["eeg"].set_statistics(mean,
    standard_deviation)` takes `(channels, bands)`, that of `"face"` `(face_channels,)`. By default nothing is scaled.

    For data without faces use the variants with `prior=None`: the prior relates EEG to a face, and has no substitute.

    **Deviations.** [1] leaves open, and our choices are: the number and the widths of the blocks, the sizes of the
    poolings, the size `d` of queries and keys, how the prior becomes square (see `CrossModalPrior`), the order in a
    block (see `ResidualBlock3D`), and the head: [1] says "features from fully connected layer for classification", and
    states neither its size, nor its activation, nor the loss. It is one layer with a softmax over the classes, so that
    without STFENet it is a logistic regression on the connectivity. There is no dropout, since [1] mentions none.
    Initial weights are those of Keras, except `W_z` of the non-local block, which starts as zeros.

    Args:
        n_windows: number of windows `T` of a trial, 1 or more; default 20 (60 s in windows of 3 s) [1].
        n_channels: number of EEG channels `P_E`, 1 or more; default 32 [1].
        n_bands: number of values `D` of each EEG channel in a window, 1 or more; default 5, the power of five bands
            [1].
        n_face_channels: number of facial quantities `P_F`, 1 or more; default 29 [1]: 3 of position, 3 of the head's
            pose, 6 of gaze, 17 action units.
        n_classes: number of classes, 2 or more; default 2 (low, high).
        prior: `"sum"` (default, Eq. 5), `"product"` of both correlations, or `None`: the network reads only the
            connectivity.
        transpose_prior: whether the sum transposes the second correlation; default `False` [1].
        prior_units: size of queries and keys, `d`, 1 or more; default 16.
        stfenet: whether there is an STFENet; without it (`False`) the connectivity is the input of the head, and
            `widths`, `pool_sizes` and `non_local_after` are not used. Default `True`.
        widths: filters of the convolutions of each block, 1 or more, at least one block; default `(16, 32, 64)`.
        pool_sizes: windows, rows and columns of the pooling after each block, 1 or more each, as many as `widths`;
            default `((1, 2, 2), (2, 2, 2), (2, 2, 2))`. Incomplete pools are dropped.
        non_local_after: number of the block, from 1, after whose pooling the non-local block comes; `"last"` (default),
            which [1] leaves open, or `None` for none. Memory grows with the square of the positions: with the default
            sizes 80 after the last, 5,120 after the first.
        inference: metadata that a user of the saved model needs: channel order, bands, window
            length, how the connectivity and the facial quantities are made and scaled, label rule. JSON-able
            mapping; default `None`.
        name: name of the model.
        trainable: whether its weights are trained.
        dtype: dtype policy of every layer except the output, which is float32.

    Input:
        A dictionary with `"connectivity"`: `(batch, windows, channels, channels)`, and, unless `prior=None`, `"eeg"`:
        `(batch, windows, channels, bands)`, and `"face"`: `(batch, windows, face_channels)`. The latter two are
        standardised by the statistics of the training trials, see `feature_scaling`.

    Output:
        Probabilities, `(batch, n_classes)`, float32, whose rows sum to 1.

    Numerics: the prior, the attention of the non-local block and the softmax of the output run in float32 under mixed
    precision.

    Raises:
        ValueError: an argument is out of its range, poolings leave nothing, or `inference` is not JSON-able; in a call,
            inputs without `"face"` or `"eeg"` if there is a prior.

    Example:
        >>> import numpy as np
        >>> model = PriorDFCN(n_windows=4, n_channels=8, widths=(2, 3), pool_sizes=((1, 2, 2), (2, 2, 2)))
        >>> model.predict(
        ...     {
        ...         "connectivity": np.zeros((3, 4, 8, 8)),
        ...         "eeg": np.zeros((3, 4, 8, 5)),
        ...         "face": np.zeros((3, 4, 29)),
        ...     },
        ...     verbose=0,
        ... ).round(6).tolist()
        [[0.5, 0.5], [0.5, 0.5], [0.5, 0.5]]

    References:
        [1] Zheng, Shao, Zhang and Zhu (2023). Prior-driven dynamic brain networks for multi-modal emotion recognition.
        MICCAI 2023, 389-398, doi:10.1007/978-3-031-43993-3_38.
    """

    def __init__(
        self,
        n_windows=20,
        n_channels=32,
        n_bands=5,
        n_face_channels=29,
        n_classes=2,
        prior="sum",
        transpose_prior=False,
        prior_units=16,
        stfenet=True,
        widths=(16, 32, 64),
        pool_sizes=((1, 2, 2), (2, 2, 2), (2, 2, 2)),
        non_local_after="last",
        inference=None,
        *,
        name=None,
        trainable=True,
        dtype=None,
    ):
        check_minima(
            ("n_windows", n_windows, 1),
            ("n_channels", n_channels, 1),
            ("n_bands", n_bands, 1),
            ("n_classes", n_classes, 2),
            ("prior_units", prior_units, 1),
        )
        if n_face_channels < 1:
            raise ValueError(
                "`n_face_channels` must be 1 or more (data without faces need prior=None); "
                f"received n_face_channels={n_face_channels}"
            )
        if prior not in ("sum", "product", None):
            raise ValueError(f"`prior` must be 'sum', 'product' or None; received prior={prior!r}")
        if transpose_prior and prior != "sum":
            raise ValueError(
                f"`transpose_prior` must be False with prior={prior!r}; received transpose_prior={transpose_prior}"
            )
        sequence = (list, tuple)
        if not isinstance(widths, sequence) or not widths or min(widths) < 1:
            raise ValueError(
                f"`widths` must be a sequence of one width or more, each 1 or more; received widths={widths}"
            )
        if (
            not isinstance(pool_sizes, sequence)
            or len(pool_sizes) != len(widths)
            or not all(isinstance(sizes, sequence) and len(sizes) == 3 and min(sizes) >= 1 for sizes in pool_sizes)
        ):
            raise ValueError(
                f"`pool_sizes` must be three sizes of 1 or more for each of the {len(widths)} blocks; "
                f"received pool_sizes={pool_sizes}"
            )
        if non_local_after not in ("last", None, *range(1, len(widths) + 1)):
            raise ValueError(
                f"`non_local_after` must be a block from 1 to {len(widths)}, 'last' or None; "
                f"received non_local_after={non_local_after!r}"
            )
        if stfenet:
            positions = (n_windows, n_channels, n_channels)
            for sizes in pool_sizes:
                positions = tuple(n // size for n, size in zip(positions, sizes, strict=True))
            if 0 in positions:
                raise ValueError(
                    f"`pool_sizes` leave {positions} positions of {n_windows} windows and {n_channels} x {n_channels} "
                    f"channels; received pool_sizes={pool_sizes}"
                )

        # === Layers ===
        policy = keras.dtype_policies.get(dtype or keras.config.dtype_policy())
        prior_layer = CrossModalPrior(
            prior_units, prior=prior or "sum", transpose=transpose_prior, dtype=policy, name="prior"
        )
        scaling_layers = {
            name: FeatureScaling(axes, dtype=policy, name=f"{name}_scaling")
            for name, axes in (("eeg", (-2, -1)), ("face", (-1,)))
        }
        network_layers = []
        for number, (width, sizes) in enumerate(zip(widths, pool_sizes, strict=True), start=1):
            network_layers += [
                ResidualBlock3D(width, dtype=policy, name=f"block_{number}"),
                keras.layers.MaxPooling3D(
                    tuple(sizes), data_format="channels_last", dtype=policy, name=f"pooling_{number}"
                ),
            ]
            if number == (len(widths) if non_local_after == "last" else non_local_after):
                network_layers.append(NonLocal3D(dtype=policy, name="non_local"))
        head_layers = (
            keras.layers.Flatten(data_format="channels_last", dtype=policy, name="flatten"),
            *softmax_head(n_classes, policy),
        )

        # === Graph ===
        inputs = {"connectivity": keras.Input((n_windows, n_channels, n_channels), name="connectivity")}
        x, cor = inputs["connectivity"], None
        if prior is not None:
            inputs["eeg"] = keras.Input((n_windows, n_channels, n_bands), name="eeg")
            inputs["face"] = keras.Input((n_windows, n_face_channels), name="face")
            eeg, face = (scaling_layers[name](inputs[name]) for name in ("eeg", "face"))
            cor = prior_layer([eeg, ops.expand_dims(face, -1)])
            x = x * cor
        if stfenet:
            x = ops.expand_dims(x, -1)
            for layer in network_layers:
                x = layer(x)
        for layer in head_layers:
            x = layer(x)
        super().__init__(inputs=inputs, outputs=x, name=name)
        # Set here: a functional model's constructor does not pass it on to its layers.
        self.trainable = trainable

        # === Configuration ===
        self.dtype_policy = policy
        self.n_windows = n_windows
        self.n_channels = n_channels
        self.n_bands = n_bands
        self.n_face_channels = n_face_channels
        self.n_classes = n_classes
        self.prior = prior
        self.transpose_prior = transpose_prior
        self.prior_units = prior_units
        self.stfenet = stfenet
        self.widths = tuple(widths)
        self.pool_sizes = tuple(tuple(sizes) for sizes in pool_sizes)
        self.non_local_after = non_local_after
        self._keep_inference(inference)
        self._cor = cor
        self.feature_scaling = {name: layer for name, layer in scaling_layers.items() if name in inputs}

    def prior_model(self):
        """Return a model that shares this one's weights and outputs its prior, for figures.

        It maps the input of this model to `Cor` of Eq. 5, `(batch, windows, channels, channels)`, float32. Its mean
        over the last axis is a value for each EEG channel, for a scalp map as in Fig. 2 of [1]. That axis is the facial
        one with `transpose_prior=True`; without it the second of the two correlations has swapped axes, and a product
        of the two has no facial axis. Its `predict` processes many trials in batches.

        Raises:
            ValueError: the network has no prior.
        """
        if self._cor is None:
            raise ValueError("the network has no prior: prior=None")
        return keras.Model(self.input, keras.layers.Identity(dtype="float32")(self._cor))

    def get_config(self):
        """Return the constructor arguments for `from_config`."""
        return {
            **super().get_config(),
            "n_windows": self.n_windows,
            "n_channels": self.n_channels,
            "n_bands": self.n_bands,
            "n_face_channels": self.n_face_channels,
            "n_classes": self.n_classes,
            "prior": self.prior,
            "transpose_prior": self.transpose_prior,
            "prior_units": self.prior_units,
            "stfenet": self.stfenet,
            "widths": list(self.widths),
            "pool_sizes": [list(sizes) for sizes in self.pool_sizes],
            "non_local_after": self.non_local_after,
        }
