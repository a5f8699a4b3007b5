"""3FACRNN (Du et al., Front. Neurosci. 17:1330077, 2024) on DEAP, with an honest table beside the paper's.

    python reproductions/deap_3facrnn.py                      # minutes, on synthetic data
    python reproductions/deap_3facrnn.py --data-root DEAP     # a night on two cores
    python reproductions/deap_3facrnn.py --data-root DEAP --preset paper --dry-run

The ablations of Tables 3 to 5 are options: --system.no-band-attention, --system.no-self-attention,
--system.features.representation raw_slices, --teacher none. Without --teacher, the visual network that teaches is
trained on each fold's training windows; --teacher PATH takes one that afew_va_visual.py trained, as the paper does.
"""

from pathlib import Path

import afew_va_visual

from keras_emotion.datasets import AFEWVA
from keras_emotion.experiment import train_teachers
from keras_emotion.experiment.systems.facrnn import FACRNN, FACRNNExperiment, presets
from keras_emotion.experiment.systems.facrnn_visual import visual_presets
from keras_emotion.reproduce import main
from keras_emotion.synthetic import write_afew_va, write_deap

PAPER = FACRNNExperiment(
    name="deap_3facrnn",
    dataset="deap",
    subjects=tuple(range(1, 23)),  # the subjects with face video, as in the paper
    targets=("arousal", "valence"),
    system=FACRNN(teacher="fold"),
)
DEMO = {"subjects": (1, 2, 3)}


def write_demo(folder: Path) -> None:
    """Write a small DEAP with videos, and a teacher that learnt from a small AFEW-VA, all synthetic."""
    video = {"video_frame_rate_hz": 8.0, "video_size": (160, 128)}
    write_deap(folder, n_subjects=3, n_trials=12, effect_size=2.0, face_videos=True, **video)
    faces = write_afew_va(folder / "afew_va", n_clips=160, n_actors=40, frames_per_clip=8, frame_size=(160, 128))
    train_teachers(visual_presets(afew_va_visual.PAPER)["demo"], AFEWVA(faces), folder / "teacher")


if __name__ == "__main__":
    main(
        presets(PAPER, DEMO),
        demo_data=write_demo,
        demo_files={"system.teacher": "teacher"},
        paper=Path(__file__).parent / "papers" / "3facrnn.csv",
        description=__doc__,
    )
