"""A function into the pairs that it teaches. Wording and layout of the questions are here alone.

`function` pairs, a docstring in and code out, are the cheap kind: docstrings describe and seldom ask, and
trained on alone they have made a model worse (Magicoder, table 6). The data card counts each kind.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from finetune.examples import Example, Kind, Place, Reason, Reject
from finetune.mining.functions import Function, UnusableFunctionError
from finetune.mining.modules import Module
from finetune.mining.naming import Surroundings, find_surroundings, shorten_class

LEAST_DOCSTRING_WORDS = 10
MAX_DOCSTRING_CHARS = 2000
_WORD = re.compile(r"[A-Za-z]+")


def build_pairs(
    module: Module, function: Function, tests: str, license_name: str
) -> Iterator[Example | Reject]:
    """Yield the examples that a function gives, and why it gives none of some kind.

    Args:
        module: Its file.
        function: What to learn from.
        tests: Its tests as one module, or empty where there are none.
        license_name: Of the code, where it is known.
    """
    place = Place(file=module.file, row=function.line)

    def example(kind: Kind, task: str, input_text: str, code: str) -> Example:
        return Example(
            task=task,
            input=input_text.strip("\n"),
            code=code.strip("\n"),
            place=place,
            kind=kind,
            families=(module.file, f"{module.file}::{function.qualified_name}"),
            license=license_name,
        )

    try:
        around = _find_around(module, function)
    except UnusableFunctionError as error:
        yield Reject(place=place, reason=error.reason, detail=f"{function.qualified_name}: {error.detail}")
        return
    noun = (
        f"method `{function.name}` of `{function.owner.name}`"
        if function.owner
        else f"function `{function.name}`"
    )
    if tests:
        yield example(Kind.TESTS, f"Write tests for the Python {noun}.", function.whole, tests)
    complaint = judge_docstring(function)
    if complaint:
        detail = f"{function.qualified_name}: {complaint}"
        yield Reject(place=place, reason=Reason.NO_DOCSTRING, detail=detail)
        return
    context = "\n\n".join(around.shown)
    imports = "\n".join(around.imports)
    yield example(
        Kind.FUNCTION,
        f"Write the Python {noun}.\n\n{function.docstring}",
        _join(context, function.signature),
        _join(imports, function.bare),
    )
    yield example(
        Kind.BODY,
        f"Complete the Python {noun}: write its body.",
        _join(imports, context, f"{function.signature}\n{function.quoted_docstring}"),
        function.body,
    )
    yield example(Kind.DOCSTRING, f"Add a docstring to the Python {noun}.", function.bare, function.whole)


def judge_docstring(function: Function) -> str:
    """Return why a docstring does not say what the function does, or the empty string."""
    docstring = function.docstring
    if not docstring:
        return "it has none"
    if len(docstring) > MAX_DOCSTRING_CHARS:
        return f"it has {len(docstring)} characters, more than {MAX_DOCSTRING_CHARS}"
    words = [word.lower() for word in _WORD.findall(docstring.partition(">>>")[0])]
    if len(words) < LEAST_DOCSTRING_WORDS:
        return f"it has {len(words)} words, fewer than {LEAST_DOCSTRING_WORDS}"
    new = set(words) - {part.lower() for part in _WORD.findall(function.qualified_name)}
    return "" if len(new) >= LEAST_DOCSTRING_WORDS // 2 else "it says little more than the name"


def _find_around(module: Module, function: Function) -> Surroundings:
    if function.owner is None:
        return find_surroundings(module, function.bare, own={function.name})
    around = find_surroundings(module, function.bare, own={function.name, function.owner.name})
    used = {
        node.attr
        for node in ast.walk(ast.parse(function.bare))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }
    head = shorten_class(module, function.owner, used - {function.name, "__init__"})
    return Surroundings(imports=around.imports, shown=(*around.shown, head))


def _join(*parts: str) -> str:
    return "\n\n\n".join(part for part in parts if part)
