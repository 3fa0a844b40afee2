from __future__ import annotations

import re
from pathlib import Path

import pytest
from acting import after, explanation, names_of, offer_of, plan_of, view_of

from lsp.actions.catalog import build_actions, read_actions
from lsp.actions.interface import ActionKind
from lsp.actions.registry import ActionSet
from lsp.actions.user_actions import parse_user_actions

LOG = """
[[action]]
title = "Log the arguments"
task = "Log every argument."
where = "function"
"""


def actions_of(text: str) -> ActionSet:
    parsed = parse_user_actions(text, "actions.toml")
    assert parsed.complaints == ()
    return build_actions(parsed)


def action(**keys: str) -> str:
    return "[[action]]\n" + "".join(f"{key} = {value}\n" for key, value in keys.items())


def test_an_action_of_the_user_replaces_what_it_is_offered_on() -> None:
    actions = actions_of(LOG)
    view = view_of("def f(a):\n    return a‸\n")
    assert plan_of(view, "log-the-arguments", actions).request.turns[0].text == "Log every argument."
    assert after(view, "log-the-arguments", "def f(a):\n    print(a)\n    return a\n", actions) == (
        "def f(a):\n    print(a)\n    return a\n"
    )


def test_the_selection_may_stand_in_the_task() -> None:
    actions = actions_of(action(title='"Translate"', task='"Say {selection} in {diagnostics} {selection}"'))
    view = view_of("x = f(«'a' + '{diagnostics}'»)\n", problems=["Spanish"])
    turn = plan_of(view, "translate", actions).request.turns[0]
    assert turn.text == "Say 'a' + '{diagnostics}' in Spanish 'a' + '{diagnostics}'"
    assert turn.input == ""


def test_an_answer_may_come_below_or_be_shown() -> None:
    below = actions_of(action(title='"Example"', task='"Call it."', where='["function"]', result='"insert"'))
    view = view_of("def f(a):\n    return a‸\n\n\nx = 1\n")
    assert after(view, "example", "f(1)\n", below) == "def f(a):\n    return a\nf(1)\n\n\nx = 1\n"
    shown = actions_of(
        action(title='"Review"', task='"Review it."', where='["function"]', result='"explain"')
    )
    assert explanation(view, "review", "It is good.", shown).markdown == "# Review\n\nIt is good.\n"
    assert offer_of(view, "review", shown).kind is ActionKind.REFACTOR


@pytest.mark.parametrize(
    ("where", "marked", "problems", "is_offered"),
    [
        ("selection", "«x = f(1)\n»", [], True),
        ("selection", "def f(): return 1‸\n", [], False),
        ("function", "def f(): return 1‸\n", [], True),
        ("function", "class A:\n    def f(self): return 1‸\n", [], True),
        ("function", "class A:‸\n    x = 1\n", [], False),
        ("class", "class A:‸\n    x = 1\n", [], True),
        ("diagnostic", "x = 1‸\n", ["wrong"], True),
        ("diagnostic", "x = 1‸\n", [], False),
        ("anywhere", "x = 1‸\n", [], True),
        ("anywhere", "\n‸\n", [], True),
    ],
)
def test_it_is_offered_where_the_user_wants_it(
    where: str, marked: str, problems: list[str], is_offered: bool
) -> None:
    actions = actions_of(action(title='"Own"', task='"Do it."', where=f'["{where}"]'))
    found = {offer.action for offer in actions.offer(view_of(marked, problems=problems))}
    assert ("own" in found) is is_offered


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[[action]\n", "a.toml: this is not TOML"),
        ("x = 1\n", "a.toml:1: there is no x here"),
        ("[action]\ntitle = 'A'\n", "a.toml:1: write [[action]], with two brackets"),
        ("action = [1]\n", "a.toml:1: an action is a table"),
        ("\n[[action]]\ntitle = 'A'\n", "a.toml:2: this action has no task"),
        ("[[action]]\ntitle = 1\ntask = 'B'\n", "a.toml:2: title must be text, got 1"),
        ("[[action]]\ntitle = 'A'\ntsk = 'B'\n", "a.toml:3: an action has no tsk; did you mean task?"),
        (
            "[[action]]\ntitle = 'A'\ntask = 'B {code}'\n",
            "a.toml:3: there is no {code}; a task may hold {selection}",
        ),
        (
            "[[action]]\ntitle = 'A'\ntask = 'B'\nwhere = ['file']\n",
            "a.toml:4: where must be some of selection",
        ),
        ("[[action]]\ntitle = 'A'\ntask = 'B'\nwhere = 3\n", "a.toml:4: where must be some of"),
        ("[[action]]\ntitle = 'A'\ntask = 'B'\nresult = 'x'\n", "a.toml:4: result must be one of replace"),
        ("[[action]]\ntitle = 'A'\ntask = 'B'\nname = 'A B'\n", "a.toml:4: a name has small letters"),
        ("[[action]]\ntitle = 'Fix'\ntask = 'B'\n", "a.toml:2: there is an action fix already"),
        (f"[[action]]\ntitle = '{'A' * 99}'\ntask = 'B'\n", "a.toml:2: a title is one line"),
    ],
)
def test_a_mistake_is_named_by_file_and_line_and_leaves_the_others_alone(text: str, complaint: str) -> None:
    parsed = parse_user_actions(text, "a.toml", taken=["fix"])
    assert parsed.actions == ()
    assert [each for each in parsed.complaints if each.startswith(complaint)], parsed.complaints


def test_a_mistake_in_the_second_action_is_found_there() -> None:
    parsed = parse_user_actions(f"{LOG}\n[[action]]\ntitle = 'B'\ntask = ''\n", "a.toml")
    assert [each.name for each in parsed.actions] == ["log-the-arguments"]
    assert parsed.complaints == ("a.toml:9: task must be text, got ''",)


def test_actions_are_read_beside_the_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSISTANT_HOME", str(tmp_path))
    assert "log-the-arguments" not in read_actions().names
    (tmp_path / "actions.toml").write_text(LOG, encoding="utf-8")
    assert read_actions().names[-1] == "log-the-arguments"
    assert read_actions().complaints == ()


@pytest.mark.parametrize("content", [b"\xff\xfe", b"[[action]"])
def test_a_file_that_cannot_be_used_leaves_our_actions(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "actions.toml"
    path.write_bytes(content)
    actions = read_actions(path)
    assert actions.names == build_actions().names
    assert str(path) in actions.complaints[0]


def test_ours_are_all_there() -> None:
    assert build_actions().names == (
        "fix",
        "write",
        "implement",
        "apply",
        "optimize",
        "docstring",
        "hints",
        "tests",
        "explain",
    )
    assert names_of(view_of("def f(a):\n    return a‸\n")) == {
        "optimize",
        "docstring",
        "hints",
        "tests",
        "explain",
    }


def test_the_documentation_names_what_there_is() -> None:
    text = (Path(__file__).parents[2] / "docs" / "code-actions.md").read_text(encoding="utf-8")
    table = text.split("## Actions of your own")[0]
    assert tuple(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == build_actions(runs_tests=True).names
    example = text.split("```toml\n")[1].split("```")[0]
    assert [each.result for each in parse_user_actions(example, "").actions] == ["replace", "explain"]
    assert parse_user_actions(example, "").complaints == ()
