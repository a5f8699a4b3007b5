"""Forward pass of `VideoEEGHierarchicalLSTM` in NumPy, sample by sample, unit by unit and step by step."""

import math

import numpy as np


def sigmoid(values):
    return 1 / (1 + np.exp(-values))


def softmax(values):
    exponentials = np.exp(values - values.max())
    return exponentials / exponentials.sum()


def lstm_step(x, hidden, cell, weights):
    gates = x @ weights["kernel"] + hidden @ weights["recurrent_kernel"] + weights["bias"]
    entrance, forget, candidate, out = np.split(gates, 4)
    cell = sigmoid(forget) * cell + sigmoid(entrance) * np.tanh(candidate)
    return sigmoid(out) * np.tanh(cell), cell


def level_weights(states, weights):
    scores = [
        np.tanh(x @ weights["hidden/kernel"] + weights["hidden/bias"]) @ weights["scores/kernel"][:, 0] for x in states
    ]
    return softmax(np.array(scores))


def weighted(states, weights, level_state):
    each = weights[:, np.newaxis] * states
    return np.tile(each.sum(axis=0), (len(states), 1)) if level_state == "sum" else each


def encoded(picture, weights):
    """3 x 3 convolutions of stride 2 as in TensorFlow ("same": the odd border at the end), ReLU, dense, ReLU."""
    number = 1
    while f"convolution_{number}/kernel" in weights:
        kernel, bias = weights[f"convolution_{number}/kernel"], weights[f"convolution_{number}/bias"]
        sizes = [math.ceil(n / 2) for n in picture.shape[:2]]
        borders = [max((size - 1) * 2 + 3 - n, 0) for size, n in zip(sizes, picture.shape[:2], strict=True)]
        padded = np.pad(picture, [*((border // 2, border - border // 2) for border in borders), (0, 0)])
        picture = np.array(
            [
                [np.tensordot(padded[2 * i : 2 * i + 3, 2 * j : 2 * j + 3], kernel, 3) + bias for j in range(sizes[1])]
                for i in range(sizes[0])
            ]
        ).clip(0)
        number += 1
    return (picture.ravel() @ weights["projection/kernel"] + weights["projection/bias"]).clip(0)


def weights_under(model, prefix):
    return {
        weight.path.removeprefix(f"{prefix}/"): np.asarray(weight.value, "float64")
        for weight in model.weights
        if weight.path.startswith(f"{prefix}/")
    }


def look(model, pictures, images, noise):
    """One rollout of one sample.

    Args:
        model: the model, with both modalities, small encoders and level attention.
        pictures: faces, `(frames, rows, columns, 3)`, from 0 to 255.
        images: EEG images, `(frames, rows, columns, bands)`.
        noise: draws, `(n_looks,)`.

    Returns:
        A dictionary: probabilities, positions (of the looks only), actions, log-probabilities, states of the core at
        each look, and the penalty.
    """
    face, eeg = weights_under(model, "face_encoder"), weights_under(model, "eeg_encoder")
    projection, classifier = weights_under(model, "face_projection"), weights_under(model, "classifier")
    band, policy = weights_under(model, "looking/band_attention"), weights_under(model, "looking/policy")
    glimpse = weights_under(model, "looking/glimpse/lstm_cell")
    levels = [weights_under(model, f"looking/core/level_{number + 1}") for number in range(model.n_levels)]
    attentions = [weights_under(model, f"looking/core/{kind}_attention") for kind in ("hidden", "cell")]

    units, last = model.units, model.n_frames - 1
    glimpses = np.zeros((2, 2, units))
    hidden, cell = np.zeros((2, model.n_levels, units))
    sigma = model.sigma * model.n_frames
    results = {"positions": [], "actions": [], "log_probabilities": [], "locations": [], "states": [], "penalties": []}
    position = 0
    for n in range(model.n_looks):
        # Eq. 1 and 2, from the state before.
        theta = softmax(hidden[-1] @ band["scores/kernel"] + band["scores/bias"])
        e = sum(weight * encoded(images[position][..., [b]], eeg) for b, weight in enumerate(theta))
        x_e = (e @ band["projection/kernel"] + band["projection/bias"]).clip(0)
        x_v = encoded((pictures[position] / 255 - 0.45) / 0.225, face) @ projection["kernel"] + projection["bias"]
        glimpses = np.array([lstm_step(x, *states, glimpse) for x, states in zip((x_v, x_e), glimpses, strict=True)])
        x = np.concatenate([glimpses[0, 0], glimpses[1, 0]])
        for level, weights in enumerate(levels):
            hidden[level], cell[level] = lstm_step(x, hidden[level], cell[level], weights)
            x = hidden[level]
        # Eq. 3 to 9.
        alpha, beta = level_weights(hidden, attentions[0]), level_weights(cell, attentions[1])
        hidden, cell = weighted(hidden, alpha, model.level_state), weighted(cell, beta, model.level_state)
        results["penalties"].append(((alpha - alpha.mean()) ** 2).sum() + ((beta - beta.mean()) ** 2).sum())
        results["positions"].append(position)
        results["states"].append(hidden[-1].copy())
        if position == last or n == model.n_looks - 1:
            break
        low = position + 1 if model.direction == "forward" else 0
        location = low + (last - low) * sigmoid(
            hidden[-1] @ policy["location/kernel"][:, 0] + policy["location/bias"][0]
        )
        action = location + sigma * noise[n]
        results["locations"].append(location)
        results["actions"].append(action)
        results["log_probabilities"].append(
            -((action - location) ** 2) / (2 * sigma**2) - math.log(sigma * math.sqrt(2 * math.pi))
        )
        position = round(min(max(action, low), last))
    logits = hidden[-1] @ classifier["kernel"] + classifier["bias"]
    return {**{name: np.array(values) for name, values in results.items()}, "probabilities": softmax(logits)}
