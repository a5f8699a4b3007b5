"""The visual network of 3FACRNN (Du et al., 2024) on AFEW-VA, a teacher for EEG; see `--help`."""

from keras_emotion.cli.reproduce import reproduce

if __name__ == "__main__":
    reproduce("afew_va_visual")
