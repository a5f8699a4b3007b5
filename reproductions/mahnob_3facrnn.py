"""3FACRNN (Du et al., Front. Neurosci. 17:1330077, 2024) on MAHNOB-HCI, with an honest table beside the paper's.

    python reproductions/mahnob_3facrnn.py                             # minutes, on synthetic data
    python reproductions/mahnob_3facrnn.py --data-root MAHNOB-HCI      # preset reduced

The ablations are those of deap_3facrnn.py; so is the teacher (`--teacher`).
"""

from pathlib import Path

from keras_emotion.experiment.systems.facrnn import FACRNN, FACRNNExperiment, presets
from keras_emotion.reproduce import main
from keras_emotion.synthetic import write_mahnob_hci

PAPER = FACRNNExperiment(
    name="mahnob_3facrnn",
    dataset="mahnob_hci",
    targets=("arousal", "valence"),
    system=FACRNN(teacher="fold"),
)
DEMO = {"subjects": (1, 2), "system.teacher_training.epochs": 10}


def write_demo(folder: Path) -> None:
    """Write a small MAHNOB-HCI with videos, synthetic."""
    video = {"video_frame_rate_hz": 8.0, "video_size": (160, 128)}
    short = {"lead_seconds": 5.0, "stimulus_seconds": 24.0, "neutral_clips": False}
    write_mahnob_hci(folder, n_subjects=2, n_trials=12, effect_size=2.0, face_videos=True, **short, **video)


if __name__ == "__main__":
    main(
        presets(PAPER, DEMO),
        demo_data=write_demo,
        paper=Path(__file__).parent / "papers" / "3facrnn.csv",
        description=__doc__,
    )
