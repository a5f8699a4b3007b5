"""Pages of tables of methods."""

from pathlib import Path

import pandas as pd

from keras_emotion.reports import MethodTable
from keras_emotion.reports.method_page import build_item_page


def page_of(tmp_path, protocols):
    """The page of a table; `protocols` has those of each method."""
    rows = pd.DataFrame(
        [(protocol, method) for method, own in protocols.items() for protocol in own], columns=["protocol", "method"]
    )
    rows = rows.assign(target="valence", metric="accuracy", n_classes=2, mean=0.6, standard_deviation=0.1, n_subjects=3)
    rows = rows.assign(low=None, high=None, chance_low=0.4, chance_high=0.6, majority=0.5, knows_stimulus=0.5)
    rows = rows.assign(p_value=None, p_value_holm=None, printed=99.0, printed_standard_deviation=None)
    for name in ("low", "high", "p_value", "p_value_holm", "printed_standard_deviation"):
        rows[name] = rows[name].astype(float)
    flags = dict.fromkeys(rows["protocol"], ())
    table = MethodTable("DEAP", "", flags, {}, ("accuracy",), rows, Path("methods.csv"), next(iter(protocols)), ())
    return build_item_page(tmp_path, "table2", "Table 2", "Networks.", table=table).read_text(encoding="utf-8")


def test_the_lead_says_with_what_methods_are_compared(tmp_path):
    both = ["as_published", "trial_disjoint"]
    page = page_of(tmp_path, {"one": both, "two": both})
    assert "Under each protocol they are compared on the same subjects, the others with one." in page
    assert "No two of them" not in page
    page = page_of(tmp_path, {"one": both, "two": ["subject_disjoint"], "three": ["subject_disjoint"]})
    assert "on the same subjects, the others with two." in page
    page = page_of(tmp_path, {"one": both, "two": ["subject_disjoint"]})
    assert "No two of them were run under the same protocol." in page
    assert "they are compared" not in page


def test_headings_break_after_underscores(tmp_path):
    page = page_of(tmp_path, {"one": ["as_published_deepvanet_inter_subject"]})
    assert ">as_<wbr>published_<wbr>deepvanet_<wbr>inter_<wbr>subject" in page
    assert "white-space: pre;" not in page
