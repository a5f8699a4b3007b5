"""Synthetic data in the two formats of AffectNet."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pandas as pd

from keras_emotion.synthetic.faces import (
    AnimatedFace,
    FaceIdentity,
    light_course,
    pose_course,
    surroundings,
    write_image,
)
from keras_emotion.synthetic.facts import read_facts, write_marker

Generation = Literal["lists", "arrays"]

FACTS = read_facts("affectnet")

CLASSES: Mapping[int, tuple[float, float]] = {
    0: (0.0, 0.0),
    1: (0.7, 0.15),
    2: (-0.6, -0.3),
    3: (0.2, 0.7),
    4: (-0.2, 0.75),
    5: (-0.6, 0.3),
    6: (-0.45, 0.55),
    7: (-0.5, -0.05),
}
"""Mean valence and arousal of the images of a class (neutral, happy, sad, surprise, fear, disgust, anger, contempt);
rough guesses."""

CLASS_SD = 0.15
NO_CLASS, UNCERTAIN, NON_FACE = 8, 9, 10
NOT_RATED = -2.0
"""Valence and arousal of images without ratings: uncertain ones and those without a face."""

SHARE_WITHOUT_CLASS = 0.1
"""Share of the images of the old generation without a class, uncertain or without a face."""

BROKEN = {
    "lists": ("image missing", "valence not a number", "landmarks short", "image truncated"),
    "arrays": ("annotation missing", "valence not a number", "landmarks short", "image truncated"),
}
"""Faults of the broken rows, in turn."""

_COLUMNS = ("face_x", "face_y", "face_width", "face_height", "facial_landmarks", "expression", "valence", "arousal")
_CROP_SIZE = 224


def write_affectnet(
    out: str | Path,
    n_training: int = 80,
    n_validation: int = 40,
    seed: int = 0,
    effect_size: float = 1.0,
    generation: Generation = "lists",
    *,
    n_broken: int = 0,
) -> Path:
    """Write a synthetic AffectNet: images of faces, each of another person, with class and ratings.

    Old generation, `"lists"`: `Manually_Annotated_Images/<folder>/<name>.jpg` of 160 to 400 rows and
    `Manually_Annotated_file_lists/{training,validation}.csv`; a tenth of the images have no class, are uncertain or
    show no face. New generation, `"arrays"`: `{train_set,val_set}/images/0.jpg` of 224 pixels and
    `annotations/0_{exp,val,aro,lnd}.npy`; class and ratings are text in zero-dimensional arrays, and all images have
    one of the eight classes (it is not verified that the values are text, nor are the names of the two folders).

    An image does not depend on the number of images.

    Args:
        out: output folder; created if missing.
        n_training: number of training images.
        n_validation: number of validation images.
        seed: random seed; the same seed gives the same files.
        effect_size: share of the ratings that the face shows, 0 to 1; it shows `effect_size` times their valence and
            arousal, plus `sqrt(1 - effect_size^2)` times those of an independently drawn image.
        generation: format; `"lists"` are csv files (old), `"arrays"` one annotation file per value (new).
        n_broken: number of broken rows added to each partition, with the faults of `BROKEN` in turn.

    Returns:
        `out`.

    Raises:
        ValueError: a number is out of range, or the generation is unknown.
    """
    for name, value in (("n_training", n_training), ("n_validation", n_validation), ("n_broken", n_broken)):
        if value < 0:
            raise ValueError(f"`{name}` is {value}; expected 0 or more")
    if not 0 <= effect_size <= 1:
        raise ValueError(f"`effect_size` is {effect_size}; expected 0 to 1")
    if generation not in get_args(Generation):
        raise ValueError(f"`generation` is {generation!r}; expected one of {get_args(Generation)}")
    out = Path(out)
    write = _write_list if generation == "lists" else _write_arrays
    for index, (partition, n_images) in enumerate(zip(FACTS["sets"], (n_training, n_validation), strict=True), start=1):
        wrong = [None] * n_images + [BROKEN[generation][row % 4] for row in range(n_broken)]
        write(out, partition, [seed, index], effect_size, wrong)
    write_marker(
        out,
        dataset="affectnet",
        n_training=n_training,
        n_validation=n_validation,
        seed=seed,
        effect_size=effect_size,
        generation=generation,
        n_broken=n_broken,
    )
    return out


def _write_list(out: Path, partition: str, seed: list[int], effect_size: float, wrong: list[str | None]) -> None:
    rows = []
    for number, fault in enumerate(wrong, start=1):
        rng = np.random.default_rng([*seed, number])
        height = int(rng.integers(160, 401))
        size = round(height * rng.uniform(0.85, 1.25)), height
        is_without, kind = rng.random() < SHARE_WITHOUT_CLASS, int(rng.integers(NO_CLASS, NON_FACE + 1))
        kind = kind if is_without and fault is None else None
        image, landmarks, expression, valence, arousal = _image(rng, size, effect_size, kind)
        name = hashlib.sha224(repr((seed, number)).encode()).hexdigest()
        path = f"{int(name[:4], 16) % 1000 + 1}/{name}.jpg"
        box, points = [-1] * 4, np.full(2 * FACTS["n_landmarks"], -1.0)
        if len(landmarks):
            low, high = landmarks.min(axis=0), landmarks.max(axis=0)
            # The landmarks end at the brows, the box at the hair.
            low[1] -= 0.25 * (high[1] - low[1])
            low, high = np.clip([np.floor(low), np.ceil(high)], 0, [size]).astype(int)
            box, points = [*low.tolist(), *(high - low).tolist()], landmarks.ravel()
        if fault == "landmarks short":
            points = points[:50]
        text = ";".join(f"{value:.2f}" for value in points)
        value = "happy" if fault == "valence not a number" else f"{valence:.6g}"
        rows.append([path, *box, text, expression, value, f"{arousal:.6g}"])
        file = out / FACTS["image_folder"] / path
        file.parent.mkdir(parents=True, exist_ok=True)
        if fault != "image missing":
            _write_image(file, image, fault)
    folder = out / FACTS["list_folder"]
    folder.mkdir(parents=True, exist_ok=True)
    table = pd.DataFrame(rows, columns=["subDirectory_filePath", *_COLUMNS])
    table.to_csv(folder / FACTS["lists"][partition], index=False)


def _write_arrays(out: Path, partition: str, seed: list[int], effect_size: float, wrong: list[str | None]) -> None:
    root = out / FACTS["sets"][partition]
    for folder in ("images", "annotations"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for number, fault in enumerate(wrong, start=1):
        rng = np.random.default_rng([*seed, number])
        image, landmarks, expression, valence, arousal = _image(rng, (_CROP_SIZE, _CROP_SIZE), effect_size, None)
        name = number - 1
        _write_image(root / "images" / f"{name}.jpg", image, fault)
        contents = {
            "exp": np.array(str(expression)),
            "val": np.array("happy" if fault == "valence not a number" else f"{valence:.6g}"),
            "aro": np.array(f"{arousal:.6g}"),
            "lnd": landmarks.ravel()[: 50 if fault == "landmarks short" else None].round(2),
        }
        if fault == "annotation missing":
            del contents["val"]
        for kind, content in contents.items():
            np.save(root / "annotations" / f"{name}_{kind}.npy", content)


def _image(
    rng: np.random.Generator, size: tuple[int, int], effect_size: float, kind: int | None
) -> tuple[np.ndarray, np.ndarray, int, float, float]:
    """Draw an image with landmarks (if it has a face), class, valence and arousal, in this order for every effect."""
    width, height = size
    identity = FaceIdentity.draw(rng)
    pose, light = pose_course(rng, np.zeros(1), size=1.3)[0], light_course(rng, np.zeros(1), size=1.3)[0]
    (expression, rated), (_, other) = _rated(rng), _rated(rng)
    valence, arousal = rated.tolist()
    if kind == NON_FACE:
        return surroundings(height, width, identity), np.empty((0, 2)), kind, NOT_RATED, NOT_RATED
    if kind is not None:
        expression = kind
    if kind == UNCERTAIN:
        valence = arousal = NOT_RATED
    shown = np.clip(effect_size * rated + np.sqrt(1 - effect_size**2) * other, -1, 1)
    face = AnimatedFace(height, width, identity)
    drawn = face.frame(shown[0], shown[1], pose, light)
    return drawn, face.landmarks(shown[0], shown[1], pose), expression, valence, arousal


def _rated(rng: np.random.Generator) -> tuple[int, np.ndarray]:
    """Draw a class, and valence and arousal of an image of it."""
    expression = int(rng.integers(len(CLASSES)))
    return expression, np.clip(rng.normal(CLASSES[expression], CLASS_SD), -1, 1)


def _write_image(path: Path, image: np.ndarray, fault: str | None) -> None:
    write_image(path, image)
    if fault == "image truncated":
        path.write_bytes(path.read_bytes()[:200])
