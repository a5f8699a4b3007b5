"""The EEG network of 3FACRNN on SAM40 (Ghosh et al., Data in Brief 40:107772, 2022): real EEG that can be had freely.

    python reproductions/sam40_3facrnn.py                                          # minutes, on synthetic data
    python reproductions/sam40_3facrnn.py --data-root SAM40 --preset reduced

Two targets: which of the four tasks a person does, and whether they rate their stress above 5. No paper reports
3FACRNN on SAM40; the table compares the protocols with each other.
"""

from keras_emotion.experiment.systems.facrnn import FACRNN, FACRNNExperiment, presets
from keras_emotion.pipelines import EEGGridFeatures
from keras_emotion.reproduce import main
from keras_emotion.synthetic import write_sam40

FULL = FACRNNExperiment(
    name="sam40_3facrnn",
    dataset="sam40",
    targets=("task", "stress"),
    protocols=("as_published", "trial_disjoint", "subject_disjoint"),
    # Recordings start with the task: there is no baseline to remove.
    system=FACRNN(features=EEGGridFeatures(baseline="none")),
)
DEMO = {"subjects": (1, 2, 3)}

if __name__ == "__main__":
    main(
        presets(FULL, DEMO),
        demo_data=lambda folder: write_sam40(folder, n_subjects=3),
        description=__doc__,
    )
