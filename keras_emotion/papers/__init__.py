"""Registry of papers, read by commands, scripts and documentation.

A new paper needs its own files (a system, a module like those in this package, its printed numbers) and one line in
`keras_emotion/papers/__init__.py`; a paper of another package is registered by `register_paper`.
"""

from keras_emotion.papers import comparison, deepvanet, facrnn, hlstm, mercl, prior_dfcn
from keras_emotion.papers.citations import bibtex
from keras_emotion.papers.differences import differences_from_the_paper
from keras_emotion.papers.registry import (
    PRESETS,
    REFERENCES,
    ComparedFigure,
    Demo,
    DrawnFigure,
    FigureSource,
    Item,
    Paper,
    Pretraining,
    PrintedData,
    Reproduction,
    find_reproduction,
    models,
    papers,
    register_module,
    register_paper,
    released_presets,
    reproductions,
    with_fields,
    with_system,
)

for _row in (
    facrnn.PAPER,
    deepvanet.PAPER,
    prior_dfcn.PAPER,
    mercl.PAPER,
    hlstm.PAPER,
    comparison.PAPER,
):
    register_paper(_row)

__all__ = [
    "PRESETS",
    "REFERENCES",
    "ComparedFigure",
    "Demo",
    "DrawnFigure",
    "FigureSource",
    "Item",
    "Paper",
    "Pretraining",
    "PrintedData",
    "Reproduction",
    "bibtex",
    "differences_from_the_paper",
    "find_reproduction",
    "models",
    "papers",
    "register_module",
    "register_paper",
    "released_presets",
    "reproductions",
    "with_fields",
    "with_system",
]
