"""Tables and figures from the records of a run. No Keras."""

from keras_emotion.reports.audit import AuditReport, build_audit_report
from keras_emotion.reports.compared import ComparedWith
from keras_emotion.reports.comparison import ComparisonReport, build_comparison
from keras_emotion.reports.feature_figures import draw_feature_places, draw_features, place_features
from keras_emotion.reports.figures import draw_methods
from keras_emotion.reports.graphs import Box, draw_graphs
from keras_emotion.reports.json_values import as_json
from keras_emotion.reports.method_page import build_item_page
from keras_emotion.reports.methods import MethodTable, build_method_table
from keras_emotion.reports.networks import LooksPanel, draw_attention, draw_looks, draw_scalp_maps
from keras_emotion.reports.numbers import SYNTHETIC_MARK, RunNumbers, read_numbers
from keras_emotion.reports.paper import CLASSES_COLUMN, PAPER_COLUMNS, numbers_of_classes, paper_numbers
from keras_emotion.reports.paper_figures import (
    Drawing,
    draw_confusion_matrices,
    draw_electrode_grid,
    draw_mean_band_attention,
    draw_subject_accuracies,
)
from keras_emotion.reports.ratings import rating_table
from keras_emotion.reports.references import NO_COMPARISON, PUBLISHED, REFERENCE_COLUMNS, read_references
from keras_emotion.reports.report import Report, build_report, output_folder
from keras_emotion.reports.share import share_report
from keras_emotion.reports.tables import main_table
from keras_emotion.reports.thesis import latex_table, methods_text

__all__ = [
    "CLASSES_COLUMN",
    "NO_COMPARISON",
    "PAPER_COLUMNS",
    "PUBLISHED",
    "REFERENCE_COLUMNS",
    "SYNTHETIC_MARK",
    "AuditReport",
    "Box",
    "ComparedWith",
    "ComparisonReport",
    "Drawing",
    "LooksPanel",
    "MethodTable",
    "Report",
    "RunNumbers",
    "as_json",
    "build_audit_report",
    "build_comparison",
    "build_item_page",
    "build_method_table",
    "build_report",
    "draw_attention",
    "draw_confusion_matrices",
    "draw_electrode_grid",
    "draw_feature_places",
    "draw_features",
    "draw_graphs",
    "draw_looks",
    "draw_mean_band_attention",
    "draw_methods",
    "draw_scalp_maps",
    "draw_subject_accuracies",
    "latex_table",
    "main_table",
    "methods_text",
    "numbers_of_classes",
    "output_folder",
    "paper_numbers",
    "place_features",
    "rating_table",
    "read_numbers",
    "read_references",
    "share_report",
]
