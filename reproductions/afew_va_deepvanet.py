"""Pre-training of DeepVANet's face network (Zhang et al., 2021) on AFEW-VA; `--help` lists the commands and options."""

from keras_emotion.cli.reproduce import reproduce

if __name__ == "__main__":
    reproduce("afew_va_deepvanet")
