"""Topographic images of a trial of DEAP by one matrix, compared with SciPy's interpolation image by image.

Every contender computes the images `(480, 3, 32, 32)` from the powers of 480 frames, three bands and DEAP's 32
electrodes. Each runs in a new process. The positions of the electrodes and of the pixels are given.
"""

from __future__ import annotations

import os
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from measurement import Outcome, clocks, in_fresh_process, largest_difference

OURS = "keras_emotion"
OURS_FLOAT64 = "keras_emotion, float64"
GRIDDATA = "SciPy, griddata"
ONE_TRIANGULATION = "SciPy, one triangulation"
ALL_AT_ONCE = "SciPy, all images at once"

N_FRAMES, N_BANDS, IMAGE_SIZE = 480, 3, 32
ALLOWED = 1e-6
"""Largest difference of images in float64; SciPy's slopes at the electrodes are iterated to 1e-6."""

Interpolate = Callable[[Any, Any, Any], Any]
"""Function that computes images from values `(images, channels)`, positions `(channels, 2)` and pixel coordinates."""


def _griddata(values: Any, places: Any, pixels: Any) -> Any:
    """As in the code of Bashivan et al. (2016): each image separately, with its own triangulation."""
    import numpy as np
    from scipy.interpolate import griddata

    return np.array([griddata(places, one, pixels, method="cubic", fill_value=0.0) for one in values])


def _one_triangulation(values: Any, places: Any, pixels: Any) -> Any:
    import numpy as np
    from scipy.interpolate import CloughTocher2DInterpolator
    from scipy.spatial import Delaunay

    triangles = Delaunay(places)
    return np.array([CloughTocher2DInterpolator(triangles, one, fill_value=0.0)(pixels) for one in values])


def _all_at_once(values: Any, places: Any, pixels: Any) -> Any:
    import numpy as np
    from scipy.interpolate import CloughTocher2DInterpolator

    return np.moveaxis(CloughTocher2DInterpolator(places, values.T, fill_value=0.0)(pixels), -1, 0)


PEERS: dict[str, Interpolate] = {
    GRIDDATA: _griddata,
    ONE_TRIANGULATION: _one_triangulation,
    ALL_AT_ONCE: _all_at_once,
}
CONTENDERS = (OURS, OURS_FLOAT64, *PEERS)


def measure(contender: str, save: str) -> dict[str, float]:
    """Measure a contender's seconds for a trial, and for the matrix; save its images to the file `save`."""
    import numpy as np

    from keras_emotion.datasets.deap_facts import EEG_CHANNEL_NAMES
    from keras_emotion.signals import electrode_places, image_matrix, to_images

    values = np.random.default_rng(0).standard_normal((N_FRAMES, N_BANDS, len(EEG_CHANNEL_NAMES)))
    places = electrode_places(EEG_CHANNEL_NAMES)
    (left, back), (right, front) = places.min(axis=0), places.max(axis=0)
    pixels = tuple(np.meshgrid(np.linspace(left, right, IMAGE_SIZE), np.linspace(front, back, IMAGE_SIZE)))
    start = clocks()
    matrix = image_matrix(EEG_CHANNEL_NAMES, image_size=IMAGE_SIZE)
    of_matrix = clocks() - start
    if contender in PEERS:
        flat = values.reshape(-1, values.shape[-1])
        PEERS[contender](flat[:2], places, pixels)  # warm-up of SciPy
        start = clocks()
        images = PEERS[contender](flat, places, pixels)
    else:
        values = values.astype(np.float64 if contender == OURS_FLOAT64 else np.float32)
        to_images(values[:2], matrix)
        start = clocks()
        images = to_images(values, matrix)
    wall_seconds, cpu_seconds = (clocks() - start).tolist()
    np.save(save, images.reshape(N_FRAMES, N_BANDS, IMAGE_SIZE, IMAGE_SIZE))
    of_matrix = float(of_matrix[1]) if contender not in PEERS else 0.0
    return {"wall_seconds": wall_seconds, "cpu_seconds": cpu_seconds, "matrix_cpu_seconds": of_matrix}


def benchmark(repeats: int = 5) -> Outcome:
    """Measure every contender `repeats` times, in turns.

    Args:
        repeats: number of new processes per contender.
    """
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in CONTENDERS}
    load = [os.getloadavg()[0]]
    with tempfile.TemporaryDirectory() as folder:
        saved = {name: str(Path(folder, f"{index}.npy")) for index, name in enumerate(CONTENDERS)}
        for _ in range(repeats):
            for name in CONTENDERS:
                runs[name].append(in_fresh_process(measure, contender=name, save=saved[name]))
        differences = {
            name: in_fresh_process(largest_difference, files=[saved[OURS_FLOAT64], saved[name]])["max_difference"]
            for name in PEERS
        }
    load.append(os.getloadavg()[0])
    medians = {name: {key: statistics.median(run[key] for run in own) for key in own[0]} for name, own in runs.items()}
    reference = medians[OURS]
    rows = [
        (
            name,
            f"{1e3 * median['wall_seconds']:.1f}",
            f"{1e3 * median['cpu_seconds']:.1f}",
            f"{median['wall_seconds'] / reference['wall_seconds']:.1f}",
            f"{median['cpu_seconds'] / reference['cpu_seconds']:.1f}",
            f"{1e3 * median['matrix_cpu_seconds']:.1f}" if name not in PEERS else "",
        )
        for name, median in medians.items()
    ]
    notes = [
        *(
            f"{OURS_FLOAT64} and {name} agree: largest difference {found:.1e} (allowed: {ALLOWED:g})."
            for name, found in differences.items()
        ),
        "The matrix is computed once per montage; its time is not part of that of the images. Wall times depend "
        f"on other load; load average {load[0]:.1f} before and {load[1]:.1f} after.",
    ]
    return Outcome(
        title=f"Topographic images of a trial, {N_FRAMES} frames x {N_BANDS} bands x {IMAGE_SIZE} x {IMAGE_SIZE}, one "
        f"thread, medians of {repeats}",
        columns=("", "wall ms", "CPU ms", "wall ratio", "CPU ratio", "matrix, CPU ms"),
        rows=tuple(rows),
        notes=tuple(notes),
        measured={"runs": runs, "differences": differences, "load_average": load},
        passed=max(differences.values()) <= ALLOWED,
    )
