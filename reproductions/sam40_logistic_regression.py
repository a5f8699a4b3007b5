"""Logistic regression on band powers, on SAM40: what the plainest model makes of the windows of `sam40_3facrnn.py`.

    python reproductions/sam40_logistic_regression.py                              # a minute, on synthetic data
    python reproductions/sam40_logistic_regression.py --data-root SAM40            # preset reduced: minutes
    keras-emotion audit runs/...                                                   # what the protocols hand out

The same targets, protocols and windows; presets reduce repetitions and folds alone.
"""

from keras_emotion.experiment.systems.logistic_regression import (
    BandPowerRegression,
    BandPowerRegressionExperiment,
    regression_presets,
)
from keras_emotion.pipelines import EEGGridFeatures
from keras_emotion.reproduce import main
from keras_emotion.synthetic import write_sam40

FULL = BandPowerRegressionExperiment(
    name="sam40_logistic_regression",
    dataset="sam40",
    targets=("task", "stress"),
    protocols=("as_published", "trial_disjoint", "subject_disjoint"),
    # Recordings start with the task: there is no baseline to remove.
    system=BandPowerRegression(features=EEGGridFeatures(steps=1, baseline="none")),
)
DEMO = {"subjects": (1, 2, 3)}

if __name__ == "__main__":
    main(
        regression_presets(FULL, DEMO),
        demo_data=lambda folder: write_sam40(folder, n_subjects=3),
        description=__doc__,
    )
