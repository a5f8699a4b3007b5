"""MERCL (Lee, Kim and Kim, 2024) as a system: contrastive training of encoders, then attention and a classifier."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
import pandas as pd
from pydantic import Field, model_validator
from typing_extensions import override

from keras_emotion.evaluation import LabelRule
from keras_emotion.pipelines import (
    FeaturePart,
    MediaFrames,
    MediaLogMel,
    MediaVGGishPatches,
    ModelInput,
    SlidingBandPowers,
    StoredFeatures,
    Windowing,
    path_hash,
)
from keras_emotion.pipelines.batches import JoinedArrays
from keras_emotion.pipelines.media_features import Stream
from keras_emotion.pipelines.pairing import count_dropped
from keras_emotion.schema import TRIAL_KEY, InputError, Trial
from keras_emotion.systems.base import NetworkSystem, fit_scaling_layers
from keras_emotion.systems.experiment import Experiment
from keras_emotion.systems.media_encoders import EncodedFrames, EncodedSound
from keras_emotion.systems.registry import register_system
from keras_emotion.systems.settings import Training
from keras_emotion.systems.stages import Stage

if TYPE_CHECKING:
    import keras

Modality = Literal["visual", "audio", "eeg"]

STIMULUS = "stimulus"
"""Array of the stimulus of each window, `(windows, 1)` int32: equal for windows of one stimulus, or of one trial if
picture and sound are those of the subject."""

ENERGY = "energy_dbfs"

_SOUND_PARTS = {"log_mel": MediaLogMel, "vggish": MediaVGGishPatches}
# Rows of Table 7.
_PAIRS = {
    frozenset({"visual", "audio"}): "Audio + Video",
    frozenset({"audio", "eeg"}): "Audio + EEG",
    frozenset({"visual", "eeg"}): "Video + EEG",
}
# Rows of Table 8, by contrastive learning and attention.
_ABLATIONS = {
    (False, True): "Without Contrastive Learning",
    (True, False): "Without Cross-Modal Attention",
    (False, False): "Without Contrastive Learning and Cross-Modal Attention",
}


@register_system
class MERCLSystem(NetworkSystem):
    """MERCL with its inputs; the rows of the paper's Tables 7 to 9 are fields.

    | row | fields |
    |---|---|
    | Table 7, pairs of modalities | `modalities` |
    | Table 8, without contrastive learning | `contrastive=False` |
    | Table 8, without cross-modal attention | `cross_modal_attention=False` |
    | Table 9, audio energy-based selection | `silent_rows="drop"` |

    Picture and sound are those of the stimulus, which all subjects saw: a network trained on a clip can recognise it
    and output its label. Only protocols with disjoint stimuli measure emotion recognition.

    With `stream="person"` they are the subject's own: whole pictures of the face video, and the sound of the subject,
    as in EAV. Trials without them are dropped and counted, such as those in which the subject listens, if sound is
    among the modalities (`--reader.task speaking` leaves them out before their pictures are encoded). Features are
    stored by subject, and windows of one trial replace windows of one stimulus in the losses.

    **Deviations.** The paper states neither `pretraining` and the other training settings, nor the weights of the
    losses, `temperature`, `alpha`, `silence_dbfs` and the lag. Features of frozen spatial encoders are scaled by the
    training windows, in place of the log-mel spectrogram.

    Args:
        eeg: EEG in blocks; picture and sound are windowed at the same times, `lag_seconds` earlier.
        picture: pictures of the stimulus as features of a network.
        sound: sound of the stimulus as features of a network.
        stream: source of picture and sound: the stimulus, as in the paper, or the subject's face and voice.
        modalities: two or three of them.
        spatial_encoders: `"frozen"`: the networks of `picture` and `sound` are applied once and their features stored;
            `"trained"`: they are part of the network and trained in each fold, starting from their initial weights.
        conformer: spatial encoder of EEG, see `keras_emotion.models.MERCLEncoder`.
        contrastive: whether the encoders are first trained by the contrastive losses. Otherwise they are trained with
            the classifier.
        cross_modal_attention: whether the modalities attend to each other.
        freeze_encoders: whether the encoders stay fixed after the contrastive training (Algorithm 1) while the
            classifier is trained, or are trained further (section 3.3).
        amcl_weight: weight of the loss within modalities (`keras_emotion.losses.MERCLLoss`).
        emcl_weight: weight of the loss between modalities.
        smcl_weight: weight of the alignment within samples.
        temperature: temperature of the first two losses.
        alpha: dot product at which two embeddings of a sample count as aligned.
        form: form of the first two losses.
        same_stimulus_pairs: whether pairs of windows of one stimulus count between pictures and sounds, which are equal
            for all subjects: `"keep"` or `"drop"`. Their share is recorded. For the subject's picture and sound: pairs
            of windows of one trial.
        silent_rows: windows without sound: `"keep"` them; `"no_smcl"`: do not align their sound (section 3.2);
            `"no_pairs"`: use their sound in no pair; `"drop"`: remove them from training and test set (Table 9).
        silence_dbfs: energy below which a window is silent, in decibels relative to full scale.
        units: number of features of TCN, embeddings and attention, a multiple of 4.
        dropout: dropout rate.
        pretraining: settings of the contrastive training.
        encoder_weights: a saved network (`.keras`) of this system from another run, with the initial weights of the
            encoders of the shared modalities: for example those of picture and sound trained on actors without EEG
            (RAVDESS, CREMA-D). Pictures and sound must be computed in the same way in both runs.
    """

    hint: ClassVar[str] = "--system.modalities selects the modalities, two or more of visual, audio and eeg"

    eeg: SlidingBandPowers = Field(default_factory=SlidingBandPowers)
    picture: EncodedFrames = Field(default_factory=EncodedFrames)
    sound: EncodedSound = Field(default_factory=EncodedSound)
    stream: Stream = "stimulus"
    modalities: Annotated[tuple[Modality, ...], Field(min_length=2, max_length=3)] = ("visual", "audio", "eeg")
    spatial_encoders: Literal["frozen", "trained"] = "frozen"
    conformer: Literal["eeg", "speech"] = "eeg"
    contrastive: bool = True
    cross_modal_attention: bool = True
    freeze_encoders: bool = True
    amcl_weight: Annotated[float, Field(ge=0)] = 1.0
    emcl_weight: Annotated[float, Field(ge=0)] = 1.0
    smcl_weight: Annotated[float, Field(ge=0)] = 1.0
    temperature: Annotated[float, Field(gt=0)] = 0.1
    alpha: float = 1.0
    form: Literal["inside", "outside"] = "inside"
    same_stimulus_pairs: Literal["keep", "drop"] = "keep"
    silent_rows: Literal["keep", "no_smcl", "no_pairs", "drop"] = "keep"
    silence_dbfs: Annotated[float, Field(le=0)] = -50.0
    units: Annotated[int, Field(ge=4, multiple_of=4)] = 128
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5
    pretraining: Training = Training(epochs=100, batch_size=64, learning_rate=1e-4)
    encoder_weights: Path | None = None

    @model_validator(mode="after")
    def _fields_fit(self):
        if len(set(self.modalities)) < len(self.modalities):
            raise ValueError(f"modalities: {', '.join(self.modalities)}; expected each once")
        if self.amcl_weight == self.emcl_weight == 0 and self.contrastive:
            raise ValueError(
                "amcl_weight and emcl_weight are both 0: the alignment alone is minimal for constant embeddings; "
                "expected one of them above 0, or --system.no-contrastive"
            )
        if self.silent_rows != "keep" and "audio" not in self.modalities:
            raise ValueError(f"silent_rows: {self.silent_rows!r} needs the modality audio; expected 'keep'")
        return self

    @property
    def modalities_in_order(self) -> tuple[Modality, ...]:
        """The modalities in the order of the network."""
        return tuple(one for one in ("visual", "audio", "eeg") if one in self.modalities)

    def scientific_config(self) -> dict[str, Any]:
        """See `System`; unused settings do not change the experiment's identity."""
        fields = self.model_dump(mode="json")
        parts = self._all_parts()
        fields |= {"eeg": parts["eeg"].key(), "picture": parts["visual"].key(), "sound": parts["audio"].key()}
        if self.spatial_encoders == "trained":
            encoders = {"picture": self.picture.encoder, "sound": self.sound.encoder}
            for name, encoder in encoders.items():
                fields[name] = {**fields[name], "encoder": encoder.portable().model_dump(mode="json")}
        # Left out at the default, so that runs of earlier versions can be resumed.
        if self.stream == "stimulus":
            del fields["stream"]
        if self.encoder_weights is None:
            del fields["encoder_weights"]
        else:
            fields["encoder_weights"] = path_hash(self.encoder_weights)
        fields["modalities"] = list(self.modalities_in_order)
        unused = {
            "picture": "visual" in self.modalities_in_order,
            "sound": "audio" in self.modalities_in_order,
            "eeg": "eeg" in self.modalities_in_order,
            "conformer": "eeg" in self.modalities_in_order,
            "silence_dbfs": self.silent_rows != "keep",
        }
        contrastive_alone = (
            *("amcl_weight", "emcl_weight", "smcl_weight", "temperature", "alpha", "form", "same_stimulus_pairs"),
            *("pretraining", "freeze_encoders"),
        )
        unused |= dict.fromkeys(contrastive_alone, self.contrastive)
        return {name: value for name, value in fields.items() if unused.get(name, True)}

    @override
    def unlike_the_paper(self) -> tuple[str, ...]:
        lines = []
        if self.contrastive:
            lines.append(
                "contrastive losses use logarithms of sums of exp(similarity / temperature); Eq. (3) to (6) print sums "
                "of similarities, which may be negative"
            )
            if self.freeze_encoders:
                lines.append(
                    "the second stage does not train the encoders, as in Algorithm 1; section 3.3 trains them together "
                    "with attention and classifier (--system.no-freeze-encoders)"
                )
            if "audio" in self.modalities and self.silent_rows == "keep":
                lines.append(
                    "windows without sound take part in all losses, as in Table 9 (all samples); section 3.2 leaves "
                    "them out of the alignment within samples (--system.silent-rows no_smcl)"
                )
        if self.cross_modal_attention:
            lines.append("cross-modal attention has a softmax, which is missing in Eq. (12)")
        if self.spatial_encoders == "frozen":
            lines.append(
                "spatial encoders of picture and sound are not trained; Algorithm 1 updates all encoders "
                "(--system.spatial-encoders trained)"
            )
        if "eeg" in self.modalities and self.conformer == "eeg":
            lines.append(
                "the spatial encoder of EEG is the convolution module of the EEG Conformer; the paper cites the "
                "Conformer for speech (--system.conformer speech)"
            )
        for modality, name, part in (("visual", "picture", self.picture), ("audio", "sound", self.sound)):
            if modality in self.modalities and part.encoder.is_random:
                lines.append(f"{name} features by a network with random weights; in the paper it is pre-trained")
        if self.stream == "person":
            lines.append(
                "picture and sound are those of the subject (whole frames of the face video, and the voice); in the "
                "paper those of the stimulus"
            )
        if self.encoder_weights is not None:
            lines.append("encoders start from the weights of another run; in the paper from random weights")
        if not self.eeg.lag_seconds:
            lines.append(
                "EEG windows are not delayed relative to picture and sound; the paper uses a time lag "
                "that it does not state"
            )
        return tuple(lines)

    @property
    def paper_variant(self) -> str | None:
        """See `System`; the rows of Tables 7, 8 and 9."""
        if len(self.modalities) < 3:
            return _PAIRS[frozenset(self.modalities)]
        ablation = _ABLATIONS.get((self.contrastive, self.cross_modal_attention))
        return ablation or ("Proposed method (audio energy-based selection)" if self.silent_rows == "drop" else None)

    @property
    def windowing(self) -> Windowing:
        """See `System`; the blocks of the EEG."""
        return self.eeg.windowing

    def _all_parts(self) -> dict[Modality, FeaturePart]:
        windowing = self.windowing.model_copy(update={"lag_seconds": 0.0})
        picture, sound = (
            part.with_windowing(windowing).changed(stream=self.stream) for part in (self.picture, self.sound)
        )
        if self.spatial_encoders == "trained":
            blocks = {name: getattr(picture, name) for name in MediaFrames.model_fields}
            picture = MediaFrames(**blocks)
            kind = _SOUND_PARTS[self.sound.encoder.front_end]
            sound = kind(**{name: getattr(sound, name) for name in kind.model_fields})
        return {"visual": picture, "audio": sound, "eeg": self.eeg}

    @override
    def parts(self) -> dict[str, FeaturePart]:
        # That of the stimulus first: EEG windows that a lag drops at the end of a trial are then counted.
        return {name: part for name, part in self._all_parts().items() if name in self.modalities}

    def _arrays(self) -> dict[Modality, str]:
        trained = self.spatial_encoders == "trained"
        names = {
            "visual": "frames" if trained else "picture",
            "audio": self.sound.encoder.front_end if trained else "sound",
            "eeg": "eeg",
        }
        return {modality: names[modality] for modality in self.modalities_in_order}

    @override
    def flags(self, trial) -> tuple[str, ...]:
        own = []
        if self.spatial_encoders == "trained":
            encoded = {"visual": self.picture, "audio": self.sound}
            own += [flag for name, part in encoded.items() if name in self.modalities for flag in part.flags(trial)]
        if self.silent_rows == "drop":
            own.append("windows without sound left out of training and test")
        return (*super().flags(trial), *own)

    def join(self, stored: StoredFeatures) -> tuple[StoredFeatures, pd.DataFrame]:
        """See `System`; drops silent windows if configured, and adds the stimulus of each window."""
        table, arrays = stored.table, dict[str, Any](stored.arrays)
        reasons = np.full(len(table), "", dtype=object)
        if self.silent_rows == "drop":
            silent = np.asarray(arrays[ENERGY][np.arange(len(table))])[:, 0] < self.silence_dbfs
            reasons[silent] = f"audio: silent, below {self.silence_dbfs:g} dBFS"
        dropped = count_dropped(table, reasons)
        if len(dropped):
            kept = np.flatnonzero(reasons == "")
            arrays.update({name: JoinedArrays([array], kept) for name, array in arrays.items()})
            table = table.iloc[kept].reset_index(drop=True)
        if self.contrastive:
            is_person = self.stream == "person"
            arrays[STIMULUS] = trial_numbers(table) if is_person else stimulus_numbers(table["stimulus"])
        else:
            arrays.pop(ENERGY, None)
        return StoredFeatures(arrays, table, stored.channels, stored.incomplete), dropped

    @override
    def stages(self) -> tuple[Stage, ...]:
        if not self.contrastive:
            return super().stages()
        first = Stage(
            name="pretraining",
            system=_Pretraining(of=self),
            training=self.pretraining,
            sampling="stratified",
            uses_up=(STIMULUS, *((ENERGY,) if "audio" in self.modalities else ())),
        )
        return first, Stage(system=self, starts_from=tuple(f"{modality}_*" for modality in self.modalities_in_order))

    def sizes(self, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
        """Return the arguments of both networks for windows of the given shapes."""
        arguments: dict[str, Any] = {
            "modalities": self.modalities_in_order,
            "conformer": self.conformer,
            "units": self.units,
            "dropout": self.dropout,
        }
        names = self._arrays()
        trained = self.spatial_encoders == "trained"
        if "visual" in names:
            arguments["n_frames"], *features = shapes[names["visual"]]
            if trained:
                arguments["picture_encoder"] = self.picture.encoder.build(self.picture.image_size)
            else:
                (arguments["n_picture_features"],) = features
        if "audio" in names:
            arguments["n_patches"], *features = shapes[names["audio"]]
            if trained:
                arguments["sound_encoder"] = self.sound.encoder.build()
            else:
                (arguments["n_sound_features"],) = features
        if "eeg" in names:
            arguments["n_steps"], arguments["n_channels"], *bands = shapes["eeg"]
            arguments["n_bands"] = bands[0] if bands else None
        return arguments

    @override
    def model(self, shapes: Mapping[str, tuple[int, ...]], n_classes: int, inference: Mapping[str, Any]) -> keras.Model:
        from keras_emotion.models import MERCL

        model = MERCL(
            **self.sizes(shapes),
            n_classes=n_classes,
            cross_modal_attention=self.cross_modal_attention,
            freeze_encoders=self.contrastive and self.freeze_encoders,
            inference=inference,
        )
        if not self.contrastive:
            self.start_encoders(model)
        return model

    def start_encoders(self, model: keras.Model) -> None:
        """Set a network's encoders to those of `encoder_weights`, if given.

        Raises:
            InputError: the file is not such a network, or differs in sizes or features.
        """
        if self.encoder_weights is None:
            return
        from keras_emotion.models import MERCL
        from keras_emotion.models.saved_networks import load_network

        file = self.encoder_weights
        saved = load_network(file, "{path}: not a saved network ({reason})")
        if not isinstance(saved, MERCL):
            raise InputError(f"{file}: a {type(saved).__name__}; expected a MERCL of a run with --save-models")
        known = saved.inference or {}
        described = known.get("encoders") or known.get("parts") or {}
        for modality, own in self._described_parts().items():
            there = described.get(modality)
            if there is not None and (there := _comparable(there)) != (here := _comparable(own)):
                names = sorted(name for name in here if there.get(name) != here[name])
                raise InputError(
                    f"{file}: was trained on {modality} features of other {', '.join(names)}; expected those of this "
                    "run; give both runs the same preset and options"
                )
        try:
            model.take_encoders(saved)
        except ValueError as error:
            raise InputError(f"{file}: {error}; give both runs the same preset and options") from None

    def inference(self, trial: Trial) -> dict[str, Any]:
        """See `System`; for the subject's picture and sound, which `predict` cannot read, the encoders' inputs."""
        block = super().inference(trial)
        return block or {"encoders": self._described_parts()}

    def _described_parts(self) -> dict[str, Any]:
        parts = self.parts().items()
        return {name: part.description() for name, part in parts if name != "eeg"}

    @override
    def losses(self) -> dict[str, Any]:
        return {"loss": "sparse_categorical_crossentropy"}

    @override
    def inputs(self, elements: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {modality: elements[array] for modality, array in self._arrays().items()}

    @override
    def targets(self, elements: dict[str, np.ndarray], labels: np.ndarray) -> np.ndarray:
        return labels

    @override
    def fit_statistics(self, model: keras.Model, arrays: Mapping[str, Any], rows: np.ndarray) -> None:
        fit_scaling_layers(self, model, arrays, rows)

    def vectors(self, arrays: Mapping[str, Any]) -> np.ndarray:
        """See `System`; without those stimulus arrays that a network of this system does not read."""
        return super().vectors({name: arrays[name] for name in self._arrays().values()})

    def model_inputs(self) -> dict[str, ModelInput]:
        """See `System`; none for the subject's picture and sound, because `predict` reads no files of them."""
        if self.stream == "person":
            return {}
        return {modality: ModelInput(part=modality, array=array) for modality, array in self._arrays().items()}


def _comparable(description: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a part's description that determine a window's content, except its length and source."""
    fields = dict(description.get("fields", {}))
    for name in ("window_seconds", "hop_seconds", "stream"):
        fields.pop(name, None)
    if isinstance(encoder := fields.get("encoder"), Mapping):
        # Equal weights may have different paths.
        fields["encoder"] = {name: value for name, value in encoder.items() if name != "weights"}
    return fields


class _Pretraining(NetworkSystem):
    """First stage of MERCL; not used as a run's system.

    Args:
        of: the system of which it is a stage.
    """

    of: MERCLSystem

    def parts(self) -> dict[str, FeaturePart]:
        """See `System`; the arrays are those of the fold."""
        return {}

    @override
    def model(self, shapes: Mapping[str, tuple[int, ...]], n_classes: int, inference: Mapping[str, Any]) -> keras.Model:
        from keras_emotion.models import MERCLEncoder

        model = MERCLEncoder(**self.of.sizes(shapes))
        self.of.start_encoders(model)
        return model

    @override
    def losses(self) -> dict[str, Any]:
        from keras_emotion.losses import MERCLLoss

        # Windows to drop are already removed.
        silent_rows = "keep" if self.of.silent_rows == "drop" else self.of.silent_rows
        same = ("amcl_weight", "emcl_weight", "smcl_weight", "temperature", "alpha", "form", "same_stimulus_pairs")
        arguments = {name: getattr(self.of, name) for name in same}
        return {"loss": MERCLLoss(**arguments, silent_rows=silent_rows, modalities=self.of.modalities_in_order)}

    @override
    def inputs(self, elements: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return self.of.inputs(elements)

    def targets(self, elements: dict[str, np.ndarray], labels: np.ndarray) -> np.ndarray:
        """See `NetworkSystem`; `(batch, 3)`: class, stimulus, silent."""
        silent = elements[ENERGY][:, 0] < self.of.silence_dbfs if ENERGY in elements else np.zeros(len(labels), bool)
        return np.stack([labels, elements[STIMULUS][:, 0], silent], axis=1).astype(np.int32)

    @override
    def fit_statistics(self, model: keras.Model, arrays: Mapping[str, Any], rows: np.ndarray) -> None:
        fit_scaling_layers(self, model, arrays, rows)

    def diagnostics(self, model: keras.Model, arrays: Mapping[str, Any], rows: np.ndarray) -> dict[str, float]:
        """See `NetworkSystem`; the share of pairs of windows of one stimulus, or of one trial."""
        _, counts = np.unique(np.asarray(arrays[STIMULUS][rows]), return_counts=True)
        n_pairs = len(rows) * (len(rows) - 1)
        what = "trial" if self.of.stream == "person" else "stimulus"
        return {f"same_{what}_pairs": float((counts * (counts - 1)).sum() / n_pairs) if n_pairs else 0.0}


def stimulus_numbers(stimuli: pd.Series) -> np.ndarray:
    """Number the stimulus of each window, `(windows, 1)` int32, independently of the other stimuli.

    Raises:
        ValueError: two stimuli have the same number (one in 16 million pairs does).
    """
    names = stimuli.astype(str)
    # 24 bits: exact also in float32, to which a backend may convert targets.
    number = {name: zlib.crc32(name.encode()) >> 8 for name in sorted(set(names))}
    if len(set(number.values())) < len(number):
        raise ValueError(f"two of the stimuli {', '.join(number)} have the same number; rename one of them")
    return names.map(number).to_numpy(np.int32)[:, np.newaxis]


def trial_numbers(table: pd.DataFrame) -> np.ndarray:
    """Number the trial of each window of a subject, `(windows, 1)` int32: different for each trial.

    Numbers of different subjects rarely coincide (a pair of 1000 trials each in 16 thousand).

    Args:
        table: window table of one subject.
    """
    person = "/".join(table[list(TRIAL_KEY[:2])].astype(str).iloc[0]) if len(table) else ""
    place = table.groupby(list(TRIAL_KEY), sort=True).ngroup().to_numpy()
    # 24 bits: exact also in float32, to which a backend may convert targets.
    return (((zlib.crc32(person.encode()) >> 8) + place) % 2**24).astype(np.int32)[:, np.newaxis]


class MERCLExperiment(Experiment):
    """An experiment with MERCL: ratings above 5 are high; the published protocol and an honest one."""

    system: MERCLSystem = Field(default_factory=MERCLSystem)
    label_rule: LabelRule = LabelRule(threshold=5.0)
    protocols: Annotated[tuple[str, ...], Field(min_length=1)] = ("as_published_mercl", "stimulus_disjoint")
    training: Training = Training(epochs=50, batch_size=64, learning_rate=1e-4)
