"""`python -m keras_emotion.cli`: the same as `keras-emotion`."""

import sys

from keras_emotion.cli import main

if __name__ == "__main__":
    sys.exit(main())
