"""Docstrings as the documentation site reads them (`extensions` of mkdocstrings in `mkdocs.yml`)."""

import dataclasses
import re
from collections.abc import Iterator

import griffe

_GREEK = "alpha|beta|gamma|epsilon|lambda|mu|phi|rho|sigma|tau|Sigma"
_FORMULA_IN_CODE = re.compile(
    rf"(?<!`)`([^`\n]*\\(?:{_GREEK}|bar|cdot|frac|hat|mathrm|sum|tilde)(?![A-Za-z])[^`\n]*)`(?!`)"
)
_REMARK = re.compile(r"^(Numerics|Deviations): (.*(?:\n +\S.*)*)", re.MULTILINE)
_BOX = re.compile(r"^(?:Call arguments|References):\n {4}.*(?:\n {4}.*)*", re.MULTILINE)
_ENTRY = re.compile(r"(?<!:)\n( {4}(?:\[\d+\]|\w+:) )")
"""Entries after the first one: without a line between them they would be one paragraph."""
_VALUES = re.compile(r"^(Returns|Yields):\n( +)(?=\S)", re.MULTILINE)
_PRIVATE = re.compile(r"(?<![\w.\"'])_[A-Za-z]\w*")


class DocstringsAsMarkdown(griffe.Extension):
    """Read the section `Example` as `Examples`, whose doctests are code, and formulas that follow each other apart.

    Code that is LaTeX is a formula. Remarks on numerics and deviations are paragraphs: their first line would be the
    title of a box. Text before a colon is no type of a returned value: types are those of the signatures.

    Private names are not shown: bases are the public ones that they have, defaults are `...`, and values of attributes
    are left out.
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
            text = _VALUES.sub(r"\1:\n\2: ", text)
            obj.docstring.value = re.sub(r"\$\$\n( *)\$\$", r"$$\n\n\1$$", text)

    def on_class(self, *, cls: griffe.Class, **_) -> None:
        """Replace private bases by theirs."""
        cls.bases = list({str(base): base for base in _public_bases(cls)}.values())

    def on_function(self, *, func: griffe.Function, **_) -> None:
        """Hide defaults that contain private names."""
        for parameter in func.parameters:
            if parameter.default is not None and _PRIVATE.search(str(parameter.default)):
                parameter.default = "..."

    def on_attribute(self, *, attr: griffe.Attribute, **_) -> None:
        """Hide values that contain private names."""
        if attr.value is not None and _PRIVATE.search(str(attr.value)):
            attr.value = None

    def on_package(self, *, pkg: griffe.Module, loader: griffe.GriffeLoader, **_) -> None:
        """Show functions that their module of the same name would hide, and arguments of pydantic models."""
        loader.resolve_aliases(external=False)
        for cls in _classes(pkg):
            if fields := _fields(cls):
                first = griffe.Parameter("self", kind=griffe.ParameterKind.positional_or_keyword)
                cls.set_member("__init__", griffe.Function("__init__", parameters=griffe.Parameters(first, *fields)))
        for package in (pkg, *pkg.modules.values()):
            for name in map(str, package.exports or ()):
                member, path = package.members.get(name), package.imports.get(name)
                if isinstance(member, griffe.Module) and path == f"{member.path}.{name}":
                    package.members[name] = griffe.Alias(name, member.members[name], parent=package)
                    package.members[f"_{name}"] = member


def _classes(module: griffe.Module | griffe.Class) -> Iterator[griffe.Class]:
    for member in tuple(module.members.values()):
        if isinstance(member, griffe.Class):
            yield member
        if isinstance(member, griffe.Module | griffe.Class):
            yield from _classes(member)


def _fields(cls: griffe.Class) -> list[griffe.Parameter]:
    """The fields of a pydantic model, those of its bases first, as keyword arguments; none of another class."""
    classes = [*reversed(cls.mro()), cls]
    if not any(str(base).endswith("BaseModel") for one in classes for base in one.bases):
        return []
    fields = {
        name: griffe.Parameter(
            name,
            annotation=_without_constraints(field.annotation),
            kind=griffe.ParameterKind.keyword_only,
            default=_default(field.value),
        )
        for one in classes
        for name, field in one.attributes.items()
        if "instance-attribute" in field.labels and field.annotation is not None and not name.startswith("_")
    }
    return list(fields.values())


def _without_constraints(annotation: str | griffe.Expr | None) -> str | griffe.Expr | None:
    if isinstance(annotation, griffe.ExprBinOp):
        return dataclasses.replace(annotation, left=_without_constraints(annotation.left))
    left = str(annotation.left).rpartition(".")[2] if isinstance(annotation, griffe.ExprSubscript) else ""
    if left == "Annotated":
        return annotation.slice.elements[0]
    return annotation.slice if left == "SerializeAsAny" else annotation


def _default(value: str | griffe.Expr | None) -> str | griffe.Expr | None:
    """The default of a field, which may be within `Field(default=...)` or made by `Field(default_factory=...)`."""
    if not (isinstance(value, griffe.ExprCall) and str(value.function).endswith("Field")):
        return value
    arguments = {one.name: one.value for one in value.arguments if isinstance(one, griffe.ExprKeyword)}
    factory = arguments.get("default_factory")
    if isinstance(factory, griffe.ExprLambda):
        return factory.body
    return arguments.get("default", None if factory is None else f"{factory}()")


def _public_bases(cls: griffe.Class) -> Iterator[str | griffe.Expr]:
    for base in cls.bases:
        private = cls.module.members.get(str(base)) if _PRIVATE.fullmatch(str(base)) else None
        if isinstance(private, griffe.Class):
            yield from _public_bases(private)
        else:
            yield base
