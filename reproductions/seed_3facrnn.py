"""The EEG network of 3FACRNN (Du et al., 2024) on SEED; `--help` lists the commands and options."""

from keras_emotion.cli.reproduce import reproduce

if __name__ == "__main__":
    reproduce("seed_3facrnn")
