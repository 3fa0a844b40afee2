from __future__ import annotations

import ast
import threading
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from assistant import replies
from assistant.errors import AssistantError
from assistant.prompts import render_prompt
from assistant.replies import CodeStream, ReplyError, extract_code, extract_parts
from assistant.requests import Role, Turn

ADD = "def add(a, b):\n    return a + b\n"
MODULE = '''"""Reads things.

Use it so:

```python
read("x")
```

~~~
and so
~~~
"""

import os


def read(name: str) -> str:
    """Read it.

    ```
    >>> read("x")
    ```
    """
    return os.fspath(name) + "```"
'''


def text_of(reply: str) -> str:
    return extract_code(reply).text


# ---- one reply, one piece of code


def test_reply_that_is_code_is_taken_whole() -> None:
    code = extract_code(ADD)
    assert (code.text, code.tag, code.is_complete, code.parses, code.syntax_error) == (
        ADD,
        "",
        True,
        True,
        "",
    )


@pytest.mark.parametrize(
    ("opening", "closing", "tag"),
    [
        ("```python", "```", "python"),
        ("```py3", "```", "py3"),
        ("```Python", "```", "python"),
        ("```", "```", ""),
        ("```c++", "```", "c++"),
        ("``` {.python .numberLines}", "```", "python"),
        ('```python title="add.py"', "```", "python"),
        ("````", "````", ""),
        ("`````py", "``````", "py"),
        ("~~~", "~~~", ""),
        ("~~~python", "~~~~", "python"),
        ("   ```python", "   ```", "python"),
        ("```python   ", "```  ", "python"),
    ],
)
def test_code_comes_out_of_any_fence(opening: str, closing: str, tag: str) -> None:
    code = extract_code(f"Here it is:\n\n{opening}\n{ADD}{closing}\n\nIt adds two numbers.")
    assert (code.text, code.tag, code.is_complete, code.parses) == (ADD, tag, True, True)


def test_fence_within_a_list_takes_its_indentation_along() -> None:
    reply = "1. Write this:\n\n    ```python\n    def add(a, b):\n        return a + b\n    ```\n2. Run it."
    assert text_of(reply) == ADD


def test_indented_fence_around_code_that_is_not_indented_leaves_the_code_alone() -> None:
    assert text_of(f"  ```python\n{ADD}  ```") == ADD


def test_fence_on_one_line_holds_code() -> None:
    assert text_of("```print(1)```") == "print(1)\n"
    assert text_of("Use this:\n```python print(1)```\n") == "print(1)\n"


def test_fence_that_is_not_closed_reaches_to_the_end_and_is_incomplete() -> None:
    code = extract_code("Sure:\n```python\ndef add(a, b):\n    return (a +")
    assert code.text == "def add(a, b):\n    return (a +\n"
    assert not code.is_complete
    assert not code.parses
    assert code.syntax_error.startswith("line 2: ")


def test_unfenced_code_that_breaks_off_is_incomplete() -> None:
    assert not extract_code("def add(a, b):\n    return (a +").is_complete
    assert extract_code("def add(a b):\n    return a\n\nadd(1)\n").is_complete


def test_shorter_fence_does_not_close_a_longer_one() -> None:
    assert text_of("````\nx = '''\n```\n'''\n````") == "x = '''\n```\n'''\n"


def test_fence_of_other_characters_does_not_close() -> None:
    assert text_of("~~~\nx = '''\n```\n'''\n~~~") == "x = '''\n```\n'''\n"


@pytest.mark.parametrize("fence", ["```", "```python", "~~~"])
def test_fence_in_a_docstring_does_not_end_the_block(fence: str) -> None:
    reply = f"So:\n{fence}\n{MODULE}{fence[:3]}\nThat is all."
    assert text_of(reply) == MODULE


def test_code_without_a_fence_keeps_the_fences_in_its_docstrings() -> None:
    assert text_of(MODULE) == MODULE


def test_unclosed_quote_in_broken_code_does_not_swallow_the_fence() -> None:
    code = extract_code("```python\nx = '''abc\n```\nThis sets x to abc.")
    assert code.text == "x = '''abc\n"
    assert code.is_complete


def test_closing_fence_may_stand_too_far_right_where_the_code_says_so() -> None:
    assert text_of(f"```python\n{ADD}        ```\nThat is it.") == ADD


def test_reply_that_begins_within_a_block_ends_at_its_fence() -> None:
    assert text_of(f"{ADD}```\nHope this helps!") == ADD


# ---- several blocks


def test_python_blocks_are_preferred() -> None:
    reply = f"```bash\npip install x\n```\n```python\n{ADD}```\n```\n3\n```"
    assert text_of(reply) == ADD


def test_untagged_blocks_are_preferred_to_other_languages() -> None:
    assert text_of(f"```bash\npip install x\n```\n```\n{ADD}```") == ADD


def test_successive_parts_of_a_program_are_joined() -> None:
    reply = "First:\n```python\nimport math\n```\nthen\n```python\nprint(math.pi)\n```"
    assert text_of(reply) == "import math\n\nprint(math.pi)\n"


def test_of_two_versions_the_longer_one_is_taken() -> None:
    longer = "def add(a, b):\n    total = a + b\n    return total\n"
    assert text_of(f"```python\n{ADD}```\nor\n```python\n{longer}```") == longer


def test_part_that_may_only_come_first_is_no_successor() -> None:
    later = "from __future__ import annotations\n\nx: int = 1\n"
    assert text_of(f"```python\nx = 1\n```\n```python\n{later}```") == later


def test_of_several_blocks_those_that_do_not_parse_are_left_away() -> None:
    reply = (
        f"```python\n{ADD}```\n```python\ndef broken(:\n    this is quite a lot longer than the other\n```"
    )
    assert text_of(reply) == ADD


def test_last_block_that_is_cut_off_makes_the_answer_incomplete() -> None:
    code = extract_code(f"```python\n{ADD}```\nand\n```python\nadd(1,")
    assert code.text == ADD
    assert not code.is_complete


def test_output_shown_in_a_block_is_no_code() -> None:
    assert text_of(f"```\n{ADD}print(add(1, 2))\n```\nprints\n```\n3\n```") == f"{ADD}print(add(1, 2))\n"


# ---- no fence


def test_prose_around_code_is_left_away() -> None:
    reply = (
        f"Here is the function you asked for:\n\n{ADD}\nThis function adds two numbers and returns the sum."
    )
    assert text_of(reply) == ADD


def test_longest_stretch_of_code_between_prose_is_taken() -> None:
    reply = f"First import it:\n\nimport os\n\nThen write the function:\n\n{ADD}\nThat should be all."
    assert text_of(reply) == ADD


def test_single_line_of_code_amid_prose_is_found() -> None:
    reply = "You can use the sum function:\n\nprint(sum([1, 2]))\n\nThis prints the sum of them."
    assert text_of(reply) == "print(sum([1, 2]))\n"


def test_code_with_an_error_is_not_torn_apart() -> None:
    broken = "def f():\n    retrun x y\n\ndef g():\n    return 1\n"
    code = extract_code(broken)
    assert code.text == broken
    assert code.syntax_error == "line 2: invalid syntax"


@pytest.mark.parametrize(
    "program",
    [
        "int main() {\n  int x = 1;\n  return x;\n}\n",
        'x=1\nfor i in 1 2; do\n  echo $i\ndone\necho "There were $x rounds in all"\n',
        "Dim first As Range\nDim second As Range\nfirst.Value = second.Value\nEnd Sub\n",
        "SELECT name\nFROM users\nWHERE id = 1\n",
    ],
)
def test_other_language_without_a_fence_is_taken_whole(program: str) -> None:
    code = extract_code(program)
    assert code.text == program
    assert not code.parses


def test_code_of_another_language_amid_prose_is_found_too() -> None:
    code = "const http = require('http');\nhttp.createServer().listen(1, () => {\n});\n"
    assert text_of(f"Creating a server is simple. Write this and run it:\n\n{code}") == code


def test_indented_words_within_code_are_no_prose() -> None:
    code = "def f(x):\n return [y\n  for y in x]\n"
    assert (
        text_of(f"Here is the function you asked for:\n{code}\nIt copies the list that it is given.") == code
    )


def test_output_shown_after_the_code_is_left_away() -> None:
    assert text_of(f"{ADD}print(add(1, 2))\n\nOutput:\n3 is what it prints.\n") == f"{ADD}print(add(1, 2))\n"


@pytest.mark.parametrize(
    "reply",
    [
        "I'm sorry, but I cannot help with that request.",
        "Sure!",
        "To do that:\n\n1. Install the package.\n2. Run it twice.\n",
        "```python\n```",
        "```\n\n```\n",
    ],
)
def test_reply_without_code_gives_an_empty_text(reply: str) -> None:
    code = extract_code(reply)
    assert code.text == ""
    assert not code.parses
    assert code.syntax_error == "the reply holds no code"


@pytest.mark.parametrize("reply", ["", " ", "\n\n", "\t\r\n"])
def test_empty_reply_is_an_error(reply: str) -> None:
    with pytest.raises(ReplyError):
        extract_code(reply)
    assert issubclass(ReplyError, AssistantError)


# ---- bent on the way


def test_code_indented_as_a_whole_is_moved_left() -> None:
    assert text_of("    def add(a, b):\n        return a + b\n") == ADD


def test_space_before_the_first_word_is_taken_off() -> None:
    assert text_of(f" {ADD}") == ADD


def test_blank_lines_with_spaces_in_a_string_stay_as_they_are() -> None:
    assert text_of("  x = '''a\n  \n     b'''") == "x = '''a\n\n   b'''\n"
    assert text_of("x = '''a\n  \n     b'''") == "x = '''a\n  \n     b'''\n"


def test_interpreter_session_becomes_what_was_typed() -> None:
    session = ">>> def add(a, b):\n...     return a + b\n...\n>>> add(1, 2)\n3\n"
    assert text_of(session) == f"{ADD}\nadd(1, 2)\n"
    assert text_of(f"```pycon\n{session}```") == f"{ADD}\nadd(1, 2)\n"


def test_line_ends_become_line_feeds() -> None:
    assert text_of("```python\r\ndef add(a, b):\r\n    return a + b\r\n```\r\n") == ADD


def test_byte_order_mark_and_characters_of_no_width_are_taken_off() -> None:
    assert text_of(f"\ufeff{ADD}") == ADD
    assert text_of(f"\u200b```python\n\u2060{ADD}\u200b```") == ADD
    assert text_of("x = '\u200b'") == "x = '\u200b'\n"


@pytest.mark.parametrize("tail", ["", "\n", "\n\n  \n"])
def test_text_ends_with_one_line_end(tail: str) -> None:
    assert text_of(f"x = 1{tail}") == "x = 1\n"
    assert text_of(f"```\nx = 1{tail}\n```") == "x = 1\n"


@pytest.mark.parametrize(
    "bad", ["(" * 9000, "x = " + "-" * 100_000 + "1", "a\0b = 1", "x = '\ud800'", "1+" * 60_000 + "1"]
)
def test_text_that_python_cannot_even_parse_is_told_so(bad: str) -> None:
    code = extract_code(f"```python\n{bad}\n```")
    assert not code.parses
    assert code.syntax_error


def test_doubtful_escape_is_no_warning() -> None:
    assert extract_code("x = '\\d'\ny = 1 is 1\n").parses


# ---- echoes of the prompt

PROMPT = render_prompt("python-task", [Turn(role=Role.USER, text="Add two numbers", input="x = 1\n")])
SPANISH = render_prompt("python-task-es", [Turn(role=Role.USER, text="Suma dos números")])


@pytest.mark.parametrize(
    "reply",
    [
        PROMPT + ADD,
        SPANISH + ADD,
        f"### Response:\n{ADD}",
        f"\n### Response:\n\n### Response:\n{ADD}",
        f"Sure, see below.\n### Response:\n{ADD}",
        f"### Response:\n```python\n{ADD}```\n",
        f"{PROMPT}{ADD}\n\n{PROMPT}print(2)",
        PROMPT[PROMPT.index("can solve") :] + ADD,
        f"{ADD}\n### Task:\nMultiply two numbers\n\n### Response:\nprint(2)",
        f"{ADD}\n### Instruction:\nUse the Task below",
        f"```python\n{ADD}```\n### Task:\nMultiply\n```python\nprint(2)\n```",
        f"```python\n{ADD}\n### Task:\nMultiply",
        f"{ADD}\n### Tarea:\nMultiplica",
    ],
)
def test_prompt_before_the_answer_and_a_new_task_after_it_are_cut_off(reply: str) -> None:
    assert text_of(reply) == ADD


def test_prompt_that_is_given_is_cut_off_where_it_is_repeated() -> None:
    prompt = "Complete:\nimport math\n"
    assert extract_code(f"\n{prompt}{ADD}", prompt).text == ADD
    assert extract_code(ADD, prompt).text == ADD


def test_headings_within_a_string_belong_to_the_code() -> None:
    code = f"PROMPT = '''\n{PROMPT}'''\n"
    assert text_of(code) == code
    assert text_of(f"Here:\n```python\n{code}```") == code


# ---- for all replies

SOURCES = sorted(Path(replies.__file__).parent.parent.rglob("*.py"))
PROGRAMS = [MODULE, ADD, *(path.read_text(encoding="utf-8") for path in SOURCES)]
few = settings(max_examples=60, deadline=None)

pieces = st.sampled_from(
    [
        "```",
        "```python",
        "~~~",
        "    ```",
        "````",
        "",
        "\n",
        "\n\n",
        " ",
        "    ",
        "\t",
        "'''",
        '"""',
        "#",
        ">>> x = 1",
        "x = 1",
        "def f():",
        "    return 1",
        "class A:",
        "(",
        ")",
        "### Task:",
        "### Response:",
        "Here is the code:",
        "This adds.",
        "\u200b",
        "\ufeff",
        "\r\n",
        "\r",
        "\0",
        "\ud800",
        "\x0c",
        "\\",
        "é",
        "import os",
        "```x = 1```",
        "return",
        "Sure!",
    ]
)
replies_in_pieces = st.lists(
    st.one_of(pieces, pieces.map(lambda piece: piece + "\n"), st.text(max_size=8))
).map("".join)


@settings(deadline=None, max_examples=400)
@given(replies_in_pieces)
def test_no_reply_raises_anything_else_and_code_of_code_is_the_same(reply: str) -> None:
    try:
        code = extract_code(reply)
    except ReplyError:
        assert not reply.strip()
        return
    assert code.text == "" or (code.text.endswith("\n") and code.text.strip())
    assert code.parses == (code.text != "" and _parses(code.text))
    assert bool(code.syntax_error) == (not code.parses)
    if code.text:
        assert extract_code(code.text).text == code.text


def _parses(text: str) -> bool:
    try:
        ast.parse(text)
    except (SyntaxError, ValueError):
        return False
    return True


@settings(deadline=None, max_examples=200)
@given(replies_in_pieces)
def test_parts_of_a_reply_never_raise_and_hold_something(reply: str) -> None:
    for part in extract_parts(reply):
        assert part.text.strip()
        assert not part.text.endswith("\n")


prose = st.sampled_from(
    ["", "Sure!", "Here is the code:", "You asked for a function. It follows.\n", "¡Claro! Aquí está:"]
)
endings = st.sampled_from(["", "\n", "\nThis is how it works: it adds.", "\n\nHope this helps!\n"])
fences = st.sampled_from(["```", "```python", "```py", "~~~", "~~~python", "````", "~~~~~c++"])


@few
@given(st.sampled_from(PROGRAMS), prose, fences, endings)
def test_valid_program_comes_back_exactly(program: str, before: str, fence: str, after: str) -> None:
    closing = fence.rstrip("abcdefghijklmnopqrstuvwxyz+")
    code = extract_code(f"{before}\n{fence}\n{program}{closing}{after}")
    assert code.text == program
    assert code.is_complete


@few
@given(st.sampled_from(PROGRAMS))
def test_valid_program_without_a_fence_comes_back_exactly(program: str) -> None:
    assert extract_code(program).text == program


@few
@given(st.sampled_from(PROGRAMS), prose, fences, st.data())
def test_program_that_is_cut_off_comes_back_as_its_beginning(
    program: str, before: str, fence: str, data: st.DataObject
) -> None:
    cut = program[: data.draw(st.integers(1, len(program) - 1))]
    assume(cut.strip() and f"\n{fence[:3]}" not in program)
    for reply in (f"{before}\n{fence}\n{cut}", cut):
        text = extract_code(reply).text
        assert program.startswith(text.removesuffix("\n"))


@few
@given(st.sampled_from(PROGRAMS), prose, st.data())
def test_program_that_is_cut_off_loses_nothing(program: str, before: str, data: st.DataObject) -> None:
    assume("```" not in program)
    cut = program[: data.draw(st.integers(1, len(program) - 1))]
    assume(cut.strip())
    code = extract_code(f"{before}\n```python\n{cut}")
    assert code.text.rstrip() == cut.rstrip()
    assert not code.is_complete


# ---- parts


def test_prose_and_code_come_in_their_order() -> None:
    reply = f"Do this:\n\n```python\n{ADD}```\n\nOr that:\n```sh\nls\n```\nGood luck!"
    parts = [(part.is_code, part.tag, part.text) for part in extract_parts(reply)]
    assert parts == [
        (False, "", "Do this:"),
        (True, "python", ADD.rstrip()),
        (False, "", "Or that:"),
        (True, "sh", "ls"),
        (False, "", "Good luck!"),
    ]


def test_reply_that_is_code_is_one_part() -> None:
    assert [(part.is_code, part.text) for part in extract_parts(MODULE)] == [(True, MODULE.rstrip())]


def test_prose_without_code_is_one_part() -> None:
    reply = "A list is mutable. A tuple is not."
    assert [(part.is_code, part.text) for part in extract_parts(reply)] == [(False, reply)]


def test_code_amid_prose_is_a_part_without_a_fence() -> None:
    parts = extract_parts(f"Here is the function you asked for:\n\n{ADD}\nThis function adds two numbers.")
    assert [part.is_code for part in parts] == [False, True, False]


def test_part_that_is_cut_off_says_so() -> None:
    assert [part.is_complete for part in extract_parts("So:\n```python\nx = (")] == [True, False]


def test_new_task_is_no_part_and_an_empty_reply_has_none() -> None:
    assert len(extract_parts(f"{ADD}\n### Task:\nNow multiply")) == 1
    assert extract_parts(" \n") == ()


# ---- while it comes


def streamed(reply: str, size: int) -> str:
    stream = CodeStream()
    shown = [stream.feed(reply[place : place + size]) for place in range(0, len(reply), size)]
    return "".join(shown) + stream.finish()


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize(
    "reply",
    [
        ADD,
        f"```python\n{ADD}```\nbye",
        f"Here you are:\n\n```python\n{ADD}```\n```python\nmore()\n```",
        f"~~~\n{ADD}~~~",
        f"{ADD}### Task:\nNow multiply",
        f"### Response:\n{ADD}",
        f"{ADD}```\nHope this helps!",
        f"```python\r\n{ADD}```",
    ],
)
def test_stream_gives_the_code(reply: str, size: int) -> None:
    assert streamed(reply, size) == ADD


@pytest.mark.parametrize("size", [1, 4])
def test_stream_knows_a_fence_in_a_docstring(size: int) -> None:
    assert streamed(f"```python\n{MODULE}```\nbye", size) == MODULE
    assert streamed(MODULE, size) == MODULE


def test_stream_does_not_wait_for_the_line_to_end() -> None:
    stream = CodeStream()
    assert stream.feed("```python\n") == ""
    assert stream.feed("x") == "x"
    assert stream.feed(" = `") == " = `"
    assert stream.feed("\n``") == "\n"
    assert stream.feed("`") == ""
    assert stream.feed("\nbye") == ""


def test_stream_gives_a_heading_back_that_was_a_comment() -> None:
    stream = CodeStream()
    assert stream.feed("x = 1\n") == "x = 1\n"
    assert stream.feed("#") == ""
    assert stream.feed("## Tas") == ""
    assert stream.feed("ks\n") == "### Tasks\n"


def test_stream_shows_nothing_of_prose() -> None:
    assert streamed("I cannot help with that.\nx = 1 is not the answer.\n", 5) == ""


def test_stream_ends_with_what_was_held_back() -> None:
    stream = CodeStream()
    assert stream.feed("x") == ""
    assert stream.finish() == "x"
    assert stream.feed("y = 1\n") == ""


@few
@given(st.sampled_from(PROGRAMS), st.integers(1, 40))
def test_stream_gives_every_program_whatever_the_pieces(program: str, size: int) -> None:
    assert streamed(f"```python\n{program}```\n", size) == program


@given(replies_in_pieces, st.integers(1, 5))
def test_stream_never_raises_and_does_not_depend_on_the_pieces(reply: str, size: int) -> None:
    assert streamed(reply, size) == streamed(reply, 10_000)


# ---- cost


def test_giant_reply_is_read() -> None:
    giant = "".join(f"def f{n}():\n    return {n}\n\n\n" for n in range(12_000))
    assert len(text_of(f"Here is the code:\n```python\n{giant}```")) == len(giant.rstrip()) + 1


@pytest.mark.parametrize(
    "unit", ["```\n", "This is a sentence about it.\nx = 1\n\n", "'''\n", "~~~a\n```b\n", ">>> x\n"]
)
def test_giant_nonsense_is_read_too(unit: str) -> None:
    reply = unit * (300_000 // len(unit))
    assert len(text_of(reply)) <= len(reply)


def test_threads_may_read_replies_at_once() -> None:
    texts: list[str] = []
    threads = [threading.Thread(target=lambda: texts.append(text_of(f"```\n{MODULE}```"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert texts == [MODULE] * 8
