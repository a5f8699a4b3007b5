"""Execution engines: processes of this machine, or a Ray or Dask cluster, all through joblib.

The engine `"vectorized"` also uses processes; see `vectorized` for their work.

Results do not depend on the engine or on the number of workers: a worker runs one task at a time, with a fixed number
of threads. Workers on other machines need the same files under the same paths: the feature store, the data and the run
folder must be on a shared disk, with the same package versions installed. A Ray cluster that requires a token gets that
of the environment (Ray's `RAY_AUTH_MODE` and `RAY_AUTH_TOKEN`).

Workers ignore Ctrl-C, which the parent process handles, and end within seconds after it, however it ends; see
`docs/performance.md` for measurements of each engine.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import importlib
import importlib.metadata
import logging
import multiprocessing.resource_tracker
import os
import pickle
import re
import signal
import socket
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cloudpickle
import joblib
import threadpoolctl
from joblib.externals import loky
from joblib.externals.loky import process_executor
from joblib.externals.loky.backend import resource_tracker as loky_resource_tracker
from joblib.externals.loky.process_executor import TerminatedWorkerError
from joblib.parallel import ParallelBackendBase

from keras_emotion import __version__
from keras_emotion.environment import different_versions, package_versions, visible_gpus
from keras_emotion.keras_settings import (
    DEFAULT_BACKEND,
    check_keras_can_start,
    restored_keras_settings,
    running_backend,
)
from keras_emotion.logs import LogLine, collected, write_collected
from keras_emotion.native_log import quiet_start_up
from keras_emotion.pipelines import FeatureStore
from keras_emotion.refusals import system_failure
from keras_emotion.schema import InputError
from keras_emotion.systems.settings import Runtime

Task = tuple[Callable[..., Any], tuple]
"""A picklable function, and its arguments."""

_LOCAL = ("processes", "vectorized")
"""Engines whose workers are processes of this machine."""

_RAY_OBJECT_STORE_BYTES = 100 * 2**20
"""Object store of a Ray cluster that a run starts. Messages are small; by default Ray takes a third of the memory."""

_IDLE_SECONDS = {True: 300, False: 10}
"""Idle time after which a process ends, for training workers and for others."""

_CONNECTING_SECONDS = 30
"""Timeout for an answer of a Dask cluster."""

_LOST = (
    "a worker was killed or its machine was lost (the system kills processes when memory runs out); what is finished "
    "is kept: continue with --resume, with fewer --workers if memory was the cause"
)

_WATCH_SECONDS = 1.0
"""Interval at which a worker checks whether its parent process still exists."""


def check(runtime: Runtime) -> None:
    """Check the requirements of an engine early, before work begins.

    Raises:
        InputError: a package is not installed, a cluster is given without the number of workers to use, or Keras cannot
            be imported.
    """
    if runtime.engine in ("ray", "dask"):
        _imported(runtime.engine if runtime.engine == "ray" else "distributed", extra=runtime.engine)
    if runtime.engine == "vectorized":
        _choose_jax(runtime)
    check_keras_can_start()
    if runtime.tensorboard:
        _imported("tensorboard", extra="tensorboard")
    if runtime.cluster_address and runtime.engine in _LOCAL:
        raise InputError("--cluster-address: processes need no cluster; give --engine ray or --engine dask with it")
    if runtime.cluster_address and not runtime.workers:
        raise InputError("--cluster-address: number of workers missing; give --workers")


def _choose_jax(runtime: Runtime) -> None:
    _imported("jax", extra="jax")
    if runtime.tensorboard:
        raise InputError("--tensorboard: not supported by the engine vectorized; use --engine processes")
    running = running_backend() or "jax"
    if running != "jax":
        raise InputError(
            f"--engine vectorized: needs Keras's JAX backend, but this is {running}; "
            "set the environment variable KERAS_BACKEND to jax"
        )
    # Keras reads it when it is first imported.
    os.environ["KERAS_BACKEND"] = running


def in_workers(runtime: Runtime, tasks: Sequence[Task], *, trains: bool) -> Iterator[Any]:
    """Run tasks in workers, and yield each result when it is available, in the order of completion.

    Args:
        runtime: engine, number of workers and of their threads.
        tasks: the tasks.
        trains: whether the tasks need the backend: they get `threads_per_worker` threads, and with GPUs a worker uses
            one of them, exclusively if there are enough. Other tasks (features) get one thread and no GPU.

    Raises:
        InputError: the cluster cannot be used, a worker was killed, or a task raised it.
    """
    check(runtime)
    if not tasks:
        return
    n_workers = runtime.n_workers if trains else runtime.n_feature_workers
    conditions = _Conditions(
        threads=runtime.threads_per_worker if trains else 1,
        trains=trains,
        own_gpu=trains and (n_workers > 1 or runtime.engine not in _LOCAL),
        # Local workers have the directory and the environment of this process.
        folder=None if runtime.engine in _LOCAL else os.getcwd(),
        # A worker with another backend would give other results, regardless of its machine's variables and files.
        backend=running_backend() or DEFAULT_BACKEND,
        asked_by=_process(),
        packages={} if runtime.engine in _LOCAL else package_versions(),
    )
    engine = {"ray": _ray, "dask": _dask}.get(runtime.engine, _processes)
    if runtime.engine in _LOCAL:
        do, work = _under, [(function, *arguments) for function, arguments in tasks]
    else:
        do, work = _in_own_process, [(cloudpickle.dumps(task),) for task in tasks]
    with contextlib.ExitStack() as stack:
        stack.enter_context(FeatureStore(runtime.feature_store).in_use())
        with _interrupts_blocked():
            lost_worker = stack.enter_context(engine(runtime, n_workers, trains))
            # Batches of one: each result is returned when its task is done, without waiting for others.
            parallel = joblib.Parallel(return_as="generator_unordered", batch_size=1)
            results = parallel(joblib.delayed(do)(conditions, *one) for one in work)
        try:
            # Closed with this generator, which stops its workers.
            with contextlib.closing(results):
                for result in results:
                    if isinstance(result, _Logged):
                        write_collected(result.lines)
                        result = result.value
                    yield result
        except lost_worker as error:
            raise InputError(_LOST) from error


@dataclasses.dataclass(frozen=True)
class _Conditions:
    """Conditions in a worker during a task."""

    trains: bool
    threads: int
    own_gpu: bool
    folder: str | None
    backend: str
    asked_by: str
    packages: Mapping[str, str]


@contextlib.contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Block SIGINT in this thread: processes and threads that it starts inherit the block, and ignore Ctrl-C.

    A SIGINT in between is delivered afterwards.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    # Both start their own process and unblock the signal afterwards: started before the first worker.
    for tracker in (multiprocessing.resource_tracker, loky_resource_tracker):
        tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_worker(parent: int) -> None:
    """Prepare a worker process: silent, and ending with its parent, however that ends."""
    quiet_start_up()
    threading.Thread(target=_end_with, args=(parent,), name="end-with-parent", daemon=True).start()


def _end_with(parent: int) -> None:
    # An orphaned process gets another parent.
    while os.getppid() == parent:
        time.sleep(_WATCH_SECONDS)
    os._exit(1)


def _in_own_process(conditions: _Conditions, task: bytes) -> Any:
    # Cluster workers have their own threads that draw from Python's random numbers, so that seeds would vary. Nor can
    # the threads of their libraries be set.
    if multiprocessing.current_process().daemon:
        raise InputError(
            "workers of the Dask cluster may not start processes; start them with the environment variable "
            "DASK_DISTRIBUTED__WORKER__DAEMON=False, or with --no-nanny"
        )
    executor = loky.get_reusable_executor(
        max_workers=1,
        timeout=_IDLE_SECONDS[conditions.trains],
        initializer=_start_worker,
        initargs=(os.getpid(),),
        env=dict.fromkeys(ParallelBackendBase.MAX_NUM_THREADS_VARS, str(conditions.threads)),
    )
    return executor.submit(_unpacked, conditions, task).result()


def _unpacked(conditions: _Conditions, task: bytes) -> Any:
    if different := different_versions(package_versions(), conditions.packages):
        raise InputError(
            f"worker on {socket.gethostname()}: has other package versions, which change results: "
            f"{', '.join(different)}; install the same ones where workers run"
        )
    # Unpickled here, not by the cluster: a Dask worker that cannot read a task ends silently.
    try:
        function, arguments = pickle.loads(task)
    except ImportError as error:
        raise InputError(
            f"worker on {socket.gethostname()}: {error}; workers need the same packages, and your own modules"
        ) from error
    return _under(conditions, function, *arguments)


def _under(conditions: _Conditions, function: Callable[..., Any], *arguments: Any) -> Any:
    # A worker that loads a deep learning framework grows by more than loky allows. It would count as leaking memory and
    # be stopped, with its compiled functions; a run was seen waiting for it forever. There is no option for it.
    process_executor._USE_PSUTIL = False
    if conditions.folder is not None:
        try:
            os.chdir(conditions.folder)  # relative paths mean the same as where the run was started
        except OSError as error:
            raise InputError(
                f"worker on {socket.gethostname()}: {conditions.folder}: {error.strerror}; "
                "workers on other machines need the same folders under the same paths"
            ) from error
    os.environ["KERAS_BACKEND"] = conditions.backend
    if conditions.own_gpu:
        claim_gpu()
    # Also for loaded libraries, which no longer read environment variables.
    with _thread_pools().limit(limits=conditions.threads), restored_keras_settings():
        if conditions.asked_by == _process():
            return _tried(function, arguments)
        with collected() as lines:
            value = _tried(function, arguments)
        return _Logged(value, tuple(lines)) if lines else value


def _tried(function: Callable[..., Any], arguments: tuple) -> Any:
    """Call a function, and raise failures of the machine as `InputError`."""
    try:
        return function(*arguments)
    except Exception as error:
        # Converted in the worker: backends often lose the type of an exception on its way to the parent process.
        if isinstance(error, InputError) or not (failure := system_failure(error)):
            raise
        raise InputError(f"{failure}; finished jobs are kept: continue with --resume") from error


class _Logged(NamedTuple):
    """Result of a task in a worker, and its log messages, which the parent process writes."""

    value: Any
    lines: tuple[LogLine, ...]


def _process() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


_pools: tuple[int, threadpoolctl.ThreadpoolController] | None = None


def _thread_pools() -> threadpoolctl.ThreadpoolController:
    """Return the thread pools of the libraries that this process has loaded.

    Searched again only after new imports: going through all libraries takes 6 ms with Keras, longer than many tasks of
    an audit.
    """
    global _pools
    n_modules = len(sys.modules)
    if _pools is None or _pools[0] != n_modules:
        _pools = n_modules, threadpoolctl.ThreadpoolController()
    return _pools[1]


_claimed: list[Any] = []


def claim_gpu() -> None:
    """Make one GPU the only visible one of this process, before the backend starts.

    Takes the first GPU that no other process has claimed; if all are claimed, they are shared. A claim is a lock on a
    file in the machine's folder for temporary files, and ends with the process.
    """
    gpus = visible_gpus()
    if _claimed or len(gpus) < 2:
        return
    try:
        import fcntl
    except ImportError:  # Windows: CUDA_VISIBLE_DEVICES is left unchanged
        return
    for gpu in gpus:
        name = f"keras_emotion-{os.getuid()}-gpu-{re.sub(r'[^A-Za-z0-9]', '_', gpu)}.lock"
        file = (Path(tempfile.gettempdir()) / name).open("a")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            continue
        _claimed.append(file)  # kept open, which holds the lock
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
        return
    _claimed.append(None)
    os.environ["CUDA_VISIBLE_DEVICES"] = gpus[os.getpid() % len(gpus)]


_training_workers_run = False


@contextlib.contextmanager
def _processes(runtime: Runtime, n_workers: int, trains: bool) -> Iterator[tuple[type[BaseException], ...]]:
    # Feature workers are separate (by another idle time): a worker that later imports a deep learning framework would
    # grow so much that loky would replace it as leaking, with its compiled functions. Existing training workers have
    # grown already, and replacing them would only cost that again.
    global _training_workers_run
    _training_workers_run |= trains and n_workers > 1
    limits: dict[str, Any] = {"initializer": _start_worker, "initargs": (os.getpid(),)}
    if not _training_workers_run:
        limits |= {"inner_max_num_threads": 1, "idle_worker_timeout": _IDLE_SECONDS[False]}
    elif n_workers > 1:
        limits |= {"inner_max_num_threads": runtime.threads_per_worker}
    with joblib.parallel_config("loky", n_jobs=n_workers, **limits):
        yield (TerminatedWorkerError,)


_AT_LEAST = 2
"""Smallest number of workers for joblib: it runs the tasks of a single one in the calling process."""


class _RaisesLostWorkers:
    """Mixin for joblib's backends that return the exception of a lost worker as a result, or never notice it."""

    def retrieve_result_callback(self, result):
        if isinstance(result, BaseException):
            raise result
        return super().retrieve_result_callback(result)


@contextlib.contextmanager
def _ray(runtime: Runtime, n_workers: int, trains: bool) -> Iterator[tuple[type[BaseException], ...]]:
    # No usage statistics are sent, and a worker without a GPU sees none.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "1")
    ray = _imported("ray", extra="ray")
    ray_backend = _imported("ray.util.joblib.ray_backend", extra="ray")
    pool = _imported("ray.util.multiprocessing", extra="ray")

    base: Any = ray_backend.RayBackend

    class Backend(_RaisesLostWorkers, base):
        # Provides the callbacks of a generator; those inherited by RayBackend belong to another kind of pool.
        supports_return_generator = True

        def configure(self, n_jobs=1, parallel=None, **_):
            # Ray's own function changes the base of a joblib class for the rest of the process.
            self._pool = pool.Pool(n_jobs, ray_remote_args=self.ray_remote_args)
            self.parallel = parallel
            return max(n_jobs, _AT_LEAST)

    threads = runtime.threads_per_worker if trains else 1
    joined = ray.is_initialized()
    if not joined:
        local = {
            "num_cpus": n_workers * threads,
            "num_gpus": len(visible_gpus()),
            "include_dashboard": False,
            "object_store_memory": _RAY_OBJECT_STORE_BYTES,
        }
        try:
            ray.init(
                address=runtime.cluster_address or "local",
                log_to_driver=False,
                logging_level="error",
                **({} if runtime.cluster_address else local),
            )
        except ConnectionError as error:
            raise InputError(f"--cluster-address {runtime.cluster_address}: no Ray cluster answers: {error}") from error
        except (RuntimeError, ValueError) as error:
            # For example a cluster with another version of Ray or Python.
            place = f"--cluster-address {runtime.cluster_address}" if runtime.cluster_address else "--engine ray"
            raise InputError(f"{place}: Ray cannot be used: {' '.join(str(error).split())}") from error
    try:
        there = ray.cluster_resources()
        if there.get("CPU", 0) < n_workers * threads:
            raise InputError(
                f"the Ray cluster has {there.get('CPU', 0):.0f} CPUs, but {n_workers} workers of {threads} threads "
                f"need {n_workers * threads}; give fewer --workers"
            )
        n_gpus = there.get("GPU", 0) if trains else 0
        remote = {"num_cpus": threads, "num_gpus": 1 if n_gpus >= n_workers else n_gpus / n_workers}
        with joblib.parallel_config(Backend(ray_remote_args=remote), n_jobs=n_workers):
            yield ray.exceptions.RayError, TerminatedWorkerError
    finally:
        if not joined:
            ray.shutdown()


@contextlib.contextmanager
def _dask(runtime: Runtime, n_workers: int, trains: bool) -> Iterator[tuple[type[BaseException], ...]]:
    distributed = _imported("distributed", extra="dask")
    joblib_dask = _imported("joblib._dask", extra="dask")

    base: Any = joblib_dask.DaskDistributedBackend

    class Backend(_RaisesLostWorkers, base):
        def configure(self, *arguments, **options):
            return max(super().configure(*arguments, **options), _AT_LEAST)

        def submit(self, func, callback=None):
            # Joblib's own backend does not report a task whose worker was lost, and would wait for it forever.
            def tell(future):
                if (error := future.exception()) is not None:
                    callback(error)

            future = super().submit(func, callback)
            future.add_done_callback(tell)
            return future

    with contextlib.ExitStack() as stack:
        stack.enter_context(_client_log_silenced())
        address = runtime.cluster_address
        if not address:
            dask = _imported("dask", extra="dask")
            stack.enter_context(dask.config.set({"distributed.worker.daemon": False}))
            try:
                cluster = distributed.LocalCluster(
                    n_workers=n_workers,
                    # Number of parallel tasks, not of threads per task.
                    threads_per_worker=1,
                    processes=True,
                    dashboard_address="127.0.0.1:0",  # any free port
                    memory_limit=None,
                    # On Ctrl-C it warns about each working worker.
                    silence_logs=logging.ERROR,
                )
            except RuntimeError as error:
                # A worker ended before it had started.
                raise InputError(_LOST) from error
            address = stack.enter_context(cluster).scheduler_address
        try:
            with warnings.catch_warnings():
                # `_check_versions` reports relevant differences in one line.
                warnings.simplefilter("ignore", distributed.versions.VersionMismatchWarning)
                client = distributed.Client(address, timeout=_CONNECTING_SECONDS, set_as_default=False)
        except OSError as error:
            raise InputError(f"--cluster-address {address}: no Dask cluster answers: {error}") from error
        stack.enter_context(client)
        _check_versions(client)
        tasks_at_a_time = client.nthreads()
        if len(tasks_at_a_time) < n_workers:
            raise InputError(
                f"the Dask cluster has {len(tasks_at_a_time)} workers; give fewer --workers than {n_workers}"
            )
        used = sorted(tasks_at_a_time)[:n_workers]
        if any(tasks_at_a_time[worker] != 1 for worker in used):
            raise InputError("workers of the Dask cluster run several tasks at a time; start them with --nthreads 1")
        with joblib.parallel_config(Backend(client=client, workers=used), n_jobs=n_workers):
            # The last two where the scheduler is lost.
            yield (
                distributed.scheduler.KilledWorker,
                TerminatedWorkerError,
                concurrent.futures.CancelledError,
                distributed.comm.CommClosedError,
            )


@contextlib.contextmanager
def _client_log_silenced() -> Iterator[None]:
    """Context in which Dask's client prints no traceback when it loses its scheduler: an `InputError` reports that."""
    logger = logging.getLogger("distributed.client")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


def _check_versions(client) -> None:
    answers = client.get_versions()
    here = _of_dask(answers["client"])
    others = [_of_dask(one) for one in (answers["scheduler"], *answers["workers"].values())]
    if different := list(dict.fromkeys(text for there in others for text in different_versions(there, here))):
        raise InputError(f"the Dask cluster has {', '.join(different)}; install the same versions there")
    try:
        theirs = set(client.run(importlib.metadata.version, "keras_emotion").values())
    except importlib.metadata.PackageNotFoundError as error:
        raise InputError("workers of the Dask cluster have no keras_emotion; install it where they run") from error
    # As installed, on both sides: sources may be ahead of what an editable installation recorded.
    own = package_versions().get("keras_emotion", __version__)
    if theirs - {own}:
        raise InputError(f"workers of the Dask cluster have keras_emotion {', '.join(theirs)}; here it is {own}")


def _of_dask(answer: Mapping[str, Any]) -> dict[str, str]:
    """Return the versions that cluster and client must share, from an entry of `Client.get_versions`."""
    found = {name: answer["packages"].get(name) for name in ("dask", "distributed", "cloudpickle")}
    # Functions are sent as bytecode, which does not depend on the patch version.
    found["Python"] = ".".join(str(answer["packages"].get("python", "")).split(".")[:2])
    return {name: version for name, version in found.items() if version}


def _imported(name: str, extra: str):
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise InputError(
            f"package {error.name} is not installed; install the extra: pip install 'keras_emotion[{extra}]'"
        ) from error
