"""The EEG network of 3FACRNN as a plain PyTorch network, written from the paper (Du et al., 2024, section 2.2)."""

import torch
from torch import nn


class BandAttention(nn.Module):
    """Eq. 4-5; the kernel is 1 for four bands."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(1, 1, 1, bias=False)

    def forward(self, slices):
        weights = self.conv(slices.mean(dim=(2, 3)).unsqueeze(1)).sigmoid().squeeze(1)
        return slices * weights[:, :, None, None]


class StepSelfAttention(nn.Module):
    """Eq. 18-20."""

    def __init__(self, units):
        super().__init__()
        self.alignment = nn.Linear(units, units, bias=False)
        self.state = nn.Linear(units, units)
        self.aligned = nn.Linear(units, units, bias=False)
        self.score = nn.Linear(units, units)

    def forward(self, hidden):
        scores = self.score((self.state(hidden) + self.aligned(self.alignment(hidden))).relu())
        return (scores * hidden).sum(dim=-1, keepdim=True).softmax(dim=1) * hidden


class FACRNNEEG(nn.Module):
    """Network for features `(batch, steps, bands, rows, columns)`; returns logits of the steps and their features."""

    def __init__(self, n_bands=4, rows=9, columns=9, units=128, n_classes=2):
        super().__init__()
        self.register_buffer("mean", torch.zeros(n_bands, rows, columns))
        self.register_buffer("scale", torch.ones(n_bands, rows, columns))
        self.band_attention = BandAttention()
        self.cnn = nn.Sequential(
            *(nn.Conv2d(n_bands, 64, 5, padding="same"), nn.ReLU()),
            *(nn.Conv2d(64, 128, 4, padding="same"), nn.ReLU()),
            *(nn.Conv2d(128, 256, 3, padding="same"), nn.ReLU()),
            *(nn.Conv2d(256, 128, 1), nn.ReLU()),
            *(nn.MaxPool2d(2), nn.Flatten(), nn.Linear(128 * (rows // 2) * (columns // 2), 512)),
        )
        self.lstm = nn.LSTM(512, units, num_layers=2, batch_first=True)
        # PyTorch adds two biases where the equations have one: the second is zero and is not trained.
        for name, parameter in self.lstm.named_parameters():
            if name.startswith("bias_hh"):
                nn.init.zeros_(parameter).requires_grad_(False)
        self.self_attention = StepSelfAttention(units)
        self.classifier = nn.Linear(units, n_classes)

    def forward(self, eeg):
        slices = ((eeg - self.mean) * self.scale).flatten(0, 1)
        steps = self.cnn(self.band_attention(slices)).unflatten(0, eeg.shape[:2])
        features = self.self_attention(self.lstm(steps)[0])
        return self.classifier(features), features
