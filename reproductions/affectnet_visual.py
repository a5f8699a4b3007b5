"""The visual network of 3FACRNN (Du et al., 2024) on AffectNet, a teacher for EEG; see `--help`."""

from keras_emotion.cli.reproduce import reproduce

if __name__ == "__main__":
    reproduce("affectnet_visual")
