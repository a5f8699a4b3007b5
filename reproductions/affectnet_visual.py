"""The visual network of 3FACRNN (Du et al., Front. Neurosci. 17:1330077, 2024) on AffectNet, a teacher for EEG.

    python reproductions/affectnet_visual.py                            # minutes, on synthetic faces
    python reproductions/affectnet_visual.py --data-root AffectNet
    python reproductions/deap_3facrnn.py --data-root DEAP --teacher runs/affectnet_visual-.../teacher

AffectNet's own lists are used: `training` to learn from, `validation` to choose the epoch. Who is on a picture is not
known, so no accuracy on unseen people can be given, and none is. A picture is a window whose steps are all the same.
"""

from keras_emotion.evaluation import LabelRule
from keras_emotion.experiment.systems.facrnn_visual import FACRNNVisual, FACRNNVisualExperiment, visual_presets
from keras_emotion.reproduce import teach
from keras_emotion.synthetic import write_affectnet

PAPER = FACRNNVisualExperiment(
    name="affectnet_visual",
    dataset="affectnet",
    targets=("arousal", "valence"),
    label_rule=LabelRule(threshold=0),
    system=FACRNNVisual(),
)

if __name__ == "__main__":
    teach(
        visual_presets(PAPER),
        demo_data=lambda folder: write_affectnet(folder, n_training=200, n_validation=60),
        description=__doc__,
        validation_subjects=("validation",),
    )
