"""MERCL (Lee, Kim and Kim, 2024) on your own recordings; `--help` lists the commands and options."""

from keras_emotion.cli.reproduce import reproduce

if __name__ == "__main__":
    reproduce("recordings_mercl")
