"""3FACRNN (Du et al., Front. Neurosci. 17:1330077, 2024) on DEAP, with an honest table beside the paper's.

    python reproductions/deap_3facrnn.py                      # minutes, on synthetic data
    python reproductions/deap_3facrnn.py --data-root DEAP     # a night on two cores
    python reproductions/deap_3facrnn.py --data-root DEAP --preset paper --dry-run

The ablations of Tables 3 to 5 are options: --system.no-band-attention, --system.no-self-attention,
--system.features.representation raw_slices, --system.teacher FILE.
"""

from pathlib import Path

from keras_emotion.experiment.systems.facrnn import FACRNNExperiment, presets
from keras_emotion.reproduce import main
from keras_emotion.synthetic import write_deap

PAPER = FACRNNExperiment(
    name="deap_3facrnn",
    dataset="deap",
    subjects=tuple(range(1, 23)),  # the subjects with face video, as in the paper
    targets=("arousal", "valence"),
)
DEMO = {"subjects": (1, 2, 3)}

if __name__ == "__main__":
    main(
        presets(PAPER, DEMO),
        demo_data=lambda folder: write_deap(folder, n_subjects=3, n_trials=12, effect_size=2.0),
        paper=Path(__file__).parent / "papers" / "3facrnn.csv",
        description=__doc__,
    )
