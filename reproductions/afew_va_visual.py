"""The visual network of 3FACRNN (Du et al., Front. Neurosci. 17:1330077, 2024) on AFEW-VA, a teacher for EEG.

    python reproductions/afew_va_visual.py                                      # minutes, on synthetic faces
    python reproductions/afew_va_visual.py --data-root AFEW-VA                  # unseen actors; then a teacher
    python reproductions/deap_3facrnn.py --data-root DEAP --teacher runs/afew_va_visual-.../teacher

Each frame is labelled by its own score, above 0 or not. The paper reports no accuracy of this network; the table says
what it reaches on actors that it has not seen. The teacher is then trained on all actors but a few, which choose the
epoch, one network for each target.
"""

from pathlib import Path

from keras_emotion.evaluation import LabelRule
from keras_emotion.experiment import train_teachers
from keras_emotion.experiment.systems.facrnn_visual import FACRNNVisual, FACRNNVisualExperiment, visual_presets
from keras_emotion.pipelines import FaceFeatures
from keras_emotion.reproduce import main
from keras_emotion.synthetic import write_afew_va

PAPER = FACRNNVisualExperiment(
    name="afew_va_visual",
    dataset="afew_va",
    targets=("arousal", "valence"),
    label_rule=LabelRule(threshold=0),
    protocols=("subject_disjoint",),
    # Clips are short and actors kept apart: windows that overlap give a network more to learn from.
    system=FACRNNVisual(faces=FaceFeatures(hop_seconds=0.2)),
)


def teach(experiment, dataset, run_folder: Path) -> str:
    """Train and save the teachers."""
    train_teachers(experiment, dataset, run_folder / "teacher")
    return f"teacher: {run_folder / 'teacher'}"


if __name__ == "__main__":
    main(
        visual_presets(PAPER),
        demo_data=lambda folder: write_afew_va(
            folder, n_clips=160, n_actors=40, frames_per_clip=8, frame_size=(160, 128)
        ),
        description=__doc__,
        afterwards=teach,
    )
