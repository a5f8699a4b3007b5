r"""Pre-training of DeepVANet's face network (Zhang, Hossain, Rahman, INTERACT 2021) on the frames of AFEW-VA.

    python reproductions/afew_va_deepvanet.py                          # minutes, on synthetic faces
    python reproductions/afew_va_deepvanet.py --data-root AFEW-VA      # preset reduced: a quarter of the channels
    python reproductions/deap_deepvanet.py --data-root DEAP \
        --system.face-weights runs/afew_va_deepvanet-.../network.keras

The paper says that its three convolutions are pre-trained on AFEW-VA, and no more. Here they learn to predict valence
and arousal of each frame; actors are kept apart, and the table says what the network reaches on those that it has not
seen. It must be as wide as the one that takes it over: the same preset, or the same --system.width-multiplier.
"""

from keras_emotion.experiment.systems.face_affect import FaceAffectExperiment, face_affect_presets
from keras_emotion.reproduce import pretrain
from keras_emotion.synthetic import write_afew_va

PAPER = FaceAffectExperiment(name="afew_va_deepvanet", dataset="afew_va", maximum_folds=5)

if __name__ == "__main__":
    pretrain(
        face_affect_presets(PAPER),
        demo_data=lambda folder: write_afew_va(
            folder, n_clips=160, n_actors=40, frames_per_clip=8, frame_size=(160, 128)
        ),
        description=__doc__,
    )
