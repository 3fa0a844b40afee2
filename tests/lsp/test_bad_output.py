from __future__ import annotations

import pytest
from acting import after, fenced, finish, refusal, view_of
from bad_replies import BAD_REPLIES

from lsp.actions.interface import Edits, Refused
from lsp.edits import apply_edits
from lsp.extraction import Answer, Useless, extract_answer, is_looping

ADD = "def add(a, b):\n    return a + b\n"
VIEW = "def add(a, b):\n    c = a + b\n    return c‸\n"
FIXED = ADD


def refused_because(reply: str) -> str:
    refused = refusal(view_of(VIEW), "optimize", reply)
    assert refused.retry is not None
    return refused.reason


def test_an_empty_reply_is_refused() -> None:
    assert "is empty" in refused_because("")
    assert "is empty" in refused_because(" \n\n ")


def test_prose_is_refused_and_there_is_nothing_to_keep() -> None:
    refused = refusal(
        view_of(VIEW), "optimize", "I would rather not change this function, it is fine as it is."
    )
    assert "holds no code" in refused.reason
    assert refused.code == ""


def test_of_two_fences_the_code_is_taken_once() -> None:
    assert after(view_of(VIEW), "optimize", f"Slow:\n{fenced('x = 1')}\nBetter:\n{fenced(ADD)}") == FIXED


def test_an_unclosed_fence_is_closed_by_the_end() -> None:
    assert after(view_of(VIEW), "optimize", f"Here:\n```python\n{ADD}") == FIXED


def test_a_fence_within_a_docstring_ends_nothing() -> None:
    code = 'def add(a, b):\n    """Add.\n\n    ```\n    add(1, 2)\n    ```\n    """\n    return a + b\n'
    assert after(view_of(VIEW), "docstring", fenced(code)).count("```") == 2


def test_a_repeated_prompt_is_left_away() -> None:
    reply = f"### Task:\nOptimize this.\n\n### Input:\n{VIEW.replace('‸', '')}\n### Response:\n{ADD}"
    assert after(view_of(VIEW), "optimize", reply) == FIXED


def test_a_repeated_selection_is_refused() -> None:
    assert "is what stands there already" in refused_because(VIEW.replace("‸", ""))


def test_a_repeated_selection_before_the_answer_is_left_away() -> None:
    assert after(view_of(VIEW), "optimize", VIEW.replace("‸", "") + "\n" + ADD) == FIXED


def test_endless_repetition_is_refused() -> None:
    assert "repeats itself" in refused_because("def add(a, b):\n" + "    a = a + 1\n" * 200)
    assert "repeats itself" in refused_because("def add(a, b):\n    return [" + "0, " * 500)
    assert "repeats itself" in refused_because(ADD * 50)


def test_a_row_of_equal_lines_is_no_endless_repetition() -> None:
    code = "def add(a, b):\n    return [\n" + "        [0, 0, 0],\n" * 9 + "    ]\n"
    assert after(view_of(VIEW), "optimize", code) == code
    assert not is_looping("x = [" + "0, " * 50 + "0]\n")


def test_what_is_not_text_is_refused() -> None:
    assert "U+FFFD" in refused_because(ADD.replace("a + b", "a + '\ufffd'"))
    assert "U+D83D" in refused_because(ADD + "# \ud83d")
    assert "U+0000" in refused_because(ADD + "\0")


def test_code_that_is_indented_as_a_whole_is_taken() -> None:
    reply = "        def add(a, b):\n            return a + b\n"
    assert after(view_of(VIEW), "optimize", reply) == FIXED


def test_code_of_which_the_first_line_lacks_its_indentation_is_taken() -> None:
    view = view_of("def f(a):\n    «b = a\n    c = b»\n    return c\n")
    assert (
        after(view, "optimize", "b = a * 1\n    c = b + 0\n")
        == "def f(a):\n    b = a * 1\n    c = b + 0\n    return c\n"
    )


def test_wrong_indentation_is_refused_where_it_means_nothing() -> None:
    assert "is not valid Python" in refused_because("def add(a, b):\n    c = a\n      return c + b\n")


def test_the_function_must_still_be_there() -> None:
    for action in ("optimize", "docstring", "hints"):
        refused = refusal(view_of(VIEW), action, "result = 1\nprint(result)\n")
        assert "does not define the function `add`" in refused.reason
        refused = refusal(view_of(VIEW), action, ADD.replace("add", "plus"))
        assert "does not define the function `add`" in refused.reason


def test_a_syntax_error_is_refused_and_named_in_the_second_attempt() -> None:
    refused = refusal(view_of(VIEW), "optimize", "def add(a, b)\n    return a + b\n")
    assert "expected ':'" in refused.reason
    assert refused.code.startswith("def add(a, b)")
    assert refused.retry is not None
    assert "expected ':'" in refused.retry.request.turns[0].text
    again = refusal_of_retry(refused)
    assert again.retry is None


def refusal_of_retry(refused: Refused) -> Refused:
    from acting import build_actions

    from lsp.mirror import Mirror

    assert refused.retry is not None
    mirror = refused.retry.view.snapshot.mirror
    assert isinstance(mirror, Mirror)
    outcome = build_actions().finish(refused.retry, "def add(", mirror.since(refused.retry.view.snapshot))
    assert isinstance(outcome, Refused)
    return outcome


def test_tabs_and_spaces_are_untangled() -> None:
    reply = "def add(a, b):\n    if a:\n\treturn a + b\n    return b\n"
    assert after(view_of(VIEW), "optimize", reply) == (
        "def add(a, b):\n    if a:\n        return a + b\n    return b\n"
    )


@pytest.mark.parametrize("kind", BAD_REPLIES)
@pytest.mark.parametrize("action", ["optimize", "docstring", "hints", "fix"])
@pytest.mark.parametrize(
    "marked", [VIEW, f"class A:\n\tx = 1\n\n\t{VIEW.replace(chr(10) + '    ', chr(10) + chr(9) * 2)}"]
)
def test_no_bad_reply_breaks_a_file(kind: str, action: str, marked: str) -> None:
    view = view_of(marked, problems=["wrong"])
    outcome = finish(view, action, BAD_REPLIES[kind](ADD))
    if isinstance(outcome, Edits):
        compile(apply_edits(view.text, outcome.files[0].edits), "", "exec")
    else:
        assert isinstance(outcome, Refused)


def test_no_reply_at_all_makes_a_traceback() -> None:
    for reply in (
        "`",
        "```",
        "```python",
        "\x0c",
        "\u2028",
        "\\",
        '"""',
        "#",
        "\t",
        "def",
        "@",
        "if x:",
        "\r",
        "async",
    ):
        for action in ("optimize", "docstring", "hints", "fix", "tests", "explain"):
            finish(view_of(VIEW, problems=["wrong"]), action, reply)


def test_an_answer_is_code_without_indentation_and_with_plain_line_ends() -> None:
    answer = extract_answer("```\r\n    x = 1\r\n    y = 2\r\n```", "")
    assert isinstance(answer, Answer)
    assert answer.code == "x = 1\ny = 2\n"


def test_a_cut_off_reply_says_so() -> None:
    useless = extract_answer("```python\ndef f(a,\n", "")
    assert isinstance(useless, Useless)
    assert "was cut off" in useless.reason
