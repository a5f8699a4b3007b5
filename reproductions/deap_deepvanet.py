r"""DeepVANet (Zhang, Hossain, Rahman, INTERACT 2021) on DEAP: faces and raw signals, with an honest table beside it.

    python reproductions/deap_deepvanet.py                      # minutes, on synthetic data
    python reproductions/deap_deepvanet.py --data-root DEAP     # preset reduced
    python reproductions/deap_deepvanet.py --data-root DEAP --preset paper --dry-run
    python reproductions/deap_deepvanet.py --data-root DEAP \
        --protocols as_published_deepvanet_inter_subject subject_disjoint      # Table 2, inter-subject

The ablations of Fig. 2 are options: --modalities faces, --modalities bio with --system.bio.channels eeg (or peripheral,
all), --system.fusion decision (or decision_released, as the released code computes it).
"""

from pathlib import Path

from keras_emotion.experiment.systems.deepvanet import DeepVANetExperiment, deepvanet_presets
from keras_emotion.reproduce import draw_features, main
from keras_emotion.synthetic import write_deap

PAPER = DeepVANetExperiment(
    name="deap_deepvanet",
    dataset="deap",
    subjects=tuple(range(1, 23)),  # the subjects with face video, as in the paper
    targets=("valence", "arousal"),
    protocols=("as_published_deepvanet", "trial_disjoint"),
    maximum_repetitions=1,
)
DEMO = {"subjects": (1, 2)}


def write_demo(folder: Path) -> None:
    """Write a small DEAP with videos, synthetic."""
    video = {"video_frame_rate_hz": 10.0, "video_size": (160, 128)}
    write_deap(folder, n_subjects=2, n_trials=10, effect_size=2.0, face_videos=True, **video)


if __name__ == "__main__":
    main(
        deepvanet_presets(PAPER, DEMO),
        demo_data=write_demo,
        paper=Path(__file__).parent / "papers" / "deepvanet.csv",
        description=__doc__,
        afterwards=draw_features,
    )
