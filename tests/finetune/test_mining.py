"""What a folder of code gives, and what it does not."""

from __future__ import annotations

import ast
import os
import textwrap
from collections import Counter
from pathlib import Path

import pytest

from assistant.errors import UsageError
from finetune.cleaning.python_code import find_syntax_error
from finetune.examples import Example, Kind, Reason, Reject
from finetune.mining import mine_examples
from finetune.sources import CodeSource, parse_source

SHOP = '''\
"""Prices."""

import math
from decimal import Decimal

from .rates import find_rate

LIMIT = 100


def helper(value):
    """Round a value."""
    return math.floor(value)


def total_price(items, country, *, discount=0.0):
    """Return the price of all items together with the tax of the country they are sold in.

    A discount is taken off before the tax.
    """
    # first the net price
    net = sum(Decimal(item.price) for item in items)
    if discount:
        net -= helper(min(net * discount, LIMIT))
    return net * (1 + find_rate(country))


class Basket:
    """What somebody wants to buy."""

    def __init__(self, owner):
        self.owner = owner
        self.items = []

    def count(self):
        """Say how many there are."""
        return len(self.items)

    def add_all(self, items, limit=LIMIT):
        """Put items into the basket until there are as many in it as the limit allows, then stop."""
        for item in items:
            if self.count() >= limit:
                break
            self.items.append(item)
        return self
'''


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder `shop` with one module in it, which is where we are."""
    monkeypatch.chdir(tmp_path)
    write("shop/prices.py", SHOP)
    return tmp_path / "shop"


def write(name: str, text: str) -> Path:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    return path


def mine(name: str = "shop") -> list[Example | Reject]:
    source = parse_source(name)
    assert isinstance(source, CodeSource)
    return list(mine_examples(source))


def examples(name: str = "shop") -> list[Example]:
    return [one for one in mine(name) if isinstance(one, Example)]


def rejects(name: str = "shop") -> dict[str, Reason]:
    return {str(one.place): one.reason for one in mine(name) if isinstance(one, Reject)}


def the(kind: Kind, function: str) -> Example:
    found = [one for one in examples() if one.kind is kind and one.families[1].endswith(f"::{function}")]
    assert len(found) == 1
    return found[0]


# ---- pairs


def test_a_function_gives_its_kinds_with_file_and_line(folder: Path) -> None:
    assert folder.is_dir()
    found = examples()
    assert Counter(one.kind for one in found) == {Kind.FUNCTION: 2, Kind.BODY: 2, Kind.DOCSTRING: 2}
    assert {str(one.place) for one in found} == {"shop/prices.py:16", "shop/prices.py:39"}
    assert {one.families[0] for one in found} == {"shop/prices.py"}


def test_every_answer_is_python(folder: Path) -> None:
    assert folder.is_dir()
    for one in examples():
        assert find_syntax_error(one.code, input_text=one.input, kind=one.kind) == ""


@pytest.mark.usefixtures("folder")
def test_a_docstring_becomes_the_task_and_leaves_the_answer() -> None:
    one = the(Kind.FUNCTION, "total_price")
    assert one.task.startswith("Write the Python function `total_price`.\n\nReturn the price of all items")
    assert "A discount is taken off" in one.task
    assert "Return the price" not in one.code
    assert "    # first the net price\n    net = sum(" in one.code
    assert one.input.endswith("def total_price(items, country, *, discount=0.0):")


@pytest.mark.usefixtures("folder")
def test_what_a_function_uses_is_imported_or_shown() -> None:
    one = the(Kind.FUNCTION, "total_price")
    assert one.code.startswith("from decimal import Decimal\n\n\ndef total_price(")
    assert "LIMIT = 100" in one.input
    assert "from .rates import find_rate" in one.input
    assert 'def helper(value):\n    """Round a value."""\n    ...' in one.input
    assert "math" not in one.code


@pytest.mark.usefixtures("folder")
def test_a_body_is_indented_as_it_follows_its_signature() -> None:
    one = the(Kind.BODY, "total_price")
    assert one.input.endswith('A discount is taken off before the tax.\n    """')
    assert one.code.startswith("    # first the net price\n    net = ")
    tree = ast.parse(f"{one.input}\n{one.code}")
    assert isinstance(tree.body[-1], ast.FunctionDef)


@pytest.mark.usefixtures("folder")
def test_a_function_without_its_docstring_asks_for_the_one_with_it() -> None:
    one = the(Kind.DOCSTRING, "total_price")
    assert one.task == "Add a docstring to the Python function `total_price`."
    assert '"""' not in one.input
    with_docstring = ast.parse(one.code).body[0]
    assert isinstance(with_docstring, ast.FunctionDef)
    assert ast.get_docstring(with_docstring) is not None


@pytest.mark.usefixtures("folder")
def test_a_method_is_shown_its_class_and_moved_to_the_margin() -> None:
    one = the(Kind.FUNCTION, "Basket.add_all")
    assert "the Python method `add_all` of `Basket`" in one.task
    assert "class Basket:\n" in one.input
    assert "        self.items = []" in one.input
    assert "    def count(self):" in one.input
    assert one.code.startswith("def add_all(self, items, limit=LIMIT):\n    for item in items:\n")


def test_tests_go_with_the_function_they_are_named_after(folder: Path) -> None:
    tests = """\
        import pytest
        from shop.prices import total_price


        def test_total_price_of_nothing_is_nothing():
            assert total_price([], "de") == 0


        def test_total_price_refuses_a_country_without_a_rate():
            with pytest.raises(KeyError):
                total_price([], "atlantis")


        def test_something_else():
            assert total_price


        def test_total_price_with_a_fixture(shop):
            assert total_price(shop)
        """
    write("shop/tests/test_prices.py", tests)
    one = the(Kind.TESTS, "total_price")
    assert folder.is_dir()
    assert one.task == "Write tests for the Python function `total_price`."
    assert one.input.startswith("def total_price(")
    assert one.code.startswith(
        "from shop.prices import total_price\nimport pytest\n\n\ndef test_total_price_of"
    )
    assert one.code.count("def test_") == 2
    assert str(one.place) == "shop/prices.py:16"


@pytest.mark.usefixtures("folder")
def test_methods_of_a_test_class_keep_their_class_and_its_set_up() -> None:
    tests = """\
        from unittest import TestCase
        from shop import prices


        class TotalPriceTests(TestCase):
            def setUp(self):
                self.country = "de"

            def test_nothing(self):
                self.assertEqual(prices.total_price([], self.country), 0)
        """
    write("shop/test_prices.py", tests)
    code = the(Kind.TESTS, "total_price").code
    assert "class TotalPriceTests(TestCase):\n    def setUp(self):" in code
    assert find_syntax_error(code) == ""


@pytest.mark.usefixtures("folder")
def test_a_test_that_needs_a_helper_of_its_file_is_left_out() -> None:
    write(
        "shop/test_prices.py",
        """\
        from shop.prices import total_price

        def make(): return []

        def test_total_price(): assert total_price(make(), "de") == 0
        """,
    )
    assert not [one for one in examples() if one.kind is Kind.TESTS]


@pytest.mark.usefixtures("folder")
def test_test_files_give_no_other_pairs() -> None:
    write("shop/tests/helpers.py", SHOP)
    assert {one.families[0] for one in examples()} == {"shop/prices.py"}


def test_nothing_is_imported_or_run(folder: Path) -> None:
    (folder / "boom.py").write_text(f"open('ran', 'w').close()\nraise SystemExit\n{SHOP}", encoding="utf-8")
    assert len(examples()) == 12
    assert not Path("ran").exists()


def test_one_file_can_be_named(folder: Path) -> None:
    assert folder.is_dir()
    assert {str(one.place) for one in examples("shop/prices.py")} == {
        "shop/prices.py:16",
        "shop/prices.py:39",
    }


# ---- functions that are left out

DOC = '"""Return what is wanted of the values that are given here, one after the other."""'


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f"def f(x):\n    {DOC}\n    return x\n", Reason.TOO_SMALL),
        (f"def f(x):\n    {DOC}\n    y = x\n    # TODO: more\n    z = y\n    return z\n", Reason.UNFINISHED),
        (f"def f(x):\n    {DOC}\n    a = 1\n    b = 2\n    raise NotImplementedError\n", Reason.UNFINISHED),
        ("def f(x):\n    a = x\n    b = a\n    return b\n", Reason.NO_DOCSTRING),
        ("def f(x):\n    '''Short one.'''\n    a = x\n    b = a\n    return b\n", Reason.NO_DOCSTRING),
        (
            "def find_big_red_box(x):\n    '''Find big red box find big red box find big red box.'''\n"
            "    a = x\n    b = a\n    return b\n",
            Reason.NO_DOCSTRING,
        ),
        (f"def f(x):\n    {DOC}\n    a = unknown(x)\n    b = a\n    return b\n", Reason.UNKNOWN_NAMES),
        (
            f"from m import *\ndef f(x):\n    {DOC}\n    a = g(x)\n    b = a\n    return b\n",
            Reason.UNKNOWN_NAMES,
        ),
        (f"def f(x):\n    {DOC}\n" + "    x += 1\n" * 160 + "    return x\n", Reason.TOO_LARGE),
        (
            f"class A:\n    def f(self):\n        {DOC}\n        a = '''\n        b\n'''\n        c = a\n"
            "        return c\n",
            Reason.UNPARSABLE,
        ),
    ],
)
def test_a_function_that_teaches_little_is_left_out(text: str, reason: Reason, folder: Path) -> None:
    (folder / "prices.py").write_text(text, encoding="utf-8")
    assert examples() == []
    assert list(rejects().values()) == [reason]


@pytest.mark.usefixtures("folder")
def test_special_methods_overloads_and_setters_are_no_functions_of_their_own() -> None:
    body = f"{DOC}\n        a = 1\n        b = 2\n        return a + b"
    text = (
        f"import typing\nclass A:\n    def __len__(self):\n        {body}\n"
        f"    @typing.overload\n    def f(self):\n        {body}\n"
        f"    @f.setter\n    def f(self, x):\n        {body}\n"
    )
    Path("shop/prices.py").write_text(text, encoding="utf-8")
    assert mine() == []


@pytest.mark.usefixtures("folder")
def test_decorators_come_along() -> None:
    text = f"import functools\n@functools.cache\ndef f(x):\n    {DOC}\n    a = x\n    b = a\n    return b\n"
    Path("shop/prices.py").write_text(text, encoding="utf-8")
    assert the(Kind.FUNCTION, "f").code.startswith("import functools\n\n\n@functools.cache\ndef f(x):\n")


# ---- files


@pytest.mark.parametrize(
    "name",
    [
        "node_modules/a.py",
        ".venv/lib/a.py",
        "venv/a.py",
        "_vendor/a.py",
        "third_party/a.py",
        "build/a.py",
        ".git/hooks/a.py",
        "x.egg-info/a.py",
        "__pycache__/a.py",
        "notes.txt",
    ],
)
def test_what_nobody_wrote_here_is_not_walked(name: str, folder: Path) -> None:
    write(f"shop/{name}", SHOP)
    assert folder.is_dir()
    assert {one.families[0] for one in examples()} == {"shop/prices.py"}


def test_an_environment_of_any_name_is_not_walked(folder: Path) -> None:
    write("shop/my_env/pyvenv.cfg", "")
    write("shop/my_env/lib/a.py", SHOP)
    assert folder.is_dir()
    assert {one.families[0] for one in examples()} == {"shop/prices.py"}


def test_a_package_inside_an_environment_can_be_named(folder: Path) -> None:
    write(".venv/lib/site-packages/pkg/a.py", SHOP)
    assert folder.is_dir()
    assert len(examples(".venv/lib/site-packages/pkg")) == 6


@pytest.mark.usefixtures("folder")
def test_gitignore_is_heeded_at_every_level() -> None:
    write("shop/.gitignore", "gen*/\n*.tmp.py\n!keep.tmp.py\n")
    write("shop/sub/.gitignore", "private.py\n")
    for name in (
        "generated/a.py",
        "a.tmp.py",
        "keep.tmp.py",
        "sub/private.py",
        "sub/public.py",
        "private.py",
    ):
        write(f"shop/{name}", SHOP)
    files = {one.families[0].removeprefix("shop/") for one in examples()}
    assert files == {"prices.py", "keep.tmp.py", "sub/public.py", "private.py"}


@pytest.mark.usefixtures("folder")
def test_the_repositorys_gitignore_counts_below_it() -> None:
    Path(".git").mkdir()
    write(".gitignore", "secret_*.py\n")
    write("shop/secret_a.py", SHOP)
    assert {one.families[0] for one in examples()} == {"shop/prices.py"}


@pytest.mark.usefixtures("folder")
def test_a_folder_that_git_ignores_can_be_named() -> None:
    Path(".git").mkdir()
    write(".gitignore", "/shop/\n")
    assert len(examples()) == 6


@pytest.mark.usefixtures("folder")
def test_links_are_not_followed(tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (outside / "a.py").write_text(SHOP, encoding="utf-8")
    Path("shop/link.py").symlink_to(outside / "a.py")
    Path("shop/linked").symlink_to(outside, target_is_directory=True)
    Path("shop/loop").symlink_to(Path("shop").absolute(), target_is_directory=True)
    assert {one.families[0] for one in examples()} == {"shop/prices.py"}
    assert set(rejects().values()) >= {Reason.LINK}
    assert list(rejects().values()).count(Reason.LINK) == 3


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("a.py", f"# Generated by a tool. DO NOT EDIT.\n{SHOP}", Reason.GENERATED),
        ("a_pb2.py", SHOP, Reason.GENERATED),
        ("a.py", "# " + "x" * 1_100_000 + f"\n{SHOP}", Reason.TOO_LARGE),
        ("a.py", f"x = '{'y' * 3000}'\n{SHOP}", Reason.TOO_LARGE),
        ("a.py", "print 'two'\n", Reason.UNPARSABLE),
        ("a.py", "x = '\0'\n", Reason.UNPARSABLE),
        ("a.py", "(" * 900 + ")" * 900, Reason.UNPARSABLE),
    ],
    ids=["head", "name", "bytes", "line", "python-2", "null", "nested"],
)
def test_a_file_that_teaches_nothing_is_named(name: str, text: str, reason: Reason, folder: Path) -> None:
    (folder / name).write_text(text, encoding="utf-8")
    found = {place.split(":")[0]: why for place, why in rejects().items()}
    assert found[f"shop/{name}"] is reason
    assert len(examples()) == 6


def test_a_syntax_error_is_named_with_its_line(folder: Path) -> None:
    (folder / "a.py").write_text("x = 1\ny = = 2\n", encoding="utf-8")
    assert rejects()["shop/a.py:2"] is Reason.UNPARSABLE


def test_a_file_in_an_encoding_that_it_names_is_read(folder: Path) -> None:
    (folder / "prices.py").write_bytes(b"# coding: latin-1\n# \xe9\n" + SHOP.encode())
    assert len(examples()) == 6


def test_a_file_in_an_encoding_that_it_does_not_name_is_unreadable(folder: Path) -> None:
    (folder / "a.py").write_bytes(b"# \xe9\n")
    assert rejects()["shop/a.py"] is Reason.UNREADABLE


@pytest.mark.parametrize("line_end", ["\r\n", "\r"])
def test_line_ends_do_not_matter(line_end: str, folder: Path) -> None:
    before = examples()
    (folder / "prices.py").write_bytes(SHOP.replace("\n", line_end).encode())
    assert examples() == before


def test_a_pipe_is_no_file(folder: Path) -> None:
    os.mkfifo(folder / "pipe.py")
    assert len(examples()) == 6


def test_a_folder_without_code_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write("docs/a.md", "x")
    with pytest.raises(UsageError, match="holds no Python file"):
        mine("docs")


# ---- licences


@pytest.mark.usefixtures("folder")
def test_the_licence_of_the_folder_is_known() -> None:
    write(
        "shop/LICENSE",
        "MIT License\n\nPermission is hereby granted, free of charge, to any\nperson obtaining a copy",
    )
    assert {one.license for one in examples()} == {"MIT"}


@pytest.mark.usefixtures("folder")
def test_the_head_of_a_file_says_another_licence() -> None:
    write("shop/LICENSE", "Apache License\nVersion 2.0")
    write("shop/prices.py", f"# SPDX-License-Identifier: GPL-3.0-only\n{SHOP}")
    assert {one.license for one in examples()} == {"GPL-3.0-only"}


@pytest.mark.usefixtures("folder")
def test_an_installed_package_has_the_licence_of_its_metadata() -> None:
    write("shop-1.0.dist-info/METADATA", "Name: shop\nLicense-Expression: BSD-3-Clause\n")
    assert {one.license for one in examples()} == {"BSD-3-Clause"}
