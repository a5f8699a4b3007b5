"""MERCL as a system: inputs and effects of its two stages, and leakage by the stimulus."""

import dataclasses
import json
import zlib

import keras
import numpy as np
import pandas as pd
import pytest

from keras_emotion.datasets import EAV, SubjectReport, with_stimuli
from keras_emotion.experiment import Runtime, fit, prepare, training
from keras_emotion.experiment.origin import trained_files
from keras_emotion.losses import MERCLLoss
from keras_emotion.pipelines import StoredFeatures
from keras_emotion.pipelines.feature_store import SharedWindows
from keras_emotion.schema import InputError
from keras_emotion.synthetic import write_eav, write_stimuli
from keras_emotion.systems import Training
from keras_emotion.systems.media_encoders import EncodedFrames, EncodedSound, PictureEncoder, SoundEncoder
from keras_emotion.systems.mercl import MERCLExperiment, MERCLSystem, stimulus_numbers, trial_numbers
from keras_emotion.systems.stages import layer_weights
from keras_emotion.testing import check_system
from tests.conftest import MemoryReader
from tests.training import without_graphs

N_STIMULI = 6
SECONDS = 12
SMALL_SOUND = {"filters": (4, 4, 8, 8), "units": (16, 16), "embedding_size": 16}
SMALL = {
    "picture": EncodedFrames(
        image_size=16, encoder=PictureEncoder(patch_size=8, n_layers=1, n_heads=2, width=16, mlp_width=32)
    ),
    "sound": EncodedSound(encoder=SoundEncoder(**SMALL_SOUND)),
    "units": 8,
    "dropout": 0.0,
    "pretraining": Training(epochs=2, batch_size=8, learning_rate=3e-3),
}


class SameRatings(MemoryReader):
    """EEG without effect; all subjects rate a stimulus alike, high if its number is odd."""

    def __init__(self, folder, n_subjects=2, **settings):
        super().__init__(folder, n_subjects, N_STIMULI, effect=0.0, seconds=SECONDS, **settings)

    def reopened(self, root=None):
        return self

    def inspect(self, subject):
        stimuli = [{"stimulus": str(one), "duration_seconds": SECONDS} for one in range(1, N_STIMULI + 1)]
        return SubjectReport({"subject": subject, "trials": stimuli}, ())

    def trials(self, subjects=None):
        for trial in super().trials(subjects):
            yield dataclasses.replace(trial, ratings={"valence": 7.0 if trial.trial % 2 else 3.0})


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    emotions = {str(number): {"valence": float((-1) ** (number + 1))} for number in range(1, N_STIMULI + 1)}
    folder = tmp_path_factory.mktemp("clips")
    return write_stimuli(
        folder, emotions, dict.fromkeys(emotions, SECONDS + 0.1), size=(32, 32), emotion_size=0.0, silent_share=0.5
    )


@pytest.fixture(scope="module")
def reader(clips, tmp_path_factory):
    return with_stimuli(SameRatings(tmp_path_factory.mktemp("memory")), clips)


def experiment(folder, system, protocols=("stimulus_disjoint",), **fields):
    return MERCLExperiment(
        name="test",
        dataset="memory",
        targets=("valence",),
        protocols=protocols,
        maximum_folds=3,
        system=system,
        training=Training(epochs=2, batch_size=8, learning_rate=3e-3),
        runtime=Runtime(workers=1, feature_store=folder),
        **fields,
    )


@pytest.fixture(scope="module")
def made(reader, tmp_path_factory):
    """A plan of networks that are trained with one batch, and its first job."""
    training.prepare_backend(1)
    step = Training(epochs=1, batch_size=64, learning_rate=3e-3)
    wanted = experiment(tmp_path_factory.mktemp("features"), MERCLSystem(**{**SMALL, "pretraining": step}))
    plan, _ = prepare(wanted.changed({"training.epochs": 1, "training.batch_size": 64}), reader)
    return plan, plan.jobs()[0][0][0]


@pytest.fixture(scope="module")
def trained(made):
    """The requests of a job with the weights of each network when it was trained, and what was recorded."""
    plan, job = made
    done = []

    def noted(request):
        result = fit.fit(request)
        done.append((request, layer_weights(request.compiled.model)))
        return result

    # Loss and networks are traced in their own tests.
    with without_graphs():
        return done, fit.run_fits(training.train_network(plan, job, training.job_fold(plan, job)), noted)


HEAD = {"cross_modal_attention", "hidden", "classifier"}
ENCODERS = {"visual_tcn", "audio_tcn", "eeg_conformer", "eeg_tcn"}


def test_the_classifier_is_trained_on_encoders_that_the_first_stage_trained(trained):
    ((first, encoders), (second, classifier)), found = trained
    assert [one.name for one in found.stages] == ["pretraining", ""]
    assert isinstance(first.compiled.model.loss, MERCLLoss)
    for name in ENCODERS:
        for one, two in zip(encoders[name], classifier[name], strict=True):
            np.testing.assert_array_equal(one, two)
    # Initial weights differ.
    for request, after, names in ((first, encoders, ENCODERS), (second, classifier, HEAD)):
        request.start()
        before = layer_weights(request.compiled.model)
        for name in names:
            assert any(not np.array_equal(*pair) for pair in zip(before[name], after[name], strict=True)), name
    # The stimulus array is removed before the classifier is trained.
    assert set(first.fold.arrays) - set(second.fold.arrays) == {"stimulus", "energy_dbfs"}


SHAPES = {
    "picture": (2, 5),
    "sound": (3, 4),
    "eeg": (9, 4, 2),
    "frames": (2, 16, 16, 3),
    "log_mel": (1, 96, 20),
    "energy_dbfs": (1,),
    "stimulus": (1,),
}


@pytest.mark.parametrize(
    ("fields", "n_stages", "are_trained"),
    [
        ({}, 2, HEAD),
        ({"freeze_encoders": False}, 2, HEAD | ENCODERS),
        ({"contrastive": False}, 1, HEAD | ENCODERS),
        ({"contrastive": False, "cross_modal_attention": False}, 1, {"hidden", "classifier"} | ENCODERS),
        ({"modalities": ("eeg", "visual"), "freeze_encoders": False}, 2, HEAD | ENCODERS - {"audio_tcn"}),
        (
            {"spatial_encoders": "trained", "modalities": ("visual", "audio"), "freeze_encoders": False},
            2,
            HEAD | {"visual_tcn", "audio_tcn", "visual_encoder", "audio_encoder"},
        ),
    ],
)
def test_options_say_what_is_trained(fields, n_stages, are_trained):
    system = MERCLSystem(**{**SMALL, **fields})
    stages = system.stages()
    assert len(stages) == n_stages
    model = system.model(SHAPES, 2, {})
    trained = {id(weight) for weight in model.trainable_weights}
    assert {layer.name for layer in model.layers if trained & {id(one) for one in layer.weights}} == are_trained
    before = stages[0].system.model(SHAPES, 2, {})
    if n_stages == 2:
        stages[1].take_over(model, layer_weights(before))
        for name in ENCODERS & {layer.name for layer in before.layers}:
            for one, two in zip(before.get_layer(name).get_weights(), model.get_layer(name).get_weights(), strict=True):
                np.testing.assert_array_equal(one, two)


@pytest.fixture(scope="module")
def saved_encoders(tmp_path_factory):
    """Network of picture and sound saved by a run without EEG, and its file."""
    system = MERCLSystem(**SMALL, modalities=("visual", "audio"), stream="person")
    keras.utils.set_random_seed(1)
    model = system.model(SHAPES, 3, system.inference(None))
    file = tmp_path_factory.mktemp("saved") / "actors.keras"
    model.save(file)
    return model, file


@pytest.mark.parametrize("fields", [{}, {"contrastive": False}])
def test_encoders_start_with_those_of_another_run(saved_encoders, fields):
    saved, file = saved_encoders
    keras.utils.set_random_seed(2)
    system = MERCLSystem(**SMALL, stream="person", encoder_weights=file, **fields)
    own, random = (
        one.stages()[0].system.model(SHAPES, 2, {}) for one in (system, MERCLSystem(**SMALL, stream="person", **fields))
    )
    for name in ("visual_tcn", "audio_tcn"):
        for one, two, other in zip(
            *(model.get_layer(name).get_weights() for model in (own, saved, random)), strict=True
        ):
            np.testing.assert_array_equal(one, two)
            assert one.ndim < 2 or not np.array_equal(one, other)
    kernels = [model.get_layer("eeg_tcn").get_weights()[0] for model in (own, saved) if "eeg" in model.modalities]
    assert len(kernels) == 1
    assert trained_files(system) == [file]
    assert any(line.startswith("encoders start from the weights of another run") for line in system.unlike_the_paper())


def test_encoders_are_part_of_the_identity_by_their_content(saved_encoders, tmp_path):
    _, file = saved_encoders
    copy = tmp_path / "copy.keras"
    copy.write_bytes(file.read_bytes())
    with_file, with_copy = (MERCLSystem(**SMALL, encoder_weights=one).scientific_config() for one in (file, copy))
    assert with_file == with_copy
    assert with_file.pop("encoder_weights")
    assert with_file == MERCLSystem(**SMALL).scientific_config()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"units": 12}, "layer 'visual_tcn' of `saved` has weights of other shapes"),
        (
            {"sound": EncodedSound(encoder=SoundEncoder(seed=5, **SMALL_SOUND))},
            "was trained on audio features of other encoder",
        ),
    ],
)
def test_encoders_that_do_not_fit(saved_encoders, fields, message):
    _, file = saved_encoders
    system = MERCLSystem(**{**SMALL, **fields}, stream="person", encoder_weights=file)
    with pytest.raises(InputError, match=f"^{file}: {message}.*; give both runs the same preset") as caught:
        system.stages()[0].system.model(SHAPES, 2, {})
    assert "\n" not in str(caught.value)


def test_files_that_are_no_encoders(tmp_path):
    other = tmp_path / "other.keras"
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).save(other)
    damaged = tmp_path / "damaged.keras"
    damaged.write_bytes(other.read_bytes()[:200])
    for file, message in (
        (other, "a Sequential; expected a MERCL of a run with --save-models"),
        (damaged, "not a saved"),
    ):
        system = MERCLSystem(**SMALL, encoder_weights=file)
        with pytest.raises(InputError, match=f"^{file}: {message}"):
            system.stages()[0].system.model(SHAPES, 2, {})


def test_trained_encoders_read_pictures_and_patches():
    system = MERCLSystem(**SMALL, spatial_encoders="trained")
    assert [type(part).__name__ for part in system.parts().values()] == [
        "MediaFrames",
        "MediaLogMel",
        "SlidingBandPowers",
    ]
    assert set(system.inputs(dict.fromkeys(SHAPES))) == {"visual", "audio", "eeg"}
    assert system.parts()["visual"].image_size == 16


@pytest.mark.parametrize("frozen", [True, False])
def test_frozen_encoders_are_called_as_in_inference_whatever_is_around_them(frozen):
    system = MERCLSystem(**{**SMALL, "dropout": 0.5}, freeze_encoders=frozen)
    model = system.model(SHAPES, 2, {})
    rng = np.random.default_rng(0)
    inputs = {
        name: rng.standard_normal((4, *SHAPES[array])).astype("float32")
        for name, array in (("visual", "picture"), ("audio", "sound"), ("eeg", "eeg"))
    }
    sequences = keras.Model(model.input, [model.get_layer(f"{name}_tcn").output for name in inputs])
    pairs = zip(sequences(inputs, training=True), sequences(inputs, training=False), strict=True)
    assert all(np.array_equal(one, two) for one, two in pairs) == frozen


def test_share_of_pairs_with_one_stimulus_is_recorded(trained):
    _, found = trained
    stimuli = found.fold.unit.table["stimulus"].iloc[found.fold.train].to_numpy()
    equal = stimuli[:, np.newaxis] == stimuli
    expected = (equal.sum() - len(stimuli)) / (equal.size - len(stimuli))
    assert found.diagnostics == {"pretraining_same_stimulus_pairs": pytest.approx(expected)}
    assert 0 < expected < 1


def test_the_loss_is_told_class_stimulus_and_silence(made):
    plan, job = made
    system = MERCLSystem(**SMALL, silence_dbfs=-40.0)
    (first, _) = system.stages()
    fold = training.job_fold(plan, job)
    rows = np.concatenate([fold.train, fold.test])
    elements = {name: np.asarray(array[rows]) for name, array in fold.arrays.items()}
    targets = first.system.targets(elements, fold.labels[rows])
    assert targets.dtype == np.int32
    table = fold.unit.table.iloc[rows]
    np.testing.assert_array_equal(targets[:, 0], table["stimulus"].astype(int) % 2)
    for _, own in table.reset_index(drop=True).groupby("stimulus").indices.items():
        assert len(np.unique(targets[own, 1])) == 1
    assert len(np.unique(targets[:, 1])) == table["stimulus"].nunique()
    # Half of the clips are silent from 4 s to 8 s, which is one block of each.
    expected = (table["start_seconds"] == 4.0) & (elements["energy_dbfs"][:, 0] < -40)
    np.testing.assert_array_equal(targets[:, 2], expected)
    assert 0 < expected.sum() < len(table) / 5


def stored_features(silent=(1, 5)):
    """Features of a subject as `join` is given them."""
    n_windows = 8
    table = pd.DataFrame({"dataset": "memory", "subject": 1, "session": 1, "trial": np.arange(n_windows) // 4 + 1})
    table = table.assign(stimulus=table["trial"].astype(str), start_seconds=2.0 * (np.arange(n_windows) % 4))
    energy = np.full((n_windows, 1), -20.0, np.float32)
    energy[list(silent)] = -80.0
    numbers = np.arange(n_windows, dtype=np.float32)[:, np.newaxis]
    return StoredFeatures({"energy_dbfs": energy, "eeg": numbers}, table)


@pytest.mark.parametrize("silent_rows", ["keep", "no_smcl", "no_pairs"])
def test_silent_windows_stay_unless_they_are_to_be_dropped(silent_rows):
    joined, dropped = MERCLSystem(silent_rows=silent_rows).join(stored_features())
    assert len(joined.table) == 8
    assert not len(dropped)


def test_silent_windows_that_are_dropped_are_counted_and_flagged(reader):
    system = MERCLSystem(silent_rows="drop")
    joined, dropped = system.join(stored_features())
    kept = [0, 2, 3, 4, 6, 7]
    np.testing.assert_array_equal(np.asarray(joined.arrays["eeg"][np.arange(6)])[:, 0], kept)
    assert joined.table["start_seconds"].tolist() == [2.0 * (one % 4) for one in kept]
    assert dropped[["trial", "reason", "n_windows"]].to_numpy().tolist() == [
        [1, "audio: silent, below -50 dBFS", 1],
        [2, "audio: silent, below -50 dBFS", 1],
    ]
    trial = next(iter(reader.trials([1])))
    assert "windows without sound left out of training and test" in system.flags(trial)
    assert "windows without sound left out of training and test" not in MERCLSystem().flags(trial)


def test_numbers_of_stimuli_do_not_depend_on_the_others():
    names = pd.Series(["1", "2", "a clip", "1"])
    numbers = stimulus_numbers(names)
    assert numbers.shape == (4, 1)
    assert len(np.unique(numbers)) == 3
    np.testing.assert_array_equal(stimulus_numbers(names[1:]), numbers[1:])
    # Exact in single precision.
    np.testing.assert_array_equal(numbers.astype(np.float32).astype(np.int32), numbers)


def test_stimuli_with_equal_numbers_are_refused():
    names = [str(number) for number in np.random.default_rng(0).integers(10**12, size=20_000)]
    numbers = pd.Series([zlib.crc32(name.encode()) >> 8 for name in names])
    pair = pd.Series(names)[numbers == numbers[numbers.duplicated()].iloc[0]]
    with pytest.raises(ValueError, match="have the same number"):
        stimulus_numbers(pair)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"modalities": ("eeg",)}, "modalities"),
        ({"modalities": ("eeg", "eeg")}, "each once"),
        ({"amcl_weight": 0, "emcl_weight": 0}, "alignment alone"),
        ({"modalities": ("visual", "eeg"), "silent_rows": "drop"}, "needs the modality audio"),
        ({"units": 6}, "units"),
    ],
)
def test_fields_that_do_not_fit_are_refused(fields, named):
    with pytest.raises(ValueError, match=named):
        MERCLSystem(**fields)


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({}, None),
        ({"modalities": ("audio", "visual")}, "Audio + Video"),
        ({"modalities": ("eeg", "audio")}, "Audio + EEG"),
        ({"modalities": ("visual", "eeg")}, "Video + EEG"),
        ({"contrastive": False}, "Without Contrastive Learning"),
        ({"cross_modal_attention": False}, "Without Cross-Modal Attention"),
        (
            {"contrastive": False, "cross_modal_attention": False},
            "Without Contrastive Learning and Cross-Modal Attention",
        ),
        ({"silent_rows": "drop"}, "Proposed method (audio energy-based selection)"),
    ],
)
def test_lines_of_the_tables(fields, line):
    assert MERCLSystem(**fields).paper_variant == line


def test_what_is_not_used_is_no_other_experiment():
    def config(**fields):
        return MERCLSystem(**fields).scientific_config()

    pair = {"modalities": ("visual", "eeg")}
    assert config(**pair) == config(modalities=("eeg", "visual"), sound=SMALL["sound"])
    assert config(contrastive=False) == config(contrastive=False, temperature=0.5, freeze_encoders=False)
    assert config() == config(silence_dbfs=-30.0)
    assert config(silent_rows="drop") != config(silent_rows="drop", silence_dbfs=-30.0)
    assert config() != config(temperature=0.5)
    assert config() != config(eeg={"lag_seconds": 1.0})


@pytest.mark.parametrize("spatial_encoders", ["frozen", "trained"])
def test_weights_of_picture_and_sound_make_another_experiment_and_are_flagged(reader, spatial_encoders):
    system = MERCLSystem(**SMALL, spatial_encoders=spatial_encoders)
    other = {"encoder": {**dict(SMALL["picture"].encoder), "seed": 1}}
    another = MERCLSystem(**{**SMALL, "picture": SMALL["picture"].changed(**other)}, spatial_encoders=spatial_encoders)
    assert system.scientific_config() != another.scientific_config()
    trial = next(iter(reader.trials([1])))
    flags = ("picture features by a network with random weights", "sound features by a network with random weights")
    assert system.flags(trial) == flags
    without = MERCLSystem(**SMALL, spatial_encoders=spatial_encoders, modalities=("audio", "eeg"))
    assert without.flags(trial) == flags[1:]
    assert [line for line in without.unlike_the_paper() if "random weights" in line] == [
        "sound features by a network with random weights; in the paper it is pre-trained"
    ]


def test_the_lag_moves_the_eeg_alone():
    system = MERCLSystem(eeg={"lag_seconds": 1.0, "window_seconds": 6.0, "hop_seconds": 3.0})
    parts = system.parts()
    assert next(iter(parts)) == "visual"
    assert [part.windowing.lag_seconds for part in parts.values()] == [0.0, 0.0, 1.0]
    assert {part.windowing.hop_seconds for part in parts.values()} == {3.0}


def test_contract_of_systems(reader):
    check_system(MERCLSystem(**SMALL), reader)


# --- the subject's own picture and sound


@pytest.fixture(scope="module")
def conversations(tmp_path_factory):
    """One subject in a conversation of ten trials of 4 s, five of them spoken."""
    return EAV(
        write_eav(
            tmp_path_factory.mktemp("eav"),
            n_subjects=1,
            n_conversations=1,
            trial_seconds=4,
            video_frame_rate_hz=4,
            video_size=(32, 32),
        ),
        sampling_rate_hz=128.0,
    )


def test_the_person_is_seen_and_heard(conversations, tmp_path):
    training.prepare_backend(1)
    system = MERCLSystem(**SMALL, stream="person")
    plan, described = prepare(experiment(tmp_path, system).changed({"targets": ("emotion",)}), conversations)
    stored = plan.joined(1)
    # The stimulus is not read: the run is not flagged for stimuli, and subjects share no features.
    assert system.sources == ("recording", "video", "voice")
    assert "sources" not in described
    assert not any(isinstance(array, SharedWindows) for array in stored.arrays.values())
    # The five trials in which the subject listens have no sound.
    assert stored.table["trial"].tolist() == [2, 4, 6, 8, 10]
    dropped = plan.dropped_windows()
    assert dropped[["trial", "reason", "n_windows"]].to_numpy().tolist() == [
        [trial, "no sound of the subject", 1] for trial in (1, 3, 5, 7, 9)
    ]
    trials = {trial.trial: trial for trial in conversations.trials()}
    of_stimulus = system.parts()["audio"].changed(stream="stimulus")
    for row, number in enumerate(stored.table["trial"]):
        shown = dataclasses.replace(trials[number], media=trials[number].voice)
        expected = of_stimulus.extract([shown])[0]["sound"]
        np.testing.assert_allclose(np.asarray(stored.arrays["sound"][[row]]), expected, rtol=1e-5, atol=1e-5)
    # For the losses, windows of a trial are one stimulus, and those of other trials are not, in any block.
    numbers = np.asarray(stored.arrays["stimulus"][np.arange(5)])[:, 0]
    assert len(set(numbers)) == 5
    # `predict` cannot read the subject's files.
    assert set(system.inference(trials[2])) == {"encoders"}


def test_numbers_of_trials():
    table = pd.DataFrame(
        {"dataset": "eav", "subject": 3, "session": 1, "trial": [1, 1, 2, 5], "stimulus": "subject03_block01"}
    )
    numbers = trial_numbers(table)
    assert numbers.shape == (4, 1)
    assert numbers[0] == numbers[1]
    assert len(np.unique(numbers)) == 3
    assert not set(numbers[:, 0]) & set(trial_numbers(table.assign(subject=4))[:, 0])
    np.testing.assert_array_equal(numbers.astype(np.float32).astype(np.int32), numbers)


@pytest.mark.parametrize("spatial_encoders", ["frozen", "trained"])
def test_the_stream_makes_another_experiment_and_the_default_none(spatial_encoders):
    system = MERCLSystem(**SMALL, spatial_encoders=spatial_encoders)
    person = MERCLSystem(**SMALL, spatial_encoders=spatial_encoders, stream="person")
    assert "stream" not in json.dumps(system.scientific_config())
    assert person.scientific_config()["stream"] == "person"
    assert {name: part.sources for name, part in person.parts().items()} == {
        "visual": ("video",),
        "audio": ("voice",),
        "eeg": ("recording",),
    }
    assert any("picture and sound are those of the subject" in line for line in person.unlike_the_paper())
    assert not any("person's" in line for line in system.unlike_the_paper())
