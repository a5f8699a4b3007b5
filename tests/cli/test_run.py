import shutil
from pathlib import Path

import pandas as pd
import pytest

from keras_emotion import cli, papers
from keras_emotion.cli.reproduce import reproduce
from keras_emotion.cli.request import choose, parse_request
from keras_emotion.datasets import READERS, SAM40
from keras_emotion.evaluation import PROTOCOLS
from keras_emotion.experiment import runner
from keras_emotion.experiment.fit import TrainingDiverged
from keras_emotion.experiment.fold import job_fold
from keras_emotion.experiment.training import failed_record
from keras_emotion.schema import InputError
from keras_emotion.synthetic import write_sam40
from keras_emotion.systems import System, find_system
from keras_emotion.systems.comparison_estimators import ComparisonEstimator

FIELDS = {"name": "own", "dataset": "sam40", "targets": ("stress",), "protocols": ("trial_disjoint",)}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Three subjects without a baseline and without faces."""
    return write_sam40(tmp_path_factory.mktemp("data") / "sam40", n_subjects=3, effect_size=2.0)


def _run(*words):
    return cli.main(["run", *map(str, words)])


def test_usual_protocols_are_those_of_the_dataset(data, capsys):
    words = ["--model", "svm", "--dataset", "sam40", "--data-root", str(data), "--target", "stress"]
    asked = ["--protocols", "subject_disjoint", "usual", "stimulus_disjoint"]
    request = parse_request(choose([*words, *asked]), [*words, *asked])
    assert request.experiment.protocols == ("subject_disjoint", "trial_disjoint", "stimulus_disjoint")
    # The same run as with their names.
    alone, by_name = (
        parse_request(choose([*words, "--protocol", *names]), [*words, "--protocol", *names])
        for names in (("usual",), SAM40.usual_protocols)
    )
    assert alone.experiment.identity() == by_name.experiment.identity()
    own = ["--model", "svm", "--data-root", str(data), "--target", "stress", "--protocol", "usual"]
    with pytest.raises(InputError, match="--protocols usual: recordings has no usual protocols; expected one of as_"):
        choose(own)
    named = ["sam40_dfcn", "--data-root", str(data), "--protocol", "usual"]
    assert parse_request(choose(named), named).experiment.protocols == SAM40.usual_protocols


@pytest.mark.parametrize("name", READERS)
def test_usual_protocols_keep_trials_whole(name):
    flags = {flag for protocol in READERS[name].usual_protocols for flag in PROTOCOLS[protocol].flags}
    assert not flags


@pytest.mark.parametrize("model", papers.models())
def test_every_model_has_presets_and_can_be_read_from_a_run_again(model):
    presets = papers.models()[model](FIELDS)
    assert set(presets) == {"paper", "converged", "reduced", "demo"}
    system = type(presets["paper"].system)
    assert find_system(system.__name__) is system
    assert {preset.protocols for preset in presets.values()} == {("trial_disjoint",)}
    assert len({preset.identity() for preset in presets.values()}) > 1


def test_a_model_is_run_and_reported(data, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["--model", "logistic_regression", "--dataset", "sam40", "--data-root", data, "--target", "stress"]
    protocols = ["--protocol", "window_disjoint", "trial_disjoint"]
    # No grid: a fit for each fold.
    more = ["--preset", "demo", "--workers", 1, "--full", "--system.inverse-regularisation-grid"]
    assert _run(*words, *protocols, *more, "--output", "run") == 0
    results = pd.read_csv("run/results.csv")
    assert set(results["protocol"]) == {"window_disjoint", "trial_disjoint"}
    assert set(results["target"]) == {"stress"}
    assert (tmp_path / "run" / "report.html").is_file()
    told = " ".join(capsys.readouterr().out.split())
    assert "keras-emotion audit run" in told
    # There is no paper on one's own data to differ from.
    assert "differs from the paper" not in told
    assert "differs from the full-size experiment: at most 3 folds of each protocol" in told
    page = (tmp_path / "run" / "report.html").read_text()
    assert "Differs from the full-size experiment" in page
    assert "Differs from the paper" not in page
    assert cli.main(["audit", "run", "--light-permutations", "1"]) == 0


@pytest.mark.parametrize(
    ("sources", "words", "folder", "note"),
    [
        (("media", "recording"), (), "data/stimuli", ""),
        (("media", "recording"), ("--stimuli", "clips"), "clips", ""),
        (("recording",), (), None, ""),
        (("recording",), ("--stimuli", "clips"), None, "note: --stimuli clips: not used, BandPowerRegression reads no"),
    ],
)
def test_models_that_see_stimuli_get_a_folder_of_clips(
    sources, words, folder, note, data, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(data, "data")
    for clips in (tmp_path / "data" / "stimuli", tmp_path / "clips"):
        clips.mkdir()
        # A folder without clips is refused where it is opened.
        if "media" in sources:
            (clips / "1.mp4").touch()
    monkeypatch.setattr(System, "sources", property(lambda self: sources))
    own = ["--model", "logistic_regression", "--dataset", "sam40", "--data-root", "data", "--target", "stress", *words]
    found = parse_request(choose(own), own).dataset.stimuli
    assert found == (folder and Path(folder))
    told = capsys.readouterr().err
    assert told.startswith(note)
    assert bool(told) == bool(note)


def _diverging(monkeypatch, is_diverging):
    """Have the trainings of some jobs diverge; gives a list of the jobs that are done."""
    run_job, done = runner.run_job, []

    def diverges(plan, job):
        done.append(job)
        if not is_diverging(job):
            return run_job(plan, job)
        return {**failed_record(job, job_fold(plan, job), TrainingDiverged("training loss not finite")), "seconds": 0.0}

    monkeypatch.setattr(runner, "run_job", diverges)
    return done


def test_trainings_that_diverge_are_listed_and_repeated_when_asked(data, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["--model", "logistic_regression", "--dataset", "sam40", "--data-root", data, "--target", "stress"]
    words += ["--protocol", "window_disjoint", "trial_disjoint", "--preset", "demo", "--workers", 1, "--output", "run"]
    words.append("--system.inverse-regularisation-grid")
    with monkeypatch.context() as patched:
        done = _diverging(patched, lambda job: (job.protocol, job.subject, job.fold) == ("trial_disjoint", 2, 1))
        assert _run(*words) == 1
        n_jobs = len(done)
        # What failed is recorded: nothing is trained again.
        assert _run(*words, "--resume") == 1
        assert len(done) == n_jobs
    told = capsys.readouterr()
    line = "failed: trial_disjoint, stress, subject 2, repetition 0, fold 1: training loss not finite"
    assert told.err.count(f"{line}; left out under every protocol: 2") == 2
    note = "not evaluable: stress, subject 2, trial_disjoint: training diverged in 1 fold (training loss not finite)"
    assert " ".join(told.out.split()).count(f"{note} (left out of every protocol)") == 2
    assert note in (tmp_path / "run" / "report.html").read_text()
    predictions, results = (pd.read_csv(f"run/{name}.csv") for name in ("predictions", "results"))
    assert set(predictions["subject"]) == {1, 3}
    assert results.loc[results["subject"] == 2, "metric"].tolist() == ["training_failed"]
    done = _diverging(monkeypatch, lambda job: False)
    assert _run(*words, "--retry-failed") == 0
    assert [(job.protocol, job.subject, job.fold) for job in done] == [("trial_disjoint", 2, 1)]
    assert set(pd.read_csv("run/predictions.csv")["subject"]) == {1, 2, 3}
    assert "failed" not in capsys.readouterr().err


def test_a_run_in_which_all_trainings_diverge_ends_with_a_message(data, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["--model", "logistic_regression", "--dataset", "sam40", "--data-root", data, "--target", "stress"]
    _diverging(monkeypatch, lambda job: True)
    words.append("--system.inverse-regularisation-grid")
    assert _run(*words, "--preset", "demo", "--workers", 1, "--output", "run") == 1
    told = capsys.readouterr().err
    assert "9 trainings diverged: use a smaller --training.learning-rate" in told
    assert "error: run: no subject is left to report on, because 9 trainings diverged" in told
    with pytest.raises(SystemExit) as ended:
        cli.main(["report", "run"])
    assert ended.value.code == 2
    assert "no subject is left to report on" in capsys.readouterr().err
    assert cli.main(["runs", "run", "--json"]) == 0
    assert '"progress": "finished, 0 jobs done, 9 failed"' in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model", "facrnn", "--dataset", "sam40"], "--data-root"),
        (["--model", "facrnn", "--dataset", "sam40", "--data-root", "DATA"], "stress"),
        (["--model", "dfcn", "--dataset", "sam40", "--data-root", "DATA", "--target", "stress"], "sample-seconds"),
        (["--model", "deepvanet", "--dataset", "sam40", "--data-root", "DATA", "--target", "stress"], "no face video"),
        (["--model", "facrnn", "--dataset", "sam40", "--data-root", "DATA", "--target", "joy"], "joy"),
        (["--model", "facrnn", "--dataset", "sam40", "--data-root", "nowhere", "--target", "stress"], "nowhere"),
    ],
)
def test_what_is_missing_is_said(data, tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        _run(*(data if word == "DATA" else word for word in words))
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert told.startswith("error: ")
    assert message in told


def test_a_reproduction_is_run_by_its_name(data, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["--data-root", str(data), "--targets", "stress", "--workers", "1", "--dry-run"]
    assert _run("sam40_logistic_regression", *words) == 0
    by_name = capsys.readouterr().out
    assert "jobs to do" in by_name
    reproduce("sam40_logistic_regression", words)
    assert capsys.readouterr().out.split(" jobs")[0] == by_name.split(" jobs")[0]
    # The name may follow options.
    assert parse_request(choose([*words, "sam40_logistic_regression"]), [*words, "sam40_logistic_regression"])


def _asked(words, data):
    words = ["--model", "svm", "--dataset", "sam40", "--data-root", str(data), "--target", "stress", *words]
    return parse_request(choose(words), words)


def test_official_features_are_what_the_system_makes_of_itself(data, monkeypatch):
    def released(self):
        return OfficialSVM(**dict(self))

    class OfficialSVM(ComparisonEstimator):
        @property
        def sources(self):
            return ("released",)

    asked_for = []
    monkeypatch.setattr(ComparisonEstimator, "with_released_features", released)
    monkeypatch.setattr(SAM40, "for_sources", lambda self, sources: asked_for.append(sources) or self)
    assert type(_asked(["--features", "official"], data).experiment.system) is OfficialSVM
    assert type(_asked(["--features", "own"], data).experiment.system) is ComparisonEstimator
    # The first trial says how long the windows are; then the reader is the one of what the system reads.
    assert asked_for == [("released_features",), ("released",), ("recording",)]


def test_a_system_without_released_features_is_refused_in_one_line(data):
    words = ["--model", "eegnet", "--dataset", "sam40", "--data-root", data, "--target", "stress"]
    words = [str(word) for word in (*words, "--features", "official")]
    with pytest.raises(InputError, match="cannot read features that a dataset distributes; leave out --features"):
        parse_request(choose(words), words)


def test_the_format_of_the_files_can_be_chosen(data):
    assert _asked(["--file-format", "filtered"], data).dataset.file_format == "filtered"
    with pytest.raises(InputError, match=r"^--file-format python: expected one of"):
        _asked(["--file-format", "python"], data)


def test_options_change_what_they_name_alone(data):
    plain = _asked([], data)
    changed = _asked(["--training.learning-rate", "0.5", "--label-rule.values", "2", "3", "--workers", "3"], data)
    wanted = {"training.learning_rate": 0.5, "label_rule.values": (2.0, 3.0), "runtime.workers": 3}
    assert changed.experiment.model_dump() == plain.experiment.changed(wanted).model_dump()
    preset = papers.models()["svm"]({**FIELDS, "name": "sam40_svm"})["reduced"]
    assert plain.experiment.identity() == preset.identity()
