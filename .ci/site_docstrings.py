"""Docstrings as the documentation site reads them (`extensions` of mkdocstrings in `mkdocs.yml`)."""

import re

import griffe


class DocstringsAsMarkdown(griffe.Extension):
    """Read the section `Example` as `Examples`, whose doctests are code, and formulas that follow each other apart."""

    def on_object(self, *, obj: griffe.Object, **_) -> None:
        """Change the docstring of an object before it is parsed."""
        if obj.docstring is not None:
            text = re.sub(r"^Example:$", "Examples:", obj.docstring.value, flags=re.MULTILINE)
            obj.docstring.value = re.sub(r"\$\$\n( *)\$\$", r"$$\n\n\1$$", text)
