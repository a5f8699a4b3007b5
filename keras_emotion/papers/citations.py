"""Citations of a run: paper, dataset and libraries, with the BibTeX entries of `citations.bib`."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from pathlib import Path

from keras_emotion.papers.registry import Paper, papers

_FILE = Path(__file__).with_name("citations.bib")
_LIBRARIES = ("tensorflow", "keras", "jax", "mne", "scikit-learn", "scipy")


@functools.cache
def _entries() -> Mapping[str, str]:
    """BibTeX entries of the file by key."""
    texts = re.split(r"\n(?=@)", _FILE.read_text(encoding="utf-8").strip())
    return {re.match(r"@\w+\{([^,]+),", text)[1]: text.strip() for text in texts}


def bibtex(name: str, dataset: str, packages: Mapping[str, str]) -> str:
    """BibTeX entries to cite for a run, in this order: paper, dataset, this package, libraries.

    A paper registered by another package is cited by the text of its registration; datasets without an entry, such as
    your own recordings, are not cited.

    Args:
        name: name of the run.
        dataset: name of its dataset.
        packages: versions of the libraries that the run used, by name.
    """
    paper = paper_of(name)
    found = []
    if paper is not None:
        note = f"@misc{{{paper.name},\n  note = {{{paper.citation}}}\n}}"
        found.append(_entries().get(paper.name, note))
    names = [dataset, "keras_emotion", *(one for one in _LIBRARIES if one in packages)]
    found += [_entries()[one] for one in names if one in _entries()]
    return "\n\n".join(found)


def paper_of(name: str) -> Paper | None:
    """The paper of a run, found by the name of its reproduction, or of its dataset and model (`seed_svm`)."""
    for paper in papers().values():
        if any(one.name == name for one in paper.reproductions):
            return paper
    for paper in papers().values():
        if any(name.endswith(f"_{model}") for model in paper.models):
            # Methods from several papers have no paper of their own.
            return None if paper.name == "comparison" else paper
    return None
