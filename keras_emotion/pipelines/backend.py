"""The backend of this process, before it starts."""

from __future__ import annotations

import ctypes
import logging
import os
import sys
from pathlib import Path

from keras_emotion.keras_settings import check_keras_can_start, pin_keras_settings
from keras_emotion.schema import InputError


def prepare_backend(threads: int) -> None:
    """Fix threads and Keras's settings of this process before the backend starts, and let it keep memory that it frees.

    The settings are those of `KERAS_SETTINGS`, until the end of a block `restored_keras_settings` around it, if any.

    On JAX, what XLA compiled is kept for later processes, in `keras_emotion/jax` of the user's cache directory
    (`XDG_CACHE_HOME`, or `~/.cache`) unless `JAX_COMPILATION_CACHE_DIR` names another folder: the first step of
    DeepVANet then takes 4 s of the processor instead of 10. The folder can be deleted at any time.

    Raises:
        InputError: TensorFlow already runs in this process with another number of threads, or Keras cannot be imported
            (`check_keras_can_start`).
    """
    check_keras_can_start()
    _keep_freed_memory()
    for variable in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        if "tensorflow" not in sys.modules:
            os.environ[variable] = str(threads)
    import keras

    pin_keras_settings()
    if keras.config.backend() == "tensorflow":
        import tensorflow as tf

        # A worker traces a network for each architecture and shape that it meets, which TensorFlow warns of.
        tf.get_logger().setLevel(logging.ERROR)
        try:
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(threads)
        except RuntimeError as error:
            running = tf.config.threading.get_intra_op_parallelism_threads()
            if threads not in (running, int(os.environ.get("TF_NUM_INTRAOP_THREADS", "0"))):
                raise InputError(
                    f"TensorFlow already runs in this process with other than {threads} threads; "
                    "use --workers 2 or more, so that workers are processes of their own"
                ) from error
    elif keras.config.backend() == "jax":
        import jax

        if jax.config.jax_compilation_cache_dir is None:
            caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
            jax.config.update("jax_compilation_cache_dir", str(Path(caches, "keras_emotion", "jax")))


def _keep_freed_memory() -> None:
    """Make glibc reuse large blocks instead of giving each back to the kernel.

    On a CPU a training step allocates and frees its activations anew. By default each passes through the kernel,
    which clears its pages again: a third of the CPU time of a small network's training.
    """
    library = ctypes.CDLL(None)
    if not hasattr(library, "mallopt"):
        return  # not glibc: another allocator has its own ways
    # Numbers of malloc.h: M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD, M_ARENA_MAX.
    for option, value in ((-1, 2**31 - 1), (-2, 2**26), (-3, 2**30), (-8, 1)):
        library.mallopt(option, value)
