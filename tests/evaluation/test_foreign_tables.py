"""Tables as other toolboxes write them: mapped columns, several files, known layouts."""

import json

import numpy as np
import pandas as pd
import pytest

from keras_emotion import cli
from keras_emotion.evaluation import check_predictions, read_predictions, rescore
from keras_emotion.schema import InputError

PLAIN = pd.DataFrame(
    [
        (subject, trial, 2.0 * window, 2.0 * window + 2)
        for subject in "abc"
        for trial in range(6)
        for window in range(3)
    ],
    columns=["subject", "trial", "start", "stop"],
)
"""Three subjects of six trials of three windows."""


MIXED = ("note", "shared subject")
"""The folds hold trials of all subjects."""


def predicted(seed):
    label = PLAIN["trial"] % 2
    right = np.random.default_rng(seed).random(len(PLAIN)) < 0.7
    return PLAIN.assign(fold=PLAIN["trial"] // 2, label=label, prediction=np.where(right, label, 1 - label))


def kinds(found):
    return {(finding.severity, finding.kind) for finding in found}


def written(table, path):
    path.parent.mkdir(exist_ok=True)
    table.to_csv(path, index=False)
    return path


def same_scores(first, second):
    pd.testing.assert_frame_equal(rescore(first, 99), rescore(second, 99))


def test_columns_are_named_by_a_mapping(tmp_path):
    ours = written(predicted(0), tmp_path / "ours.csv")
    theirs = predicted(0).rename(columns={"subject": "Subject id", "label": "y_true", "prediction": "y, pred"})
    # A column with our name but another meaning is not read.
    theirs = theirs.assign(start=theirs["start"] * 128, stop=theirs["stop"] * 128, label="x", start_seconds=0.0)
    mapping = {"subject": "Subject id", "label": "y_true", "prediction": "y, pred"}
    mapping |= {"start": "start/128", "stop": "stop/128"}
    read = read_predictions(written(theirs, tmp_path / "theirs.csv"), mapping)
    expected = read_predictions(ours)
    pd.testing.assert_frame_equal(read[list(expected)], expected)
    assert read.attrs["notes"] == ()


def test_a_file_for_each_seed_is_a_repetition(tmp_path):
    seeds = [written(predicted(seed), tmp_path / f"seed{seed}.csv") for seed in (0, 1)]
    together = pd.concat([predicted(seed).assign(repetition=seed) for seed in (0, 1)])
    expected = read_predictions(written(together, tmp_path / "all.csv"))
    same_scores(read_predictions(seeds, {"repetition": "@file"}), expected)
    assert kinds(check_predictions(read_predictions(seeds, {"repetition": "@file"}))) == {MIXED}
    # One window in two rows of the same repetition, otherwise.
    assert ("warning", "duplicated windows") in kinds(check_predictions(read_predictions(seeds)))


def test_a_table_without_times_is_not_checked_for_overlaps(tmp_path):
    table = predicted(0).drop(columns=["start", "stop"])
    read = read_predictions(written(table, tmp_path / "table.csv"), {"start": "@row"})
    assert read["start_seconds"].tolist() == [0, 1, 2] * 18
    assert (read["stop_seconds"] - read["start_seconds"] == 1).all()
    assert kinds(check_predictions(read)) == {MIXED, ("note", "not checkable")}
    same_scores(read, read_predictions(written(predicted(0), tmp_path / "with_times.csv")))
    # Windows of a trial in several folds are numbered consecutively: a shared trial, but no duplicated window.
    shuffled = table.assign(fold=np.arange(len(table)) % 2)
    read = read_predictions(written(shuffled, tmp_path / "shuffled.csv"), {"start": "@row"})
    assert kinds(check_predictions(read)) == {MIXED, ("leak", "shared trial"), ("note", "not checkable")}


def eegain(rows, path, epoch=30, part="test"):
    """Predictions as `--log_predictions=True` of EEGain writes them for a test subject."""
    columns = {"subject": "Subject id", "trial": "Video id", "label": "Actual", "prediction": "Predicted"}
    table = rows.rename(columns=columns)[list(columns.values())]
    table.insert(0, "Epoch", epoch)
    table.insert(1, "Data Part", part)
    return table


def test_predictions_of_eegain_are_known_by_their_header(tmp_path):
    for seed in (0, 1):
        for subject, rows in predicted(seed).groupby("subject"):
            test = eegain(rows, tmp_path)
            others = [eegain(rows.assign(prediction=0), tmp_path, epoch=3), eegain(rows, tmp_path, part="val")]
            name = f"predictions_LOSO_SubjectID{subject}.csv"
            written(pd.concat([*others, test]), tmp_path / f"seed{seed}" / name)
    read = read_predictions([tmp_path / "seed0", tmp_path / "seed1"])
    by_hand = pd.concat([predicted(seed).assign(fold=PLAIN["subject"], repetition=seed) for seed in (0, 1)])
    same_scores(read, read_predictions(written(by_hand, tmp_path / "by_hand.csv")))
    first, *left_out = read.attrs["notes"]
    assert first == "read as a table of EEGain"
    assert len(left_out) == 6
    assert all("36 of 54 rows left out: not the test part, or an earlier epoch" in note for note in left_out)
    # All subjects see the same videos, which the model has seen in training.
    assert kinds(check_predictions(read)) == {("note", "shared stimulus"), ("note", "not checkable")}


def test_folds_of_torcheeg_are_known_by_their_header(tmp_path):
    columns = {"subject": "subject_id", "trial": "trial_id", "start": "start_at", "stop": "end_at"}
    rows = predicted(0)
    for fold, own in rows.groupby("fold"):
        samples = own.assign(start=own["start"] * 128, stop=own["stop"] * 128, clip_id=np.arange(len(own)))
        written(samples.rename(columns=columns).drop(columns="fold"), tmp_path / "split" / f"test_fold_{fold}.csv")
    read = read_predictions(tmp_path / "split")
    assert read.attrs["notes"] == (
        "read as a table of TorchEEG: start and stop are in samples; start=start_at/128 gives seconds",
    )
    same_scores(read, read_predictions(written(rows, tmp_path / "ours.csv")))
    assert kinds(check_predictions(read)) == {MIXED}
    assert read["start_seconds"].max() == 4 * 128
    in_seconds = read_predictions(tmp_path / "split", {"start": "start_at/128", "stop": "end_at/128"})
    assert in_seconds["start_seconds"].max() == 4


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {},
            r"theirs\.csv: has no column subject, label; it has sub, .*, y, .*; give --columns subject=COLUMN label=",
        ),
        ({"subject": "sub"}, r"has no column label; .* give --columns label=COLUMN$"),
        ({"subject": "who", "label": "y"}, r"^--columns subject=who: .*theirs\.csv has no column who; it has sub, "),
        ({"sub": "subject"}, r"^--columns sub=subject: unknown column sub; expected one of subject, trial, "),
        ({"subject": "sub", "label": "y", "start": "start/0"}, "has no column start/0"),
        ({"subject": "sub", "label": "y", "stop": "@row"}, "has no column @row"),
        ({"subject": "sub", "label": "y", "start": "y/2"}, r"theirs\.csv: line 2, start_seconds: expected seconds"),
    ],
)
def test_what_is_missing_is_one_line(columns, message, tmp_path):
    theirs = predicted(0).rename(columns={"subject": "sub", "label": "y"}).replace({"y": {0: "low", 1: "up"}})
    theirs["prediction"] = theirs["prediction"].map({0: "low", 1: "up"})
    with pytest.raises(InputError, match=message) as raised:
        read_predictions(written(theirs, tmp_path / "theirs.csv"), columns)
    assert "\n" not in str(raised.value)


def test_errors_name_the_file_and_the_line_of_several(tmp_path):
    one, two = (written(predicted(seed), tmp_path / f"{seed}.csv") for seed in (0, 1))
    broken = predicted(1).astype({"label": object})
    broken.loc[4, "label"] = ""
    written(broken, two)
    with pytest.raises(InputError, match=r"1\.csv: line 6: label is missing"):
        read_predictions([one, two], {"repetition": "@file"})
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match="none: contains no csv files"):
        read_predictions(tmp_path / "none")


def test_the_command_maps_columns(tmp_path, capsys):
    theirs = predicted(0).rename(columns={"label": "y_true", "prediction": "y pred"})
    table = str(written(theirs, tmp_path / "theirs.csv"))
    assert cli.main(["audit", "--table", table, "--columns", "label=y_true,prediction=y pred", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [finding["kind"] for finding in found["findings"]] == ["shared subject"]
    assert found["notes"] == []
    assert found["scores"][0]["accuracy"] == pytest.approx((theirs["y_true"] == theirs["y pred"]).mean())
    assert cli.main(["audit", "--table", table, "--columns", "label=y_true", "prediction=y pred", "start=@row"]) == 0
    assert "note: not checkable (table, label): the table has no times" in capsys.readouterr().out
    for words, message in (
        (["label"], "--columns label: expected OURS=THEIRS, such as label=y_true"),
        (["label=a", "label=b"], "--columns label=b: label is given twice"),
    ):
        with pytest.raises(SystemExit, match=r"^2$"):
            cli.main(["audit", "--table", table, "--columns", *words])
        assert capsys.readouterr().err == f"error: {message}\n"
