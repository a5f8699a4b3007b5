import concurrent.futures
import contextlib
import importlib
import importlib.metadata
import json
import logging
import os
import re
import secrets
import signal
import subprocess
import sys
import textwrap
import time
import types

import cloudpickle
import numpy as np
import pytest
import threadpoolctl

from keras_emotion.environment import visible_gpus
from keras_emotion.experiment import Runtime, engine, prepare, run
from keras_emotion.experiment.engine import in_workers
from keras_emotion.schema import InputError
from keras_emotion.systems.logistic_regression import BandPowerRegression

TABLES = ("results.csv", "predictions.csv")
PICKLERS = ("cloudpickle", "ray.cloudpickle")

# Ray starts its own processes and leaves their ends, and their pipes, to the end of the program.
RAY_WARNINGS = [
    pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning"),
]
ENGINES = ["processes", "dask", pytest.param("ray", marks=[pytest.mark.slow, *RAY_WARNINGS])]

# Equality of results with Dask is always tested; starting a cluster for each further question takes a minute.
CLUSTERS_ARE_SLOW = [ENGINES[0], pytest.param("dask", marks=pytest.mark.slow), ENGINES[2]]


@pytest.fixture
def in_workers_too(memory_reader):
    """This file and the reader are pickled by value with the tasks, because workers cannot import tests."""
    modules = [sys.modules[memory_reader.__module__], sys.modules[__name__]]
    picklers = [importlib.import_module(name) for name in PICKLERS]
    for pickler in picklers:
        for module in modules:
            pickler.register_pickle_by_value(module)
    yield
    for pickler in picklers:
        for module in modules:
            pickler.unregister_pickle_by_value(module)


@pytest.fixture(scope="module")
def dask_address():
    """A running cluster with two workers."""
    dask, distributed = importlib.import_module("dask"), importlib.import_module("distributed")
    with (
        dask.config.set({"distributed.worker.daemon": False}),
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster,
    ):
        yield cluster.scheduler_address


@pytest.fixture
def two_workers(request):
    """Two workers of the engine, of a running Dask cluster, or of our own Ray cluster.

    With two threads unless given: other numbers would require other workers.
    """

    def of(name, **fields):
        address = request.getfixturevalue("dask_address") if name == "dask" else ""
        return Runtime(**{"workers": 2, "threads_per_worker": 2, "engine": name, "cluster_address": address, **fields})

    return of


def _done(runtime, *tasks, trains=False):
    return list(in_workers(runtime, tasks, trains=trains))


@pytest.mark.parametrize("name", ENGINES)
def test_every_engine_gives_the_same_bytes(name, unbroken_tiny_run, tiny_run, in_workers_too, two_workers, tmp_path):
    unbroken, reader, _ = unbroken_tiny_run
    system = tiny_run.NETWORK
    if name == "processes":
        # Of a model whose workers import no Keras. Two processes that train networks give the same bytes as one in
        # `test_a_killed_run_resumed_by_two_workers_ends_with_the_same_table`.
        system = BandPowerRegression(inverse_regularisation_grid=())
        alone = tmp_path / "alone"
        unbroken = run(tiny_run.tiny_experiment(alone / "features", system, workers=1), reader, alone / "run")
    experiment = tiny_run.tiny_experiment(tmp_path / "features", system, workers=2, engine=name)
    # Existing workers extract features; the run then starts its own workers for the trainings only.
    there = two_workers(name, threads_per_worker=1, feature_store=tmp_path / "features")
    prepare(experiment.changed({"runtime": there}), reader)
    folder = run(experiment, reader, tmp_path / "run")
    for table in TABLES:
        assert (folder.path / table).read_bytes() == (unbroken.path / table).read_bytes()
    assert folder.environment["engine"] == name
    assert (folder.environment["jobs"], folder.environment["threads_per_worker"]) == (2, 1)


def _where():
    time.sleep(0.5)  # long enough that the other worker takes its share
    return os.getpid(), {pool["num_threads"] for pool in threadpoolctl.threadpool_info()}, os.getcwd()


def _backend():
    # Keras reads the variable when it is first imported, and importing it takes 6 s.
    assert "keras" not in sys.modules
    return os.environ["KERAS_BACKEND"]


def _family():
    return os.getpid(), os.getppid()


def test_thread_pools_are_looked_for_again_where_modules_came(monkeypatch):
    of_threadpoolctl, made = threadpoolctl.ThreadpoolController, []
    monkeypatch.setattr(threadpoolctl, "ThreadpoolController", lambda: made.append(of_threadpoolctl()) or made[-1])
    monkeypatch.setattr(engine, "_pools", None)

    def limits():
        return {pool["num_threads"] for pool in of_threadpoolctl().info()}

    for n_looks in (1, 1, 2):
        if n_looks == 2:
            monkeypatch.setitem(sys.modules, "imported_meanwhile", types.ModuleType("imported_meanwhile"))
        with of_threadpoolctl().limit(limits=3):
            assert _done(Runtime(workers=1, threads_per_worker=2), (limits, ()), trains=True) == [{2}]
            assert limits() == {3}
        assert len(made) == n_looks


def _unhappy():
    raise InputError("subject 3: truncated")


def _killed():
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("name", CLUSTERS_ARE_SLOW)
@pytest.mark.parametrize(("trains", "n_threads"), [(True, 2), (False, 1)])
def test_workers_have_their_threads_and_work_where_the_run_was_started(
    name, trains, n_threads, in_workers_too, two_workers, monkeypatch, tmp_path
):
    runtime = two_workers(name)
    if name != "processes":
        monkeypatch.chdir(tmp_path)  # elsewhere than where the cluster was started
    # Features take one thread, regardless of the training workers.
    done = _done(runtime, *[(_where, ())] * 8, trains=trains)
    assert len({process for process, _, _ in done} - {os.getpid()}) == 2
    assert {count for _, counts, _ in done for count in counts} == {n_threads}
    assert {folder for _, _, folder in done} == {os.getcwd()}


@pytest.mark.parametrize("name", CLUSTERS_ARE_SLOW)
def test_workers_train_on_the_backend_of_this_process(name, in_workers_too, two_workers, monkeypatch):
    """Regardless of changes of a variable after Keras was imported."""
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert set(_done(two_workers(name), *[(_backend, ())] * 4)) == {"tensorflow"}


@pytest.mark.slow
@pytest.mark.parametrize("name", ENGINES[1:])
def test_a_single_worker_of_a_cluster_is_one_too(name, in_workers_too, two_workers):
    runtime = two_workers(name).changed({"workers": 1})
    (done,) = {(process, parent) for process, parent in _done(runtime, *[(_family, ())] * 3)}
    assert os.getpid() not in done


def _interrupted():
    os.kill(os.getpid(), signal.SIGINT)
    return "goes on"


def test_workers_leave_ctrl_c_to_the_process_that_started_them():
    assert _done(Runtime(workers=2, threads_per_worker=2), *[(_interrupted, ())] * 4) == ["goes on"] * 4
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


@pytest.mark.parametrize("name", CLUSTERS_ARE_SLOW)
def test_an_error_in_a_worker_is_raised_here(name, in_workers_too, two_workers):
    with pytest.raises(InputError, match=r"^subject 3: truncated$"):
        _done(two_workers(name), (_unhappy, ()))


@pytest.mark.parametrize("name", CLUSTERS_ARE_SLOW)
def test_a_worker_that_is_killed_ends_the_run_and_says_what_to_do(name, in_workers_too, two_workers):
    with pytest.raises(InputError, match=r"a worker was killed.*continue with --resume"):
        _done(two_workers(name), (_killed, ()))


def _kills_the_worker_of_dask():
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(60)


def test_a_worker_of_dask_that_is_lost_ends_the_run_too(in_workers_too):
    # How often Dask retries a task whose worker was lost.
    # First: what is imported below `set` loses its own settings with those that are set.
    importlib.import_module("distributed")
    with importlib.import_module("dask").config.set({"distributed.scheduler.allowed-failures": 0}):  # noqa: SIM117
        with pytest.raises(InputError, match=r"a worker was killed.*continue with --resume"):
            _done(Runtime(workers=1, engine="dask"), (_kills_the_worker_of_dask, ()))


def test_a_dask_cluster_whose_worker_is_lost_at_its_start_says_so(monkeypatch):
    def fails(**_):
        raise RuntimeError("Nanny failed to start.")

    monkeypatch.setattr(importlib.import_module("distributed"), "LocalCluster", fails)
    with pytest.raises(InputError, match=r"a worker was killed.*continue with --resume"):
        _done(Runtime(workers=1, engine="dask"), (os.getpid, ()))


def _of_another_module():
    """A function that pickle finds in a module that workers do not have."""
    module = types.ModuleType("only_here")
    exec("def function():\n    pass", module.__dict__)
    sys.modules["only_here"] = module
    return module.function


@pytest.mark.parametrize("name", CLUSTERS_ARE_SLOW[1:])
def test_a_module_that_workers_lack_is_named(name, in_workers_too, two_workers):
    with pytest.raises(InputError, match=r"No module named 'only_here'; workers need the same packages"):
        _done(two_workers(name), (_of_another_module(), ()))


def test_a_dask_cluster_of_another_version_is_refused(dask_address, monkeypatch):
    version = importlib.metadata.version("keras_emotion")
    monkeypatch.setattr(engine, "package_versions", lambda: {"keras_emotion": "0.0.1"})
    with pytest.raises(InputError, match=rf"have keras_emotion {version}; here it is 0\.0\.1"):
        _done(Runtime(workers=2, engine="dask", cluster_address=dask_address), (os.getpid, ()))


def test_a_worker_with_other_versions_refuses_its_task(monkeypatch):
    conditions = engine._Conditions(False, 1, False, None, "tensorflow", "", {"numpy": "1.0", "keras_emotion": "0.0.1"})
    with pytest.raises(
        InputError, match=rf"numpy {np.__version__} \(here 1\.0\).*install the same ones where workers run"
    ):
        engine._unpacked(conditions, cloudpickle.dumps((os.getpid, ())))


def _versions(**changes):
    packages = {
        "python": "3.11.7.final.0",
        "dask": "2025.1",
        "distributed": "2025.1",
        "cloudpickle": "3.1",
        "lz4": None,
    }
    return {"packages": {**packages, **changes}}


@pytest.mark.parametrize(
    ("scheduler", "worker", "message"),
    [
        ({}, {"dask": "2024.12"}, "the Dask cluster has dask 2024.12 (here 2025.1); install the same versions"),
        ({"python": "3.12.1.final.0"}, {}, "the Dask cluster has Python 3.12 (here 3.11); install"),
        ({"python": "3.11.2.final.0", "lz4": "4.0"}, {}, ""),
    ],
)
def test_a_dask_cluster_of_other_packages_is_refused(scheduler, worker, message):
    answers = {"client": _versions(), "scheduler": _versions(**scheduler), "workers": {"tcp://a": _versions(**worker)}}
    client = types.SimpleNamespace(get_versions=lambda: answers, run=lambda function, name: {"tcp://a": function(name)})
    with pytest.raises(InputError, match=f"^{re.escape(message)}") if message else contextlib.nullcontext():
        engine._check_versions(client)


def test_what_ray_refuses_is_one_line(monkeypatch):
    def init(**_):
        raise RuntimeError("Version mismatch: The cluster was started with:\n    Ray: 1.0\n    Python: 3.8")

    ray = types.ModuleType("ray")
    ray.init, ray.is_initialized = init, lambda: False
    for name in ("ray.util.joblib.ray_backend", "ray.util.multiprocessing"):
        module = types.ModuleType(name)
        module.RayBackend = object
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setitem(sys.modules, "ray", ray)
    runtime = Runtime(workers=2, engine="ray", cluster_address="10.0.0.1:6379")
    message = (
        "--cluster-address 10.0.0.1:6379: Ray cannot be used: Version mismatch: The cluster was started with: Ray: 1.0"
    )
    with pytest.raises(InputError, match=f"^{re.escape(message)} Python: 3.8$"):
        _done(runtime, (os.getpid, ()))


def _out_of_memory():
    raise MemoryError("Unable to allocate 8.00 GiB")


def test_a_task_without_memory_is_one_line():
    message = r"^out of memory \(Unable to allocate 8\.00 GiB\); use fewer --workers.*continue with --resume$"
    with pytest.raises(InputError, match=message):
        _done(Runtime(workers=1), (_out_of_memory, ()))


@pytest.fixture
def ray_address(monkeypatch):
    """A running Ray cluster of another program, with two CPUs."""
    # A cluster requires its token: one for this test only.
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
    program = textwrap.dedent("""
        import sys
        import ray
        context = ray.init(address="local", num_cpus=2, include_dashboard=False, object_store_memory=10**8)
        print("address", context.address_info["address"], flush=True)
        sys.stdin.read()
    """)
    with subprocess.Popen(
        [sys.executable, "-c", program],
        env={**os.environ, "RAY_USAGE_STATS_ENABLED": "0"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        lines = iter(process.stdout.readline, "")
        yield next(line.split()[1] for line in lines if line.startswith("address "))
        process.stdin.close()


@pytest.mark.slow
@RAY_WARNINGS[0]
@RAY_WARNINGS[1]
def test_a_ray_cluster_that_runs_already_is_used(ray_address, in_workers_too):
    runtime = Runtime(workers=2, engine="ray", cluster_address=ray_address)
    assert len({process for process, _, _ in _done(runtime, *[(_where, ())] * 8)}) == 2
    with pytest.raises(InputError, match=r"has 2 CPUs, but 3 workers of 1 threads need 3; give fewer --workers"):
        _done(runtime.changed({"workers": 3}), (_where, ()))


@pytest.mark.parametrize(
    ("fields", "package", "extra"),
    [
        ({"engine": "ray"}, "ray", "ray"),
        ({"engine": "dask"}, "distributed", "dask"),
        ({"tensorboard": True}, "tensorboard", "tensorboard"),
    ],
)
def test_a_missing_package_is_named_with_its_extra(fields, package, extra, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)  # as if it were not installed
    with pytest.raises(InputError, match=rf"{package}.* not installed.*pip install 'keras_emotion\[{extra}\]'"):
        engine.check(Runtime(**fields))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"engine": "dask", "cluster_address": "tcp://127.0.0.1:1"}, "give --workers"),
        ({"cluster_address": "tcp://127.0.0.1:1", "workers": 2}, "give --engine ray or --engine dask"),
    ],
)
def test_a_cluster_needs_an_engine_and_a_number_of_workers(fields, message):
    with pytest.raises(InputError, match=message):
        engine.check(Runtime(**fields))


def test_a_client_of_dask_that_loses_its_scheduler_prints_no_traceback(dask_address):
    importlib.import_module("distributed")
    logger = logging.getLogger("distributed.client")
    level = logger.level
    with engine._dask(Runtime(workers=2, engine="dask", cluster_address=dask_address), 2, False) as lost:
        assert not logger.isEnabledFor(logging.ERROR)
    assert logger.level == level
    # What futures and connections raise then.
    assert issubclass(concurrent.futures.CancelledError, lost)
    assert issubclass(importlib.import_module("distributed").comm.CommClosedError, lost)


def test_a_dask_cluster_that_does_not_answer_or_does_not_fit_is_refused(dask_address, monkeypatch):
    with pytest.raises(InputError, match="has 2 workers; give fewer --workers than 3"):
        _done(Runtime(workers=3, engine="dask", cluster_address=dask_address), (os.getpid, ()))
    monkeypatch.setattr(engine, "_CONNECTING_SECONDS", 1)
    with pytest.raises(InputError, match=r"--cluster-address tcp://127\.0\.0\.1:1: no Dask cluster answers"):
        _done(Runtime(workers=2, engine="dask", cluster_address="tcp://127.0.0.1:1"), (os.getpid, ()))


@pytest.mark.parametrize(
    ("variable", "ids"),
    [("0,1", ["0", "1"]), ("3", ["3"]), ("", []), ("-1", []), ("1,-1,0", ["1"]), ("GPU-a, MIG-b", ["GPU-a", "MIG-b"])],
)
def test_gpus_are_those_that_cuda_would_see(variable, ids, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", variable)
    assert visible_gpus() == ids


def _claims(tmp_path, visible, n_processes):
    """GPUs visible to processes after their claims, one after another, all alive; then to as many others."""
    # They are forks of one process: to import what claims takes longer than all else.
    program = textwrap.dedent("""
        import json, os, signal, sys
        from keras_emotion.experiment.engine import claim_gpu

        def claim():
            reading, writing = os.pipe()
            process = os.fork()
            if not process:
                claim_gpu()
                claim_gpu()
                os.write(writing, f"{os.environ['CUDA_VISIBLE_DEVICES']} {'tensorflow' in sys.modules}\\n".encode())
                signal.pause()
            with open(reading) as answer:
                return process, answer.readline().split()

        seen = []
        for n_processes in json.loads(sys.argv[1]):
            processes, claims = zip(*[claim() for _ in range(n_processes)])
            seen.append(claims)
            for process in processes:
                os.kill(process, signal.SIGKILL)
                os.waitpid(process, 0)
        print(json.dumps(seen))
    """)
    answer = subprocess.run(
        [sys.executable, "-c", program, json.dumps(n_processes)],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": visible, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=120,
    )
    return json.loads(answer.stdout)


def test_a_worker_has_a_gpu_of_its_own_until_it_ends(tmp_path):
    two, three = _claims(tmp_path, "GPU-a,1", [2, 3])
    assert two == [["GPU-a", "False"], ["1", "False"]]
    # Those were killed, and their claims ended with them. A third shares.
    *own, (shared, _) = three
    assert own == [["GPU-a", "False"], ["1", "False"]]
    assert shared in ("GPU-a", "1")


def _visible():
    time.sleep(0.5)
    return os.getpid(), os.environ["CUDA_VISIBLE_DEVICES"]


def test_workers_that_train_get_a_gpu_each_and_others_none(in_workers_too, monkeypatch, tmp_path):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    # Separate workers for this test: existing ones have other variables.
    monkeypatch.setattr(engine, "_IDLE_SECONDS", {True: 31, False: 32})
    monkeypatch.setattr(engine, "_training_workers_run", True)
    engine.loky.get_reusable_executor(max_workers=2, timeout=30, reuse=False).shutdown(wait=True)
    # First those without any: a worker keeps its claimed GPU.
    for trains, expected in ((False, {"0,1"}), (True, {"0", "1"})):
        done = _done(Runtime(), *[(_visible, ())] * 8, trains=trains)
        by_worker = dict(done)
        assert set(by_worker.values()) == expected
        assert all(by_worker[process] == gpu for process, gpu in done)
    assert len(by_worker) == 2
    engine.loky.get_reusable_executor(max_workers=1, timeout=30, reuse=False).shutdown(wait=True)


def test_without_locks_of_files_no_gpu_is_claimed(monkeypatch):
    # As on Windows, where the variable may be set and `fcntl` cannot be imported.
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    monkeypatch.setitem(sys.modules, "fcntl", None)
    engine.claim_gpu()
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0,1"
