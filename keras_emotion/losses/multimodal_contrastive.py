"""Contrastive losses of MERCL: within a modality, between modalities, and within a sample."""

import keras
from keras import ops

SILENT_ROWS = ("keep", "no_smcl", "no_pairs")
SAME_STIMULUS_PAIRS = ("keep", "drop")
FORMS = ("inside", "outside")
# Modalities of the stimulus: equal for rows of one stimulus.
_OF_THE_STIMULUS = ("visual", "audio")
_SOUND = "audio"
# Logit of excluded pairs; its sums and differences are finite in float32.
_EXCLUDED = -1e30


class _MultimodalContrastiveLoss(keras.losses.Loss):
    """Base class: reads targets and embeddings of a batch; subclasses define `batch_loss` and the arguments."""

    def __init__(self, silent_rows, modalities, name):
        super().__init__(name=name)
        if silent_rows not in SILENT_ROWS:
            raise ValueError(f"`silent_rows` must be one of {SILENT_ROWS}; received silent_rows={silent_rows!r}")
        if len(modalities) < 2 or len(set(modalities)) < len(modalities):
            raise ValueError(f"`modalities` must be two names or more, all different; received modalities={modalities}")
        self.silent_rows = silent_rows
        self.modalities = tuple(modalities)

    @property
    def n_columns(self):
        """Number of required columns of the targets."""
        return 1 if self.silent_rows == "keep" else 3

    def __call__(self, y_true, y_pred, sample_weight=None):
        """Return the loss of a batch. Overrides `__call__`, because Keras passes no sample weights to `call`."""
        y_pred = ops.convert_to_tensor(y_pred)
        if len(y_pred.shape) != 3 or y_pred.shape[1] != len(self.modalities):
            raise ValueError(
                f"`y_pred` must be (batch, {len(self.modalities)}, features), a row for each of {self.modalities}; "
                f"received shape {tuple(y_pred.shape)}"
            )
        y_true = ops.convert_to_tensor(y_true)
        if len(y_true.shape) == 1:
            y_true = ops.expand_dims(y_true, -1)
        if len(y_true.shape) != 2 or not self.n_columns <= y_true.shape[1] <= 3:
            raise ValueError(
                f"`y_true` must be (batch, columns), {self.n_columns} to 3 of class, stimulus and silent; received "
                f"shape {tuple(y_true.shape)}"
            )
        dtype = keras.backend.result_type(y_pred.dtype, "float32")
        z = ops.cast(y_pred, dtype)
        if sample_weight is None:
            weights = ops.ones_like(z[:, 0, 0])
        else:
            weights = ops.reshape(ops.cast(sample_weight, dtype), (-1,))
        return self.batch_loss(z, y_true, weights)

    def batch_loss(self, z, targets, weights):
        """Return the loss from embeddings `(batch, modalities, features)`, `(batch, columns)` targets and weights."""
        raise NotImplementedError

    def _is_used(self, targets, weights, silent_rows):
        """Return `(batch, modalities)`: which embeddings are in pairs, where the given `silent_rows` excludes sound."""
        rows = ops.expand_dims(weights > 0, -1)
        if self.silent_rows != silent_rows:
            return ops.logical_and(rows, ops.ones((1, len(self.modalities)), dtype="bool"))
        is_sound = ops.convert_to_tensor([[name == _SOUND for name in self.modalities]], dtype="bool")
        is_silent = ops.expand_dims(targets[:, 2] > 0, -1)
        return ops.logical_and(rows, ops.logical_not(ops.logical_and(is_silent, is_sound)))

    def get_config(self):
        """Return the constructor arguments for `from_config`."""
        return {"name": self.name, "silent_rows": self.silent_rows, "modalities": list(self.modalities)}


class _PairLoss(_MultimodalContrastiveLoss):
    """Supervised contrastive loss over pairs of embeddings; subclasses define which pairs count."""

    def __init__(self, temperature, form, same_stimulus_pairs, silent_rows, modalities, name):
        super().__init__(silent_rows, modalities, name)
        if not temperature > 0:
            raise ValueError(f"`temperature` must be above 0; received temperature={temperature}")
        for argument, value, words in (
            ("form", form, FORMS),
            ("same_stimulus_pairs", same_stimulus_pairs, SAME_STIMULUS_PAIRS),
        ):
            if value not in words:
                raise ValueError(f"`{argument}` must be one of {words}; received {argument}={value!r}")
        self.temperature = temperature
        self.form = form
        self.same_stimulus_pairs = same_stimulus_pairs

    @property
    def n_columns(self):
        """Number of required columns of the targets."""
        return max(super().n_columns, 1 if self.same_stimulus_pairs == "keep" else 2)

    def batch_loss(self, z, targets, weights):
        """Return the mean over the anchors of each modality, then over the modalities with anchors."""
        n_modalities, n_features = len(self.modalities), z.shape[-1]
        n_rows = ops.shape(z)[0]
        # Concatenated embeddings of all modalities: (modalities * batch, features).
        z = ops.reshape(ops.transpose(z, (1, 0, 2)), (-1, n_features))
        logits = ops.matmul(z, ops.transpose(z)) / self.temperature
        modality = ops.repeat(ops.arange(n_modalities), n_rows)
        row = ops.tile(ops.arange(n_rows), (n_modalities,))
        used = ops.reshape(ops.transpose(self._is_used(targets, weights, "no_pairs")), (-1,))

        def equal(values):
            return ops.equal(ops.expand_dims(values, 1), ops.expand_dims(values, 0))

        pairs = ops.logical_and(ops.expand_dims(used, 1), ops.expand_dims(used, 0))
        pairs = ops.logical_and(pairs, self._pairs(equal(modality), equal(row)))
        if self.same_stimulus_pairs == "drop":
            shown = ops.convert_to_tensor([name in _OF_THE_STIMULUS for name in self.modalities], dtype="bool")
            shown = ops.repeat(shown, n_rows)
            dropped = ops.logical_and(ops.expand_dims(shown, 1), ops.expand_dims(shown, 0))
            dropped = ops.logical_and(dropped, equal(ops.tile(targets[:, 1], (n_modalities,))))
            # Picture and sound of one row are always a pair.
            pairs = ops.logical_and(pairs, ops.logical_not(ops.logical_and(dropped, ops.logical_not(equal(row)))))
        positives = ops.logical_and(pairs, equal(ops.tile(targets[:, 0], (n_modalities,))))

        def log_sum(mask):
            return ops.logsumexp(ops.where(mask, logits, _EXCLUDED), axis=1)

        if self.form == "inside":
            losses = log_sum(pairs) - log_sum(positives)
        else:
            share = ops.cast(positives, logits.dtype)
            share = share / ops.maximum(ops.sum(share, axis=1, keepdims=True), 1)
            losses = log_sum(pairs) - ops.sum(share * logits, axis=1)
        is_anchor = ops.any(positives, axis=1)
        # Without positives the loss is undefined, but it and its gradient are finite, and their factor is 0 here.
        of_anchors = ops.cast(is_anchor, logits.dtype) * ops.tile(weights, (n_modalities,))
        losses = ops.sum(ops.reshape(of_anchors * losses, (n_modalities, -1)), axis=1)
        of_modalities = ops.sum(ops.reshape(of_anchors, (n_modalities, -1)), axis=1)
        n_with_anchors = ops.sum(ops.cast(of_modalities > 0, logits.dtype))
        return ops.sum(ops.divide_no_nan(losses, of_modalities)) / ops.maximum(n_with_anchors, 1)

    def _pairs(self, same_modality, same_row):
        """Return which pairs of embeddings count, among pairs of one modality and of one row."""
        raise NotImplementedError

    def get_config(self):
        """Return the constructor arguments for `from_config`."""
        return {
            **super().get_config(),
            "temperature": self.temperature,
            "form": self.form,
            "same_stimulus_pairs": self.same_stimulus_pairs,
        }


@keras.saving.register_keras_serializable(package="keras_emotion")
class IntraModalContrastiveLoss(_PairLoss):
    r"""Supervised contrastive loss within each modality: AMCL, Eq. 3 of [1].

    For the anchor `z_i^m` (row `i`, modality `m`), `P_i` the other rows of its class and `A_i` all other rows,

    $$\ell_i^m = -\log \frac{\sum_{j \in P_i} \exp(z_i^m \cdot z_j^m / \tau)}
                           {\sum_{j \in A_i} \exp(z_i^m \cdot z_j^m / \tau)}$$

    averaged over the anchors of a modality, then over the modalities. An anchor without another row of its class is
    left out, and so is a modality without anchors.

    **Deviations.** [1] takes logarithms of sums of the dot products themselves, which may be negative: here their
    exponential is used as in [2], whose temperature [1] does not state. `form="outside"` is the loss recommended by
    [2], the mean over the positives outside of the logarithm:

    $$\ell_i^m = -\frac{1}{|P_i|} \sum_{j \in P_i} \log \frac{\exp(z_i^m \cdot z_j^m / \tau)}
                                                            {\sum_{k \in A_i} \exp(z_i^m \cdot z_k^m / \tau)}$$

    A batch is one set of pairs: there is no loss of a single row. Sample weights above 0 weight the anchors, and a row
    of weight 0, such as the padding of a last batch, is in no pair.

    Args:
        temperature: `\tau`, above 0; default 0.1.
        form: `"inside"` (default) or `"outside"`: position of the sum over the positives.
        same_stimulus_pairs: `"keep"` (default) or `"drop"`: whether pairs of two rows of one stimulus count within and
            between `"visual"` and `"audio"`. If several subjects saw it, these embeddings are equal: trivial positives,
            or indistinguishable negatives if the labels differ.
        silent_rows: `"keep"` (default), `"no_smcl"` or `"no_pairs"`: with the last one, the sound of a silent row is in
            no pair. Rows to be excluded altogether have weight 0.
        modalities: names of the modalities in their order, two or more; default `("visual", "audio", "eeg")`.
        name: name of the loss.

    Call arguments:
        y_true: `(batch,)` classes, or `(batch, columns)` of up to three columns of numbers: class, stimulus (equal for
            rows that share picture and sound) and silent (above 0 for rows with silent sound). `"drop"` needs two
            columns, `silent_rows` other than `"keep"` three.
        y_pred: `(batch, modalities, features)` embeddings, usually of length 1.
        sample_weight: `(batch,)`, 0 or more; default `None`, all 1.

    Numerics: everything is computed in float32 or better. Loss and gradient are finite, and 0, for one class, one row
        or no row that counts (with `form="outside"`, one class has a loss).

    Raises:
        ValueError: an argument is out of its range, or shapes do not match.

    Example:
        >>> import numpy as np
        >>> z = np.array([[[1.0, 0.0]] * 3, [[1.0, 0.0]] * 3, [[0.0, 1.0]] * 3])
        >>> loss = IntraModalContrastiveLoss(temperature=1.0)
        >>> round(float(loss(np.array([0, 0, 1]), z)), 5)  # log((e + 1) / e), for two anchors of each modality
        0.31326

    References:
        [1] Lee, Kim and Kim (2024). Emotion recognition using EEG signals and audiovisual features with contrastive
        learning. Bioengineering 11, 997.
        [2] Khosla, Teterwak, Wang, Sarna, Tian, Isola, Maschinot, Liu and Krishnan (2020). Supervised contrastive
        learning. NeurIPS 33, 18661-18673.
    """

    def __init__(
        self,
        temperature=0.1,
        form="inside",
        same_stimulus_pairs="keep",
        silent_rows="keep",
        modalities=("visual", "audio", "eeg"),
        name="intra_modal_contrastive_loss",
    ):
        super().__init__(temperature, form, same_stimulus_pairs, silent_rows, modalities, name)

    def _pairs(self, same_modality, same_row):
        return ops.logical_and(same_modality, ops.logical_not(same_row))


@keras.saving.register_keras_serializable(package="keras_emotion")
class InterModalContrastiveLoss(_PairLoss):
    r"""Supervised contrastive loss between modalities: EMCL, Eq. 4 of [1].

    As `IntraModalContrastiveLoss`, but the pairs of an anchor are the embeddings of all rows in all other modalities,
    in one ratio: the positives among them are those of its class, including the same row.

    **Deviations.** Those of `IntraModalContrastiveLoss`. With `same_stimulus_pairs="drop"`, picture and sound of the
    same row remain a pair.

    Args:
        temperature: as `IntraModalContrastiveLoss`; default 0.1.
        form: as `IntraModalContrastiveLoss`; default `"inside"`.
        same_stimulus_pairs: as `IntraModalContrastiveLoss`; default `"keep"`.
        silent_rows: as `IntraModalContrastiveLoss`; default `"keep"`.
        modalities: as `IntraModalContrastiveLoss`.
        name: name of the loss.

    Call arguments:
        y_true: as `IntraModalContrastiveLoss`.
        y_pred: as `IntraModalContrastiveLoss`.
        sample_weight: as `IntraModalContrastiveLoss`.

    Numerics: those of `IntraModalContrastiveLoss`.

    Raises:
        ValueError: an argument is out of its range, or shapes do not match.

    Example:
        >>> import numpy as np
        >>> z = np.array([[[1.0, 0.0]] * 3, [[0.0, 1.0]] * 3])
        >>> loss = InterModalContrastiveLoss(temperature=1.0)
        >>> round(float(loss(np.array([0, 1]), z)), 5)  # log((2 e + 2) / 2 e)
        0.31326

    References:
        [1] Lee, Kim and Kim (2024), see `IntraModalContrastiveLoss`.
    """

    def __init__(
        self,
        temperature=0.1,
        form="inside",
        same_stimulus_pairs="keep",
        silent_rows="keep",
        modalities=("visual", "audio", "eeg"),
        name="inter_modal_contrastive_loss",
    ):
        super().__init__(temperature, form, same_stimulus_pairs, silent_rows, modalities, name)

    def _pairs(self, same_modality, same_row):
        return ops.logical_not(same_modality)


@keras.saving.register_keras_serializable(package="keras_emotion")
class SampleAlignmentLoss(_MultimodalContrastiveLoss):
    r"""Alignment of the modalities of each sample: SMCL, Eq. 5 and 6 of [1].

    $$L = \mathrm{mean}_{i, \{m, n\}} (z_i^m \cdot z_i^n - \alpha)^2$$

    over the rows `i` and the pairs of two modalities that count. Alone it is minimal for constant embeddings: combine
    it with one of the contrastive losses (`MERCLLoss`). Sample weights weight the pairs of a row.

    **Deviations.** The value of `\alpha` is not stated.

    Args:
        alpha: the dot product at which the loss is 0; default 1.
        silent_rows: `"keep"` (default); `"no_smcl"`: silent rows are in no pair, as in section 3.2 of [1];
            `"no_pairs"`: the sound of a silent row is in no pair, its picture and EEG are.
        modalities: names of the modalities in their order, two or more; default `("visual", "audio", "eeg")`.
        name: name of the loss.

    Call arguments:
        y_true: as `IntraModalContrastiveLoss`; the first two columns are ignored.
        y_pred: as `IntraModalContrastiveLoss`.
        sample_weight: as `IntraModalContrastiveLoss`.

    Numerics: everything is computed in float32 or better. Loss and gradient are finite, and 0 if no pair counts.

    Raises:
        ValueError: an argument is out of its range, or shapes do not match.

    Example:
        >>> import numpy as np
        >>> z = np.array([[[1.0, 0.0], [1.0, 0.0], [0.6, 0.8]]])
        >>> round(float(SampleAlignmentLoss()(np.array([0]), z)), 5)  # (0 + 0.4^2 + 0.4^2) / 3
        0.10667

    References:
        [1] Lee, Kim and Kim (2024), see `IntraModalContrastiveLoss`.
    """

    def __init__(
        self, alpha=1.0, silent_rows="keep", modalities=("visual", "audio", "eeg"), name="sample_alignment_loss"
    ):
        super().__init__(silent_rows, modalities, name)
        self.alpha = alpha

    def batch_loss(self, z, targets, weights):
        """Return the mean over the pairs that count."""
        if self.silent_rows == "no_smcl":
            weights = ops.where(targets[:, 2] > 0, 0.0, weights)
        used = ops.cast(self._is_used(targets, weights, "no_pairs"), z.dtype)
        total, count = 0.0, 0.0
        for first in range(len(self.modalities)):
            for second in range(first):
                of_rows = weights * used[:, first] * used[:, second]
                total += ops.sum(of_rows * (ops.sum(z[:, first] * z[:, second], axis=-1) - self.alpha) ** 2)
                count += ops.sum(of_rows)
        return ops.divide_no_nan(total, count)

    def get_config(self):
        """Return the constructor arguments for `from_config`."""
        return {**super().get_config(), "alpha": self.alpha}


@keras.saving.register_keras_serializable(package="keras_emotion")
class MERCLLoss(keras.losses.Loss):
    r"""Loss of MERCL's pre-training: the sum of AMCL, EMCL and SMCL, Eq. 7 of [1].

    $$L = \lambda_1 L_{AMCL} + \lambda_2 L_{EMCL} + \lambda_3 L_{SMCL}$$

    with `IntraModalContrastiveLoss`, `InterModalContrastiveLoss` and `SampleAlignmentLoss`. A loss of weight 0 is not
    computed.

    **Deviations.** Those of the three. The weights are not stated.

    Args:
        amcl_weight: `\lambda_1`, 0 or more; default 1.
        emcl_weight: `\lambda_2`, 0 or more; default 1. Not 0 together with `amcl_weight`: SMCL alone is minimal for
            constant embeddings.
        smcl_weight: `\lambda_3`, 0 or more; default 1.
        temperature: as `IntraModalContrastiveLoss`; default 0.1.
        alpha: as `SampleAlignmentLoss`; default 1.
        form: as `IntraModalContrastiveLoss`; default `"inside"`.
        same_stimulus_pairs: as `IntraModalContrastiveLoss`; default `"keep"`.
        silent_rows: as the three; default `"keep"`.
        modalities: as the three; default `("visual", "audio", "eeg")`.
        name: name of the loss.

    Call arguments:
        y_true: as `IntraModalContrastiveLoss`.
        y_pred: as `IntraModalContrastiveLoss`.
        sample_weight: as `IntraModalContrastiveLoss`.

    Numerics: those of the three.

    Raises:
        ValueError: an argument is out of its range, or shapes do not match.

    Example:
        >>> import numpy as np
        >>> z = np.array([[[1.0, 0.0]] * 3, [[0.0, 1.0]] * 3])
        >>> loss = MERCLLoss(temperature=1.0, emcl_weight=2.0, alpha=0.5)
        >>> round(float(loss(np.array([0, 1]), z)), 5)  # 0, twice 0.31326, and 0.5^2
        0.87652

    References:
        [1] Lee, Kim and Kim (2024), see `IntraModalContrastiveLoss`.
    """

    def __init__(
        self,
        amcl_weight=1.0,
        emcl_weight=1.0,
        smcl_weight=1.0,
        temperature=0.1,
        alpha=1.0,
        form="inside",
        same_stimulus_pairs="keep",
        silent_rows="keep",
        modalities=("visual", "audio", "eeg"),
        name="mercl_loss",
    ):
        super().__init__(name=name)
        for argument, value in (
            ("amcl_weight", amcl_weight),
            ("emcl_weight", emcl_weight),
            ("smcl_weight", smcl_weight),
        ):
            if not value >= 0:
                raise ValueError(f"`{argument}` must be 0 or more; received {argument}={value}")
        if amcl_weight == emcl_weight == 0:
            raise ValueError(
                "`amcl_weight` and `emcl_weight` are both 0: SMCL alone is minimal for constant embeddings; "
                "expected one of them above 0"
            )
        self.amcl_weight = amcl_weight
        self.emcl_weight = emcl_weight
        self.smcl_weight = smcl_weight
        self.amcl = IntraModalContrastiveLoss(temperature, form, same_stimulus_pairs, silent_rows, modalities)
        self.emcl = InterModalContrastiveLoss(temperature, form, same_stimulus_pairs, silent_rows, modalities)
        self.smcl = SampleAlignmentLoss(alpha, silent_rows, modalities)

    def __call__(self, y_true, y_pred, sample_weight=None):
        """Return the loss of a batch. Overrides `__call__`, because Keras passes no sample weights to `call`."""
        losses = ((self.amcl_weight, self.amcl), (self.emcl_weight, self.emcl), (self.smcl_weight, self.smcl))
        return sum(weight * loss(y_true, y_pred, sample_weight) for weight, loss in losses if weight)

    def get_config(self):
        """Return the constructor arguments for `from_config`."""
        return {
            **self.amcl.get_config(),
            "alpha": self.smcl.alpha,
            "amcl_weight": self.amcl_weight,
            "emcl_weight": self.emcl_weight,
            "smcl_weight": self.smcl_weight,
            "name": self.name,
        }
