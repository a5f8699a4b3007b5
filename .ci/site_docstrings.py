"""Docstrings as the documentation site reads them (`extensions` of mkdocstrings in `mkdocs.yml`)."""

import re

import griffe

_GREEK = "alpha|beta|gamma|epsilon|lambda|mu|phi|rho|sigma|tau|Sigma"
_FORMULA_IN_CODE = re.compile(
    rf"(?<!`)`([^`\n]*\\(?:{_GREEK}|bar|cdot|frac|hat|mathrm|sum|tilde)(?![A-Za-z])[^`\n]*)`(?!`)"
)
_REMARK = re.compile(r"^(Numerics|Deviations): (.*(?:\n +\S.*)*)", re.MULTILINE)


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
            text = _REMARK.sub(lambda match: f"**{match[1]}.** " + re.sub(r"\n +", "\n", match[2]), text)
            obj.docstring.value = re.sub(r"\$\$\n( *)\$\$", r"$$\n\n\1$$", text)
