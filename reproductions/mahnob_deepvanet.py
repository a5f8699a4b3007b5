"""DeepVANet (Zhang et al., 2021) on MAHNOB-HCI; `--help` lists the commands and options."""

from keras_emotion.cli.reproduce import reproduce

if __name__ == "__main__":
    reproduce("mahnob_deepvanet")
