"""Dynamic brain networks (Zheng et al., MICCAI 2023) on SAM40 (Ghosh et al., 2022): real EEG that can be had freely.

    python reproductions/sam40_dfcn.py                                  # minutes, on synthetic data
    python reproductions/sam40_dfcn.py --data-root SAM40                # preset reduced
    python reproductions/sam40_dfcn.py --data-root SAM40 --table 1      # and the other EEG methods, on the same folds

There are no faces, and so there is no prior: this is the line "w/o PKE" of the paper. A sample is 24 s of a recording;
subjects are kept apart in ten groups. No paper reports these networks on SAM40.
"""

from keras_emotion.experiment.systems.comparison_networks import EEG_METHODS
from keras_emotion.experiment.systems.prior_dfcn import PriorDFCNExperiment, PriorDFCNSystem, prior_dfcn_presets
from keras_emotion.pipelines import ConnectivityFeatures
from keras_emotion.reproduce import main, method
from keras_emotion.synthetic import write_sam40

FULL = PriorDFCNExperiment(
    name="sam40_dfcn",
    dataset="sam40",
    targets=("task", "stress"),
    maximum_folds=10,
    system=PriorDFCNSystem(features=ConnectivityFeatures(sample_seconds=24.0), prior="none"),
)
DEMO = {"subjects": (1, 2, 3, 4, 5)}

if __name__ == "__main__":
    main(
        prior_dfcn_presets(FULL, DEMO),
        demo_data=lambda folder: write_sam40(folder, n_subjects=5),
        description=__doc__,
        tables={"1": {name: method(system) for name, system in EEG_METHODS.items()}},
    )
