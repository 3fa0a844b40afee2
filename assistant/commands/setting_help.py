"""What each setting means: the text under its field in `assistant.config`, read from the source.

Python forgets a string that stands under a field, and a second copy would grow apart from it.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Mapping
from dataclasses import fields

from assistant import config
from assistant.config import Config


def read_setting_help() -> Mapping[str, str]:
    """Return the help of each `section.key`."""
    tree = ast.parse(inspect.getsource(config))
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    settings = Config()
    return {
        f"{section.name}.{key}": text
        for section in fields(settings)
        for key, text in _field_texts(classes[type(getattr(settings, section.name)).__name__]).items()
    }


def read_section_help() -> Mapping[str, str]:
    """Return the help of each section: the first line of its class's docstring."""
    settings = Config()
    return {
        section.name: str(getattr(settings, section.name).__doc__).partition("\n")[0]
        for section in fields(settings)
    }


def _field_texts(section: ast.ClassDef) -> dict[str, str]:
    texts: dict[str, str] = {}
    for statement, follower in zip(section.body, section.body[1:], strict=False):
        match statement, follower:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                texts[name] = inspect.cleandoc(text)
            case _:
                pass
    return texts
