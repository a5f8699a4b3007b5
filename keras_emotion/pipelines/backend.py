"""Prepare the Keras backend of this process before it starts."""

from __future__ import annotations

import ctypes
import logging
import os
import sys
from pathlib import Path

from keras_emotion.keras_settings import check_keras_can_start, pin_keras_settings
from keras_emotion.schema import InputError


def prepare_backend(threads: int) -> None:
    """Set threads and Keras settings before the backend starts, and let the process keep freed memory.

    The settings are those of `KERAS_SETTINGS`, until the end of an enclosing block `restored_keras_settings`, if any.

    On JAX, XLA's compiled programs are cached for later processes, in `keras_emotion/jax` of the user's cache directory
    (`XDG_CACHE_HOME`, or `~/.cache`) unless `JAX_COMPILATION_CACHE_DIR` names another folder: the first step of
    DeepVANet then takes 4 s of CPU time instead of 10. The folder can be deleted at any time.

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

        # TensorFlow warns about repeated tracing: a worker traces a network for each architecture and shape.
        tf.get_logger().setLevel(logging.ERROR)
        try:
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(threads)
        except RuntimeError as error:
            running = tf.config.threading.get_intra_op_parallelism_threads()
            if threads not in (running, int(os.environ.get("TF_NUM_INTRAOP_THREADS", "0"))):
                raise InputError(
                    f"TensorFlow already runs in this process, and not with {threads} threads; "
                    "use --workers 2 or more, so that workers are separate processes"
                ) from error
    elif keras.config.backend() == "jax":
        import jax

        if jax.config.jax_compilation_cache_dir is None:
            caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
            jax.config.update("jax_compilation_cache_dir", str(Path(caches, "keras_emotion", "jax")))


def _keep_freed_memory() -> None:
    """Make glibc reuse large blocks instead of returning each to the kernel.

    On a CPU, each training step allocates and frees its activations. By default each block passes through the kernel,
    which clears its pages again: a third of the CPU time of a small network's training.
    """
    library = ctypes.CDLL(None)
    if not hasattr(library, "mallopt"):
        return  # not glibc: other allocators behave differently
    # Constants of malloc.h: M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD, M_ARENA_MAX.
    for option, value in ((-1, 2**31 - 1), (-2, 2**26), (-3, 2**30), (-8, 1)):
        library.mallopt(option, value)
