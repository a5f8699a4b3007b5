"""Small synthetic copies of every dataset, written once."""

import pytest

from keras_emotion.synthetic import (
    write_afew_va,
    write_affectnet,
    write_amigos,
    write_crema_d,
    write_deap,
    write_dreamer,
    write_eav,
    write_faced,
    write_mahnob_hci,
    write_ravdess,
    write_recordings,
    write_sam40,
    write_seed,
    write_seed_iv,
    write_seed_multimodal,
    write_seed_v,
    write_seed_vii,
)

_SMALL_FACES = {"n_clips": 4, "n_actors": 2, "frames_per_clip": 3, "frame_size": (64, 64)}
_SMALL_IMAGES = {"n_training": 3, "n_validation": 2}
_SMALL_VIDEO = {"face_videos": True, "video_frame_rate_hz": 2, "video_size": (64, 48)}

_SMALL_UTTERANCES = {"clip_seconds": 0.5, "video_size": (32, 32), "n_emotions": 2}

_WRITERS = {
    "ravdess": lambda out: write_ravdess(out, 2, n_statements=1, **_SMALL_UTTERANCES),
    "crema_d": lambda out: write_crema_d(out, 2, n_sentences=1, **_SMALL_UTTERANCES),
    "deap": lambda out: write_deap(out, subjects=(1, 24), n_trials=2, files=("python", "matlab", "original")),
    "sam40": lambda out: write_sam40(out, n_subjects=2, files=("filtered", "raw")),
    "dreamer": lambda out: write_dreamer(out, n_subjects=2, clip_seconds=4, compressed=False),
    "dreamer 7.3": lambda out: write_dreamer(out, n_subjects=2, clip_seconds=4, version="7.3"),
    "amigos": lambda out: write_amigos(out, subjects=(2, 8, 12), clip_seconds=16),
    "seed": lambda out: write_seed(out, n_subjects=2, n_sessions=1, clip_seconds=2),
    "seed_iv": lambda out: write_seed_iv(out, n_subjects=2, n_sessions=1, clip_seconds=4, files=("raw", "eye_events")),
    "seed_iv features": lambda out: write_seed_iv(
        out, n_subjects=2, n_sessions=1, clip_seconds=4, files=("features", "eye_features")
    ),
    "seed_multimodal": lambda out: write_seed_multimodal(out, n_subjects=2, n_sessions=1, clip_seconds=4),
    "seed_v": lambda out: write_seed_v(
        out, n_subjects=2, n_sessions=1, clip_seconds=4, files=("features", "eye_features")
    ),
    "seed_v raw": lambda out: write_seed_v(out, n_subjects=2, n_sessions=1, clip_seconds=4),
    "seed_vii": lambda out: write_seed_vii(out, n_subjects=2, n_sessions=1, clip_seconds=4),
    "seed_vii raw": lambda out: write_seed_vii(out, n_subjects=2, n_sessions=1, clip_seconds=4, files=("raw",)),
    "faced": lambda out: write_faced(out, subjects=(4,), files=("processed", "raw", "features"), clip_seconds=2),
    "eav": lambda out: write_eav(out, n_conversations=1, trial_seconds=2, video_frame_rate_hz=2, video_size=(32, 32)),
    "mahnob_hci": lambda out: write_mahnob_hci(
        out, n_subjects=2, n_trials=2, lead_seconds=4, stimulus_seconds=4, **_SMALL_VIDEO
    ),
    "afew_va": lambda out: write_afew_va(out, **_SMALL_FACES),
    "afew_va flat": lambda out: write_afew_va(out, **_SMALL_FACES, layout="flat"),
    "affectnet": lambda out: write_affectnet(out, **_SMALL_IMAGES),
    "affectnet arrays": lambda out: write_affectnet(out, **_SMALL_IMAGES, generation="arrays"),
    "recordings": lambda out: write_recordings(out, n_subjects=2, n_trials=2, trial_seconds=6, **_SMALL_VIDEO),
    "recordings fif": lambda out: write_recordings(out, n_subjects=2, n_trials=2, trial_seconds=6, file_format="fif"),
    "recordings in two sessions": lambda out: write_recordings(
        out, n_subjects=2, n_trials=2, n_sessions=2, trial_seconds=4
    ),
}


@pytest.fixture(scope="session")
def synthetic_root(tmp_path_factory):
    """Function from the name of a copy, or a prefix, to its folder, for reading only."""
    written = {}

    def root(name):
        name = name if name in _WRITERS else name.split()[0]
        if name not in written:
            written[name] = _WRITERS[name](tmp_path_factory.mktemp("synthetic") / name)
        return written[name]

    return root
