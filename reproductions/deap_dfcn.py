"""Prior-driven dynamic brain networks (Zheng et al., 2023) on DEAP; `--help` lists the commands and options."""

from keras_emotion.cli.reproduce import reproduce

if __name__ == "__main__":
    reproduce("deap_dfcn")
