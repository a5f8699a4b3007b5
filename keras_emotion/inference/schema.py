"""Inference block of a saved model (`System.inference`), with checks that block and model match.

A block comes from an untrusted file. It is used only after validation: types, bounds, lengths, and that the inputs made
from the arrays of its parts have the shapes of the model's inputs.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from keras_emotion import signals
from keras_emotion.inference.old_blocks import convert_old_block, is_old_block
from keras_emotion.pipelines import FeaturePart, ModelInput, find_part, find_transform
from keras_emotion.schema import InputError
from keras_emotion.systems.registry import registered_systems

if TYPE_CHECKING:
    import keras

MOST_CHANNELS = 4_096
"""Largest number of channels of a recording."""

HIGHEST_RATE_HZ = 100_000.0
"""Highest sampling rate."""

WINDOW_BYTES = 2**30
"""Largest size of the signal and the features of one window in bytes."""

LONGEST_LEAD_SECONDS = 1_800.0
"""Longest lead-in for the filters of a part."""

Text = Annotated[str, Field(max_length=200)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Part = Annotated[float, Field(ge=-1.01, le=1.01)]
Direction = tuple[Part, Part, Part]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PartDescription(_Strict):
    """Feature part as stored in a model (`FeaturePart.description`).

    Args:
        kind: kind of the part, as in `FeaturePart.key`.
        fields: its fields; the part validates them.
    """

    kind: Name
    fields: dict[str, Any]


class InferenceBlock(_Strict):
    """Metadata of a saved model for its application.

    Args:
        format: version of the block.
        parts: the feature parts of the inputs, by name; at most one reads a recording, one a video; any number read
            stimuli.
        inputs: source of each input of the model, by its name.
        target: rating that the model predicts.
        class_names: names of the classes in the order of the outputs; `None`: they are numbered.
        dataset: name of the dataset that the model was trained on.
        synthetic: whether these data were synthetic.
        channel_names: channels of the recording in the order of the arrays; `None`: no part reads a recording.
        units: their units.
        electrode_directions: unit vectors from the centre of the head to their electrodes, `None` if unknown; `None`
            for all uses those of the 10-5 system.
        sampling_rate_hz: sampling rate of the recording in Hz.
    """

    format: Literal[2]
    parts: Annotated[dict[Name, PartDescription], Field(min_length=1, max_length=8)]
    inputs: Annotated[dict[Name, ModelInput], Field(min_length=1, max_length=16)]
    target: Text | None
    class_names: Annotated[tuple[Name, ...], Field(min_length=2, max_length=1_000)] | None
    dataset: Text | None
    synthetic: bool
    channel_names: Annotated[tuple[Name, ...], Field(min_length=1, max_length=MOST_CHANNELS)] | None = None
    units: Annotated[tuple[Text, ...], Field(max_length=MOST_CHANNELS)] | None = None
    electrode_directions: Annotated[tuple[Direction | None, ...], Field(max_length=MOST_CHANNELS)] | None = None
    sampling_rate_hz: Annotated[float, Field(gt=0, le=HIGHEST_RATE_HZ)] | None = None


@dataclasses.dataclass(frozen=True)
class Reading:
    """Validated description of a model's inputs.

    Args:
        block: the block of the model.
        signals_name: name of the part that reads a recording, and
        signals: this part for a new recording; `None` if there is none.
        video_name: name of the part that reads a video, and
        video: this part; `None` if there is none.
        media: the parts that read stimuli, by name.
        directions: `(channels, 3)` directions of the electrodes, NaN where unknown.
        window_bytes: bytes of the signal and the features of one window.
    """

    block: InferenceBlock
    signals_name: str | None
    signals: FeaturePart | None
    video_name: str | None
    video: FeaturePart | None
    media: Mapping[str, FeaturePart]
    directions: np.ndarray
    window_bytes: int


class _FieldError(ValueError):
    """Field of a block that cannot be used."""

    def __init__(self, field: str, message: str):
        super().__init__(f"{field}: {message}")


def read_block(model: keras.Model, source: object) -> Reading:
    """Check the block of a saved model and return the description of its inputs.

    Args:
        model: the model.
        source: the file of the model, for messages.

    Raises:
        InputError: the model has no block, cannot be applied, or the block cannot be used; the one-line message names
            the field.
    """
    block = getattr(model, "inference", None) or {}
    if isinstance(block, Mapping) and not {"format", "inputs"} & block.keys() and not is_old_block(block):
        raise InputError(f"{source}: has no inference metadata; expected a model that a run saved (--save-models)")
    kind = type(model).__name__
    if not hasattr(model, "window_probabilities"):
        raise InputError(f"{source}: {kind} has no classes, so that `predict` cannot compute probabilities")
    try:
        if isinstance(block, Mapping) and is_old_block(block):
            block = convert_old_block(kind, block)
        found = InferenceBlock.model_validate_json(json.dumps(block), strict=True)
        reading = _reading(found)
        _check_inputs(model, reading)
        _check_classes(model, found)
    except ValidationError as error:
        raise InputError(f"{source}: {_first_problem(error)}") from None
    except ValueError as error:
        raise InputError(f"{source}: {' '.join(str(error).split())}") from None
    return reading


def _first_problem(error: ValidationError, place: str = "") -> str:
    """Format the first problem of a validation in one line: field, expected, received."""
    problem = error.errors()[0]
    # The JSON text as a whole has no field name.
    field = ".".join([*([place] if place else []), *(str(key) for key in problem["loc"])]) or "inference"
    message = problem["msg"].removeprefix("Value error, ").replace("Input should be", "expected")
    message = {"missing": "missing; expected a value", "extra_forbidden": "unknown field"}.get(problem["type"], message)
    if problem["type"] in ("missing", "value_error", "extra_forbidden"):
        return f"{field}: {message}"
    return f"{field}: {message}; received {problem['input']!r:.60}"


def _reading(block: InferenceBlock) -> Reading:
    parts = {name: _part(name, description) for name, description in block.parts.items()}
    by_source: dict[str, str] = {}
    for name, part in parts.items():
        if part.sources[0] == "media":
            continue
        if part.sources[0] in by_source:
            raise _FieldError(f"parts.{name}", f"expected one part that reads a {part.sources[0]}; another one does")
        by_source[part.sources[0]] = name
    for name, one in block.inputs.items():
        if one.part not in parts:
            raise _FieldError(f"inputs.{name}.part", f"{one.part!r}; expected one of {', '.join(parts)}")
        try:
            find_transform(one.transform)
        except ValueError as error:
            raise _FieldError(f"inputs.{name}.transform", str(error)) from None
    unread = parts.keys() - {one.part for one in block.inputs.values()}
    if unread:
        raise _FieldError(f"parts.{min(unread)}", "no input comes from it")
    signals_name, video_name = by_source.get("recording"), by_source.get("video")
    media = {name: part for name, part in parts.items() if part.sources[0] == "media"}
    directions = np.zeros((0, 3))
    if signals_name is not None:
        directions = _check_recording(block, signals_name, parts[signals_name])
    elif video_name is not None and media:
        raise _FieldError(
            f"parts.{video_name}", "reads a face video in addition to stimuli; expected a part of a recording, too"
        )
    leading, *others = [name for name in (signals_name, video_name, *media) if name is not None]
    for name in others:
        for field in ("window_seconds", "hop_seconds"):
            length, expected = (_seconds(parts[one], field) for one in (name, leading))
            if abs(length - expected) > 1e-6:
                message = f"windows of {length:g} s" if field == "window_seconds" else f"windows every {length:g} s"
                message += f"; expected {expected:g} s, those of {leading}"
                raise _FieldError(f"parts.{name}.fields.{field}", message)
    return Reading(
        block,
        signals_name,
        None if signals_name is None else parts[signals_name],
        video_name,
        None if video_name is None else parts[video_name],
        media,
        directions,
        sum(_window_bytes(block, name, part) for name, part in parts.items()),
    )


def _seconds(part: FeaturePart, field: str) -> float:
    """Return the length of the windows of a part, or the time between their starts."""
    return getattr(part.windowing, field) or part.windowing.window_seconds


def _part(name: str, description: PartDescription) -> FeaturePart:
    # Some parts are defined in the modules of the systems that need them.
    registered_systems()
    try:
        kind = find_part(description.kind)
    except ValueError as error:
        raise _FieldError(f"parts.{name}.kind", str(error)) from None
    place = f"parts.{name}.fields"
    try:
        return kind.from_fields(description.fields).for_new_recording()
    except ValidationError as error:
        raise ValueError(_first_problem(error, place)) from None
    except ValueError as error:
        raise ValueError(f"{place}.{error}") from None


def _check_recording(block: InferenceBlock, name: str, part: FeaturePart) -> np.ndarray:
    """Check the requirements of a part that reads a recording; return the directions of its electrodes."""
    names, units, rate = block.channel_names, block.units, block.sampling_rate_hz
    if names is None or units is None or rate is None:
        missing = "channel_names" if names is None else "units" if units is None else "sampling_rate_hz"
        raise _FieldError(missing, f"missing; parts.{name} reads a recording")
    folded = [one.casefold() for one in names]
    twice = [one for one in names if folded.count(one.casefold()) > 1]
    if twice:
        raise _FieldError("channel_names", f"{twice[0]!r} occurs more than once")
    for field in ("units", "electrode_directions"):
        given = getattr(block, field)
        if given is not None and len(given) != len(names):
            raise _FieldError(field, f"{len(given)} values; expected {len(names)}, one for each channel")
    if "uV" not in units:
        raise _FieldError("units", f"was trained on signals in {units[0]}, which is not a voltage unit")
    if block.electrode_directions is None:
        directions = signals.electrode_directions(list(names))
    else:
        directions = np.array([(math.nan,) * 3 if one is None else one for one in block.electrode_directions])
        lengths = np.linalg.norm(directions, axis=1)
        wrong = np.flatnonzero(np.isfinite(lengths) & (np.abs(lengths - 1) > 1e-2))
        if len(wrong):
            raise _FieldError(f"electrode_directions.{wrong[0]}", f"length {lengths[wrong[0]]:g}; expected 1")
    if not part.works_in_blocks:
        raise _FieldError(f"parts.{name}.fields", "needs the whole recording at once; `predict` reads it in blocks")
    for band, (_, high_hz) in part.frequency_bands.items():
        if not 2 * high_hz < rate:
            message = f"reaches up to {high_hz:g} Hz; expected below half of sampling_rate_hz, {rate:g}"
            raise _FieldError(f"parts.{name}.fields.bands.{band}", message)
    try:
        part.check_channels(names, directions)
    except ValueError as error:
        raise _FieldError("channel_names", str(error)) from None
    _shapes(block, name, part)
    for field in ("window_seconds", "hop_seconds"):
        n_samples = _seconds(part, field) * rate
        if not 1 <= round(n_samples, 6) == round(n_samples):
            message = f"{_seconds(part, field):g} s are {n_samples:g} samples; expected a whole number"
            raise _FieldError(f"parts.{name}.fields.{field}", message)
    lead_seconds = part.lead_in_seconds(rate)
    if not lead_seconds <= LONGEST_LEAD_SECONDS:
        message = f"filters with a transient of {lead_seconds:.0f} s; expected at most {LONGEST_LEAD_SECONDS:g} s"
        raise _FieldError(f"parts.{name}.fields.bands", message)
    return directions


def _shapes(block: InferenceBlock, name: str, part: FeaturePart) -> dict[str, tuple[int, ...]]:
    try:
        return part.array_shapes(len(block.channel_names or ()), block.sampling_rate_hz or math.nan)
    except ValueError as error:
        raise ValueError(f"parts.{name}.fields.{error}") from None


def _window_bytes(block: InferenceBlock, name: str, part: FeaturePart) -> int:
    # Python integers, because the product of sizes beyond memory must not overflow.
    n_values = sum(math.prod(shape) for shape in _shapes(block, name, part).values())
    n_bytes = 4 * n_values
    if part.sources[0] == "recording":
        n_samples = round(part.windowing.window_seconds * (block.sampling_rate_hz or 0.0))
        n_bytes += 8 * len(block.channel_names or ()) * n_samples
    if n_bytes > WINDOW_BYTES:
        message = f"a window takes {n_bytes / 2**30:.3g} GiB; expected at most {WINDOW_BYTES / 2**30:g}"
        raise _FieldError(f"parts.{name}.fields", message)
    return n_bytes


def _check_inputs(model: keras.Model, reading: Reading) -> None:
    """Refuse inputs that differ from the model's in names or shapes."""
    import keras

    block = reading.block
    parts: dict[Any, Any] = {
        reading.signals_name: reading.signals,
        reading.video_name: reading.video,
        **reading.media,
    }
    if not hasattr(model, "input"):
        return
    tensors = {tensor.name: tensor for tensor in keras.tree.flatten(model.input)}
    if tensors.keys() != block.inputs.keys():
        raise _FieldError("inputs", f"{', '.join(block.inputs)}; expected those of the model, {', '.join(tensors)}")
    for name, one in block.inputs.items():
        shapes = _shapes(block, one.part, parts[one.part])
        if one.array not in shapes:
            raise _FieldError(f"inputs.{name}.array", f"{one.array!r}; expected one of {', '.join(shapes)}")
        try:
            shape = find_transform(one.transform)(np.zeros((1, *shapes[one.array]), np.float32)).shape[1:]
        except (ValueError, IndexError):
            message = f"{one.transform!r} cannot be applied to windows of shape {shapes[one.array]}"
            raise _FieldError(f"inputs.{name}.transform", message) from None
        expected = tuple(tensors[name].shape[1:])
        if not _fits(shape, expected):
            message = f"windows of shape {shape} by the fields of parts.{one.part}; the model expects {expected}"
            raise _FieldError(f"inputs.{name}", message)


def _fits(shape: Sequence[int], expected: Sequence[int | None]) -> bool:
    return len(shape) == len(expected) and all(
        size is None or size == there for there, size in zip(shape, expected, strict=True)
    )


def _check_classes(model: keras.Model, block: InferenceBlock) -> None:
    """Refuse class names that do not match the number of outputs."""
    if block.class_names is None:
        return
    if len(set(block.class_names)) < len(block.class_names):
        raise _FieldError("class_names", "two classes have the same name")
    if hasattr(model, "output"):
        n_classes = model.window_probabilities(model.output).shape[-1]
        if n_classes != len(block.class_names):
            raise _FieldError("class_names", f"{len(block.class_names)} names; the model has {n_classes} classes")
