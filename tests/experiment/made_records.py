"""Records of jobs without training, for tests of the handling of records."""

from keras_emotion.json_files import read_json


def record_of(job, accuracy=0.5, trials=(1, 2), **diagnostics):
    """The record of a job with two test windows, of two trials of its subject."""
    return {
        "job": job,
        "metrics": {str(job["subject"]): {"accuracy": accuracy, "f1": float("nan")}},
        "training_majority": 1,
        "n_training_windows": 9,
        "n_validation_windows": 1,
        "best_epoch": 3,
        "diagnostics": diagnostics,
        "seconds": 1.0,
        "predictions": {
            "subject": [job["subject"]] * 2,
            "trial": list(trials),
            "stimulus": [str(trial) for trial in trials],
            "start_seconds": [0.0, 2.0],
            "stop_seconds": [2.0, 4.0],
            "label": [0, 1],
            "prediction": [1, 1],
            "probability_low": [0.1, 1 / 3],
            "probability_high": [0.9, 2 / 3],
        },
    }


def write_other_table(folder, name, table):
    """Write another table in the place of one of a finished run, as a run without hashes of its tables would have."""
    table.to_csv(folder.path / name, index=False)
    facts, _ = read_json(folder.path / "finished.json")
    folder.write_json("finished.json", {field: value for field, value in facts.items() if field != "tables"})
