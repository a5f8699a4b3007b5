"""Logistic regression on band powers, on SAM40; `--help` lists the commands and options."""

from keras_emotion.cli.reproduce import reproduce

if __name__ == "__main__":
    reproduce("sam40_logistic_regression")
