"""The video-EEG hierarchical LSTM as a plain PyTorch network, written from the paper (Wu, Zhang and Zhao, 2020).

Details that the paper does not state are as in `keras_emotion.models.VideoEEGHierarchicalLSTM`.
"""

import math

import torch
from torch import nn
from torch.nn import functional


def lstm_cell(n_features, units):
    """Create an LSTM cell with one trained bias, as in the equations: PyTorch adds two."""
    cell = nn.LSTMCell(n_features, units)
    nn.init.zeros_(cell.bias_hh).requires_grad_(False)
    return cell


class ImageEncoder(nn.Module):
    """Three convolutions that halve rows and columns, and a dense layer."""

    def __init__(self, n_channels, size, units, filters=(16, 32, 32)):
        super().__init__()
        widths = (n_channels, *filters)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(one, two, 3, stride=2) for one, two in zip(widths, filters, strict=False)
        )
        self.projection = nn.Linear(filters[-1] * (size // 2 ** len(filters)) ** 2, units)

    def forward(self, pictures):
        for convolution in self.convolutions:
            # Padding as in TensorFlow for pictures of even size.
            pictures = convolution(functional.pad(pictures, (0, 1, 0, 1))).relu()
        return self.projection(pictures.flatten(1)).relu()


class LevelAttention(nn.Module):
    """Eq. 3 and 4: weights of the levels."""

    def __init__(self, units, n_hidden=64):
        super().__init__()
        self.hidden = nn.Linear(units, n_hidden)
        self.scores = nn.Linear(n_hidden, 1, bias=False)

    def forward(self, states):
        return self.scores(self.hidden(states).tanh()).squeeze(-1).softmax(dim=-1)


class VideoEEGHierarchicalLSTM(nn.Module):
    """Network for faces and EEG images, channels first, and draws of the policy `(batch, looks, 1)`."""

    def __init__(self, n_frames=40, n_looks=40, width=256, units=256, n_levels=3, n_bands=3, sigma=0.1, n_classes=2):
        super().__init__()
        self.n_frames, self.n_looks, self.units, self.sigma = n_frames, n_looks, units, sigma * n_frames
        self.face_encoder = ImageEncoder(3, 64, width)
        self.face_projection = nn.Linear(width, width)
        self.eeg_encoder = ImageEncoder(1, 32, width)
        self.band_scores = nn.Linear(units, n_bands)
        self.band_projection = nn.Linear(width, width)
        self.glimpse = lstm_cell(width, units)
        self.levels = nn.ModuleList(lstm_cell(2 * units if number == 0 else units, units) for number in range(n_levels))
        self.hidden_attention, self.cell_attention = LevelAttention(units), LevelAttention(units)
        self.location = nn.Linear(units, 1)
        self.baseline = nn.Linear(units, 1)
        for layer in (self.location, self.baseline):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.classifier = nn.Linear(units, n_classes)

    def forward(self, faces, eeg, noise):
        n_rows = len(faces)
        rows = torch.arange(n_rows)
        faces = (faces.flatten(0, 1) / 255 - 0.45) / 0.225
        faces = self.face_projection(self.face_encoder(faces)).unflatten(0, (n_rows, -1))
        bands = self.eeg_encoder(eeg.flatten(0, 2).unsqueeze(1)).unflatten(0, (n_rows, self.n_frames, -1))

        zeros = faces.new_zeros(n_rows, self.units, dtype=torch.float32)
        glimpses = [(zeros, zeros), (zeros, zeros)]
        hidden = cell = zeros
        position, live = zeros[:, 0], zeros[:, 0] == 0
        looks, deviations, log_policy, baselines, acts = 0, 0, [], [], []
        for number in range(self.n_looks):
            # === Input at the position ===
            here = position.long()
            theta = self.band_scores(hidden).float().softmax(dim=-1).unsqueeze(-1)
            seen = [faces[rows, here], self.band_projection((theta * bands[rows, here]).sum(dim=1)).relu()]

            # === Glimpse and core ===
            glimpses_after = [self.glimpse(x, states) for x, states in zip(seen, glimpses, strict=True)]
            x = torch.cat([states[0] for states in glimpses_after], dim=-1)
            of_levels = []
            for level in self.levels:
                of_levels.append(level(x, (hidden, cell)))
                x = of_levels[-1][0]
            after, weights = [], []
            for attention, states in zip(
                (self.hidden_attention, self.cell_attention), zip(*of_levels, strict=True), strict=True
            ):
                states = torch.stack(states, dim=1).float()
                weights.append(attention(states).float())
                after.append((weights[-1].unsqueeze(-1) * states).sum(dim=1))

            # === After the end all states are carried ===
            def carried(new, old, live=live):
                return torch.where(live.unsqueeze(-1), new.float(), old)

            glimpses = [
                tuple(carried(new, old) for new, old in zip(*both, strict=True))
                for both in zip(glimpses_after, glimpses, strict=True)
            ]
            hidden, cell = carried(after[0], hidden), carried(after[1], cell)
            deviation = torch.cat(weights, dim=-1) - 1 / len(self.levels)
            deviations = deviations + live * deviation.square().sum(dim=-1)
            looks = looks + live.float()

            # === Action: none at the last frame ===
            live = live & (position < self.n_frames - 1)
            if number == self.n_looks - 1 or not live.any():
                break
            state = hidden.detach()
            low, last = (position + 1).clamp(max=self.n_frames - 1), self.n_frames - 1
            mean = low + (last - low) * self.location(state).float().squeeze(-1).sigmoid()
            # Greedy in inference.
            action = (mean + self.sigma * noise[:, number, 0] * self.training).detach()
            log_policy.append(
                -0.5 * ((action - mean) / self.sigma).square() - math.log(self.sigma) - 0.5 * math.log(2 * math.pi)
            )
            baselines.append(self.baseline(state).float().squeeze(-1))
            acts.append(live.float())
            position = torch.where(live, action.clamp(low, torch.full_like(low, last)).round(), position)
        return {
            "logits": self.classifier(hidden).float(),
            "looks": looks,
            "penalty": deviations / looks,
            "position": position,
            **{
                name: torch.stack(of_looks, dim=1)
                for name, of_looks in (("log_policy", log_policy), ("baseline", baselines), ("acts", acts))
            },
        }


def hlstm_loss(outputs, labels):
    """Return cross-entropy, penalty (Eq. 8 to 10), REINFORCE (Eq. 11 to 17), and the loss of the baseline."""
    logits, acts = outputs["logits"], outputs["acts"]
    right = logits.argmax(dim=-1) == labels
    reward = torch.where(right, 1.0, -2.0) - 0.01 * outputs["looks"]
    advantage = reward.unsqueeze(-1) - outputs["baseline"]
    reinforce = (acts * outputs["log_policy"] * advantage.detach()).sum(dim=1)
    value = (acts * advantage.square()).sum(dim=1) / acts.sum(dim=1)
    return functional.cross_entropy(logits, labels) + (value - reinforce - outputs["penalty"]).mean()
