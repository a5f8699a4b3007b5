"""The video-EEG hierarchical LSTM (Wu, Zhang and Zhao, 2020) on DEAP; `--help` lists the commands and options."""

from keras_emotion.cli.reproduce import reproduce

if __name__ == "__main__":
    reproduce("deap_hlstm")
