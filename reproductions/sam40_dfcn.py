"""Dynamic brain networks (Zheng et al., 2023) on SAM40; `--help` lists the commands and options."""

from keras_emotion.cli.reproduce import reproduce

if __name__ == "__main__":
    reproduce("sam40_dfcn")
