"""Docstrings as the documentation site reads them (`extensions` of mkdocstrings in `mkdocs.yml`)."""

import re

import griffe

_GREEK = "alpha|beta|gamma|epsilon|lambda|mu|phi|rho|sigma|tau|Sigma"
_FORMULA_IN_CODE = re.compile(
    rf"(?<!`)`([^`\n]*\\(?:{_GREEK}|bar|cdot|frac|hat|mathrm|sum|tilde)(?![A-Za-z])[^`\n]*)`(?!`)"
)
_REMARK = re.compile(r"^(Numerics|Deviations): (.*(?:\n +\S.*)*)", re.MULTILINE)
_BOX = re.compile(r"^(?:Call arguments|References):\n {4}.*(?:\n {4}.*)*", re.MULTILINE)
_ENTRY = re.compile(r"(?<!:)\n( {4}(?:\[\d+\]|\w+:) )")
"""Entries after the first one: without a line between them they would be one paragraph."""


class DocstringsAsMarkdown(griffe.Extension):
    """Read the section `Example` as `Examples`, whose doctests are code, and formulas that follow each other apart.

    Code that is LaTeX is a formula. Remarks on numerics and deviations are paragraphs: their first line would be the
    title of a box.
    """

    def on_object(self, *, obj: griffe.Object, **_) -> None:
        """Change the docstring of an object before it is parsed."""
        if obj.docstring is not None:
            text = re.sub(r"^Example:$", "Examples:", obj.docstring.value, flags=re.MULTILINE)
            text = _FORMULA_IN_CODE.sub(r"$\1$", text)
            text = _REMARK.sub(
                lambda match: f"**{match[1]}.** {match[2][0].upper()}" + re.sub(r"\n +", "\n", match[2][1:]), text
            )
            text = _BOX.sub(lambda box: _ENTRY.sub(r"\n\n\1", box[0]), text)
            obj.docstring.value = re.sub(r"\$\$\n( *)\$\$", r"$$\n\n\1$$", text)
