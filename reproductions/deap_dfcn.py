"""Prior-driven dynamic brain networks (Zheng et al., MICCAI 2023) on DEAP, and what they are compared to.

    python reproductions/deap_dfcn.py                                # minutes, on synthetic data
    python reproductions/deap_dfcn.py --data-root DEAP               # preset reduced
    python reproductions/deap_dfcn.py --data-root DEAP --table 1     # and the methods of Table 1, on the same folds
    python reproductions/deap_dfcn.py --data-root DEAP --table 2     # the ablations of Table 2

Facial features come from the files of OpenFace, where there are any (--system.face.source openface
--system.face.openface-folder FOLDER), else from MediaPipe's Face Landmarker (see the README); --system.prior none
needs no faces.
"""

from pathlib import Path

from keras_emotion.experiment.systems.comparison_networks import TABLE_1
from keras_emotion.experiment.systems.prior_dfcn import TABLE_2, PriorDFCNExperiment, prior_dfcn_presets
from keras_emotion.reproduce import draw_priors, main, method
from keras_emotion.synthetic import write_deap

PAPER = PriorDFCNExperiment(
    name="deap_dfcn",
    dataset="deap",
    # Those with all forty face videos.
    subjects=tuple(subject for subject in range(1, 23) if subject not in (3, 5, 11, 14)),
    targets=("valence", "arousal"),
)
DEMO = {
    "subjects": (1, 2, 4, 6, 7),
    "system.face.source": "openface",
    "system.face.openface_folder": Path("openface"),
}


def write_demo(folder: Path) -> None:
    """Write a small DEAP with OpenFace's files, synthetic: what channels have in common tells the ratings."""
    video = {"face_videos": True, "video_frame_rate_hz": 1.0, "video_size": (64, 64), "openface": True}
    subjects = DEMO["subjects"]
    write_deap(folder, subjects=subjects, n_trials=12, effect_size=2.0, effect_in="connectivity", **video)


if __name__ == "__main__":
    main(
        prior_dfcn_presets(PAPER, DEMO),
        demo_data=write_demo,
        paper=Path(__file__).parent / "papers" / "prior_dfcn.csv",
        description=__doc__,
        demo_files={"system.face.openface_folder": "openface"},
        afterwards=draw_priors,
        tables={
            "1": {name: method(system) for name, system in TABLE_1.items()},
            "2": {name: lambda wanted, own=own: wanted.changed(own) for name, own in TABLE_2.items()},
        },
    )
