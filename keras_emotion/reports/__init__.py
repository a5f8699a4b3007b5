"""Tables and figures from the records of a run. No Keras."""

from keras_emotion.reports.audit import AuditReport, build_audit_report
from keras_emotion.reports.comparison import ComparisonReport, build_comparison
from keras_emotion.reports.figures import draw_features, draw_methods
from keras_emotion.reports.json_values import as_json
from keras_emotion.reports.methods import MethodTable, build_method_table
from keras_emotion.reports.networks import LooksPanel, draw_attention, draw_looks, draw_scalp_maps
from keras_emotion.reports.numbers import SYNTHETIC_MARK
from keras_emotion.reports.paper import CLASSES_COLUMN, PAPER_COLUMNS, numbers_of_classes, paper_numbers
from keras_emotion.reports.ratings import rating_table
from keras_emotion.reports.references import NO_COMPARISON, PUBLISHED, REFERENCE_COLUMNS, read_references
from keras_emotion.reports.report import Report, build_report

__all__ = [
    "CLASSES_COLUMN",
    "NO_COMPARISON",
    "PAPER_COLUMNS",
    "PUBLISHED",
    "REFERENCE_COLUMNS",
    "SYNTHETIC_MARK",
    "AuditReport",
    "ComparisonReport",
    "LooksPanel",
    "MethodTable",
    "Report",
    "as_json",
    "build_audit_report",
    "build_comparison",
    "build_method_table",
    "build_report",
    "draw_attention",
    "draw_features",
    "draw_looks",
    "draw_methods",
    "draw_scalp_maps",
    "numbers_of_classes",
    "paper_numbers",
    "rating_table",
    "read_references",
]
