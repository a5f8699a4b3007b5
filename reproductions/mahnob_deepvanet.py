r"""DeepVANet (Zhang, Hossain, Rahman, INTERACT 2021) on MAHNOB-HCI: faces and raw signals, with an honest table.

    python reproductions/mahnob_deepvanet.py                             # minutes, on synthetic data
    python reproductions/mahnob_deepvanet.py --data-root MAHNOB-HCI      # preset reduced
    python reproductions/mahnob_deepvanet.py --data-root MAHNOB-HCI \
        --protocols as_published_deepvanet_inter_subject subject_disjoint      # Table 2, inter-subject

Ablations as in deap_deepvanet.py.
"""

from pathlib import Path

from keras_emotion.experiment.systems.deepvanet import DeepVANetExperiment, deepvanet_presets
from keras_emotion.reproduce import draw_features, main
from keras_emotion.synthetic import write_mahnob_hci

PAPER = DeepVANetExperiment(
    name="mahnob_deepvanet",
    dataset="mahnob_hci",
    targets=("valence", "arousal"),
    protocols=("as_published_deepvanet", "trial_disjoint"),
    maximum_repetitions=1,
)
DEMO = {"subjects": (1, 2)}


def write_demo(folder: Path) -> None:
    """Write a small MAHNOB-HCI with videos, synthetic."""
    video = {"video_frame_rate_hz": 10.0, "video_size": (160, 128)}
    short = {"lead_seconds": 5.0, "stimulus_seconds": 24.0, "neutral_clips": False}
    write_mahnob_hci(folder, n_subjects=2, n_trials=12, effect_size=2.0, face_videos=True, **short, **video)


if __name__ == "__main__":
    main(
        deepvanet_presets(PAPER, DEMO),
        demo_data=write_demo,
        paper=Path(__file__).parent / "papers" / "deepvanet.csv",
        description=__doc__,
        afterwards=draw_features,
    )
