"""Synthetic data in each dataset's own file format, with adjustable planted effects and leaks.

The files stand in for data that cannot be distributed: they have the format, the scales and the rough statistics, and
no data of any person. No result on them is evidence about emotion.
"""

from collections.abc import Callable
from pathlib import Path

from keras_emotion.synthetic.afew_va import write_afew_va
from keras_emotion.synthetic.affectnet import write_affectnet
from keras_emotion.synthetic.amigos import write_amigos
from keras_emotion.synthetic.crema_d import write_crema_d
from keras_emotion.synthetic.deap import write_deap
from keras_emotion.synthetic.dreamer import write_dreamer
from keras_emotion.synthetic.eav import write_eav
from keras_emotion.synthetic.faced import write_faced
from keras_emotion.synthetic.mahnob_hci import write_mahnob_hci
from keras_emotion.synthetic.ravdess import write_ravdess
from keras_emotion.synthetic.recordings import write_recordings
from keras_emotion.synthetic.sam40 import write_sam40
from keras_emotion.synthetic.seed import write_seed
from keras_emotion.synthetic.seed_iv import write_seed_iv
from keras_emotion.synthetic.seed_multimodal import write_seed_multimodal
from keras_emotion.synthetic.seed_v import write_seed_v
from keras_emotion.synthetic.seed_vii import write_seed_vii
from keras_emotion.synthetic.stimuli import write_stimuli

WRITERS: dict[str, Callable[..., Path]] = {
    "deap": write_deap,
    "sam40": write_sam40,
    "seed": write_seed,
    "seed_iv": write_seed_iv,
    "seed_v": write_seed_v,
    "seed_vii": write_seed_vii,
    "seed_multimodal": write_seed_multimodal,
    "dreamer": write_dreamer,
    "amigos": write_amigos,
    "faced": write_faced,
    "eav": write_eav,
    "mahnob_hci": write_mahnob_hci,
    "afew_va": write_afew_va,
    "affectnet": write_affectnet,
    "ravdess": write_ravdess,
    "crema_d": write_crema_d,
    "recordings": write_recordings,
}
"""Writers by dataset name, as for `keras-emotion synthesize`, whose options are their parameters."""

__all__ = [
    "WRITERS",
    "write_afew_va",
    "write_affectnet",
    "write_amigos",
    "write_crema_d",
    "write_deap",
    "write_dreamer",
    "write_eav",
    "write_faced",
    "write_mahnob_hci",
    "write_ravdess",
    "write_recordings",
    "write_sam40",
    "write_seed",
    "write_seed_iv",
    "write_seed_multimodal",
    "write_seed_v",
    "write_seed_vii",
    "write_stimuli",
]
