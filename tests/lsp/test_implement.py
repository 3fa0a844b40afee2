from __future__ import annotations

import pytest
from acting import after, fenced, names_of, plan_of, refusal, view_of

IMPLEMENTED = "def add(a, b):\n    return a + b\n"


def test_a_placeholder_becomes_the_body() -> None:
    view = view_of('def add(a, b):‸\n    """Add."""\n    pass\n\n\nx = 1\n')
    assert after(view, "implement", fenced(IMPLEMENTED)) == (
        'def add(a, b):\n    """Add."""\n    return a + b\n\n\nx = 1\n'
    )


def test_a_docstring_alone_is_kept_and_the_body_comes_below_it() -> None:
    view = view_of('def add(a, b):\n    """Add‸ them."""\n\n\nx = 1\n')
    reply = fenced('def add(a, b):\n    """Another."""\n    return a + b')
    assert (
        after(view, "implement", reply)
        == 'def add(a, b):\n    """Add them."""\n    return a + b\n\n\nx = 1\n'
    )


def test_comments_stay_above_the_body_that_they_ask_for() -> None:
    view = view_of("def add(a, b):‸\n    # sum of both\n    # and no more\n\n\nx = 1\n")
    assert after(view, "implement", fenced(IMPLEMENTED)) == (
        "def add(a, b):\n    # sum of both\n    # and no more\n    return a + b\n\n\nx = 1\n"
    )


def test_a_placeholder_on_the_line_of_its_header_moves_below_it() -> None:
    view = view_of("def add(a, b): ...‸  # later\n")
    assert after(view, "implement", fenced(IMPLEMENTED)) == "def add(a, b):\n    return a + b  # later\n"


def test_a_docstring_on_the_line_of_its_header_moves_below_it() -> None:
    view = view_of('def add(a, b): "Add‸."\n')
    assert after(view, "implement", fenced(IMPLEMENTED)) == 'def add(a, b):\n    "Add."\n    return a + b\n'


def test_the_header_is_the_file_s_own() -> None:
    view = view_of("@cache\ndef add(a: int,\n        b: int = 1) -> int:\n    pass‸\n")
    assert after(view, "implement", fenced(IMPLEMENTED)) == (
        "@cache\ndef add(a: int,\n        b: int = 1) -> int:\n    return a + b\n"
    )


def test_a_method_is_found_in_an_answered_class() -> None:
    view = view_of("class A:\n  def f(self, x):\n    ...‸\n\n  def g(self): return 1\n")
    reply = fenced("class A:\n    def f(self, x):\n        if x:\n            return 1\n        return 2")
    assert after(view, "implement", reply) == (
        "class A:\n  def f(self, x):\n    if x:\n      return 1\n    return 2\n\n  def g(self): return 1\n"
    )


def test_a_method_is_found_without_its_class() -> None:
    view = view_of("class A:\n\tdef f(self, x):\n\t\tpass‸\n")
    assert (
        after(view, "implement", "def f(self, x):\n    return x\n")
        == "class A:\n\tdef f(self, x):\n\t\treturn x\n"
    )


def test_of_two_methods_of_one_name_the_class_decides() -> None:
    view = view_of("class B:\n    def f(self):\n        pass‸\n")
    reply = "class A:\n    def f(self):\n        return 1\n\nclass B:\n    def f(self):\n        return 2\n"
    assert "return 2" in after(view, "implement", reply)


def test_a_body_without_its_header_is_a_body() -> None:
    view = view_of("def add(a, b):\n    pass‸\n")
    assert after(view, "implement", "total = a + b\nreturn total\n") == (
        "def add(a, b):\n    total = a + b\n    return total\n"
    )


def test_line_ends_and_the_missing_last_one_are_the_file_s_own() -> None:
    view = view_of("x = 1\r\ndef add(a, b):\r\n    pass‸")
    reply = fenced("def add(a, b):\n    c = a\n    return c + b")
    assert after(view, "implement", reply) == "x = 1\r\ndef add(a, b):\r\n    c = a\r\n    return c + b"


def test_a_byte_order_mark_stays() -> None:
    view = view_of("\ufeffdef add(a, b):\n    pass‸\n")
    assert after(view, "implement", IMPLEMENTED) == "\ufeffdef add(a, b):\n    return a + b\n"


def test_imports_that_the_file_lacks_come_into_the_body() -> None:
    view = view_of("import os\n\ndef f(p):\n    pass‸\n")
    reply = fenced(
        "import os\nimport re\nfrom json import loads as l\n\ndef f(p):\n    return re.sub(os.sep, '', p)"
    )
    assert after(view, "implement", reply) == (
        "import os\n\ndef f(p):\n    import re\n    return re.sub(os.sep, '', p)\n"
    )


def test_helpers_come_before_a_function_of_the_top_level_with_their_imports() -> None:
    view = view_of("def f(p):\n    pass‸\n")
    reply = fenced(
        "import re\nWORD = re.compile('a')\n\n"
        "def g(p):\n    return WORD.sub('', p)\n\ndef f(p):\n    return g(p)"
    )
    assert after(view, "implement", reply) == (
        "import re\n\n\nWORD = re.compile('a')\n\n\ndef g(p):\n    return WORD.sub('', p)\n\n\n"
        "def f(p):\n    return g(p)\n"
    )


def test_helpers_come_into_the_body_of_a_method() -> None:
    view = view_of("class A:\n    def f(self, p):\n        pass‸\n")
    reply = fenced("def f(self, p):\n    return g(p)\n\ndef g(p):\n    return p")
    assert after(view, "implement", reply) == (
        "class A:\n    def f(self, p):\n        def g(p):\n            return p\n\n        return g(p)\n"
    )


def test_what_the_file_has_already_is_not_taken_again() -> None:
    view = view_of("def g(p):\n    return 1\n\n\ndef f(p):\n    pass‸\n")
    reply = fenced("def g(p):\n    return 2\n\ndef f(p):\n    return g(p)")
    assert after(view, "implement", reply) == "def g(p):\n    return 1\n\n\ndef f(p):\n    return g(p)\n"


def test_an_example_of_use_is_left_away() -> None:
    view = view_of("def add(a, b):\n    pass‸\n")
    assert after(view, "implement", fenced(IMPLEMENTED + "\nprint(add(1, 2))\n")) == IMPLEMENTED


def test_text_within_strings_keeps_its_place() -> None:
    view = view_of("class A:\n    def f(self):\n        pass‸\n")
    reply = fenced('def f(self):\n    return """\n  a\n"""')
    assert after(view, "implement", reply) == 'class A:\n    def f(self):\n        return """\n  a\n"""\n'


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("def plus(a, b):\n    return a + b\n", "does not define the function `add`"),
        ("def add(x, y):\n    return x + y\n", "parameters (x, y) instead of (a, b)"),
        ("async def add(a, b):\n    return a + b\n", "async"),
        ("def add(a, b):\n    pass\n", "without a body"),
        ('def add(a, b):\n    """Add."""\n', "without a body"),
        ("def add(a, b):\n    nonlocal c\n    c = a + b\n", "would break the file"),
    ],
)
def test_what_is_no_body_for_the_function_is_refused(reply: str, reason: str) -> None:
    refused = refusal(view_of("def add(a, b):\n    pass‸\n"), "implement", reply)
    assert reason in refused.reason
    assert refused.code == reply
    assert refused.retry is not None


def test_the_second_attempt_names_what_was_wrong_and_is_the_last() -> None:
    view = view_of("def add(a, b):\n    pass‸\n")
    refused = refusal(view, "implement", "def plus(a, b):\n    return a + b\n")
    assert refused.retry is not None
    assert refused.retry.attempt == 2
    task = refused.retry.request.turns[0].text
    assert task.startswith(plan_of(view, "implement").request.turns[0].text)
    assert "does not define the function `add`" in task


def test_a_stub_file_is_full_of_placeholders_that_are_meant() -> None:
    assert "implement" not in names_of(view_of("def f(): ...‸\n", path="/project/a.pyi"))


def test_a_function_in_a_file_that_does_not_parse_can_be_implemented() -> None:
    view = view_of("def broken(:\n    x = \n\n\ndef add(a, b):\n    pass‸\n")
    assert after(view, "implement", fenced(IMPLEMENTED)).endswith("def add(a, b):\n    return a + b\n")


def test_the_model_sees_the_class_and_what_the_method_calls() -> None:
    view = view_of(
        "import os\nfrom re import sub\n\n\ndef helper(x: int) -> int:\n    return x\n\n\n"
        "class A(B):\n    def __init__(self, n):\n        self.n = n\n\n"
        "    def other(self) -> str:\n        return ''\n\n"
        "    def f(self):\n        '''Call self.other and helper, then sub.'''\n        pass‸\n"
    )
    plan = plan_of(view, "implement")
    assert plan.request.turns[0].text == (
        "Implement the method `f` of the class `A`. Write the whole method and nothing else."
    )
    assert plan.request.turns[0].input == (
        "from re import sub\nimport os\n\ndef helper(x: int) -> int: ...\n\n"
        "class A(B):\n    def __init__(self, n): ...\n    def other(self) -> str: ...\n\n"
        "    def f(self):\n        '''Call self.other and helper, then sub.'''\n        pass"
    )
