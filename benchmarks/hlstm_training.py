"""The video-EEG hierarchical LSTM for the benchmark of training steps, see `train.py`."""

from __future__ import annotations

from typing import Any

N_ROWS, N_FRAMES = 12, 40
EFFECT = 0.5


class HLSTMTraining:
    """The video-EEG hierarchical LSTM with its small encoder of faces: batches of 12 segments of 40 frames."""

    def batch(self) -> tuple[dict[str, Any], Any]:
        """Return inputs in Keras's layout, and labels."""
        import numpy as np

        rng = np.random.default_rng(0)
        labels = rng.integers(0, 2, N_ROWS)
        faces = rng.integers(0, 256, (N_ROWS, N_FRAMES, 64, 64, 3)).astype(np.float32)
        effect = EFFECT * labels[:, None, None, None, None].astype(np.float32)
        eeg = rng.standard_normal((N_ROWS, N_FRAMES, 32, 32, 3), np.float32) + effect
        return {"faces": faces, "eeg": eeg, "noise": rng.standard_normal((N_ROWS, 1, N_FRAMES), np.float32)}, labels

    def ours(self, weights: dict[str, Any] | None, dtype: str) -> Any:
        """Return our network, with PyTorch's weights if given."""
        from keras_emotion.models import VideoEEGHierarchicalLSTM

        model = VideoEEGHierarchicalLSTM(dropout=0.0, given_noise=True, dtype=dtype)
        if weights is not None:
            _set_weights(model, weights)
        return model

    def ours_losses(self) -> dict[str, Any]:
        """Return arguments of `compile`: the model has its own loss."""
        return {}

    def ours_targets(self, labels: Any) -> Any:
        """Return the targets of our system."""
        return labels

    def ours_outputs(self, outputs: Any) -> list[Any]:
        """Return the outputs that are compared in inference."""
        return [outputs["probabilities"], outputs["positions"][:, -1]]

    def torch(self) -> Any:
        """Return the PyTorch network."""
        from torch_hlstm import VideoEEGHierarchicalLSTM

        return VideoEEGHierarchicalLSTM(N_FRAMES, N_FRAMES)

    def torch_loss(self, outputs: Any, labels: Any) -> Any:
        """Return the same loss in PyTorch."""
        from torch_hlstm import hlstm_loss

        return hlstm_loss(outputs, labels)

    def torch_outputs(self, outputs: Any) -> list[Any]:
        """Return the outputs that are compared in inference."""
        return [outputs["logits"].softmax(dim=-1), outputs["position"]]


def _set_weights(model: Any, weights: dict[str, Any]) -> None:
    def dense(name):
        bias = [weights[f"{name}.bias"]] if f"{name}.bias" in weights else []
        return [weights[f"{name}.weight"].T, *bias]

    def lstm(name):
        return [weights[f"{name}.weight_ih"].T, weights[f"{name}.weight_hh"].T, weights[f"{name}.bias_ih"]]

    def encoder(name):
        arrays = []
        for number in range(3):
            convolution = f"{name}.convolutions.{number}"
            arrays += [weights[f"{convolution}.weight"].transpose(2, 3, 1, 0), weights[f"{convolution}.bias"]]
        kernel = weights[f"{name}.projection.weight"]
        # PyTorch flattens channel by channel, Keras position by position.
        size = round((kernel.shape[1] / arrays[-1].size) ** 0.5)
        kernel = kernel.reshape(len(kernel), -1, size, size).transpose(2, 3, 1, 0).reshape(-1, len(kernel))
        return [*arrays, kernel, weights[f"{name}.projection.bias"]]

    for name in ("face_encoder", "eeg_encoder"):
        model.get_layer(name).set_weights(encoder(name))
    for name in ("face_projection", "classifier"):
        model.get_layer(name).set_weights(dense(name))
    looking = model.get_layer("looking")
    looking.policy.set_weights(dense("location"))
    looking.baseline.set_weights(dense("baseline"))
    looking.cell.band_attention.scores.set_weights(dense("band_scores"))
    looking.cell.band_attention.projection.set_weights(dense("band_projection"))
    looking.cell.glimpse.set_weights(lstm("glimpse"))
    for number, level in enumerate(looking.cell.core.levels):
        level.set_weights(lstm(f"levels.{number}"))
    for kind, attention in zip(("hidden", "cell"), looking.cell.core.attentions, strict=True):
        attention.set_weights([*dense(f"{kind}_attention.hidden"), *dense(f"{kind}_attention.scores")])
