"""What tests can do with code that runs in another process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest

from assistant.judging import Case, CaseResult, Suite
from assistant.judging.bundle import build_bundle
from assistant.judging.judge import judge
from assistant.sandbox import Backend

Judged = Callable[..., tuple[CaseResult, ...]]

CODE = """
import collections, enum, dataclasses
COLOURS = {"red": 1}
class Full(Exception):
    def __init__(self, size, *, by):
        super().__init__(f"full at {size} by {by}")
        self.size = size
class Stack:
    def __init__(self): self._items = []
    def push(self, item):
        if len(self._items) == 3: raise Full(3, by="push")
        self._items.append(item)
    def pop(self): return self._items.pop()
    def __len__(self): return len(self._items)
    def __iter__(self): return iter(self._items)
    def __getitem__(self, key): return self._items[key]
    def __enter__(self): return self
    def __exit__(self, *a): return False
    @property
    def is_empty(self): return not self._items
    @classmethod
    def of(cls, *items):
        made = cls()
        made._items = list(items)
        return made
    def __repr__(self): return f"Stack({self._items})"
@dataclasses.dataclass(frozen=True, order=True)
class V:
    x: int
    y: int = 0
    def __add__(self, other): return V(self.x + other.x, self.y + other.y)
    def __mul__(self, by): return V(self.x * by, self.y * by)
    def __bool__(self): return self.x != 0
class Colour(enum.Enum):
    RED = 1
def sort(items): items.sort()
def mix(a, b, *rest, key=None, **more): return [a, b, rest, key, more]
def count_up():
    n = 0
    while True:
        yield n
        n += 1
def apply(f, *args): return f(*args)
def first(items): return next(iter(items))
def adder(n): return lambda m: n + m
def change(d, s): d["new"] = [1]; s.discard(1); d["old"].append(2)
def same(x): return x
def boom(kind): raise kind
def fail(text): raise ValueError(text)
def say(x): print("said", x)
def tree(node):
    "Add up."
    return node.value + (tree(node.left) if node.left else 0)
async def later(x): return x + 1
def key(): return {}["missing"]
def red(): return Colour.RED
Pair = collections.namedtuple("Pair", "left right")
def words(text): return collections.Counter(text.split())
"""

HOLDS = {
    "a constant": "assert COLOURS['red'] == 1",
    "arguments of all kinds": "assert mix(1, 2, 3, key='k', z=[4]) == [1, 2, (3,), 'k', {'z': [4]}]",
    "sorting in place": "items = [3, 1, 2]\nassert sort(items) is None and items == [1, 2, 3]",
    "changing what was given": "d = {'old': []}; o = d['old']; s = {1, 2}\nchange(d, s)\n"
    "assert d == {'old': [2], 'new': [1]} and s == {2} and d['old'] is o",
    "identity": "x = [1]\nassert same(x) is x",
    "an object's life": "s = Stack()\ns.push([1]); s.push('b')\n"
    "assert len(s) == 2 and s[0] == [1] and list(s) == [[1], 'b'] and s.pop() == 'b' and not s.is_empty",
    "its repr": "assert repr(Stack.of(1)) == 'Stack([1])' and str(Stack.of()) == 'Stack([])'",
    "instances": "assert isinstance(Stack(), Stack) and not isinstance(3, Stack)\n"
    "assert not isinstance(V(1), Stack)",
    "its emptiness": "assert not Stack() and Stack.of(1) and not V(0)",
    "equal objects": "assert V(1, 2) + V(2, 3) == V(3, 5) and V(1) * 2 == V(2) and V(1) != V(2)",
    "ordered objects": "assert sorted([V(2), V(1)]) == [V(1), V(2)]\n"
    "assert V(1) < V(2) and max(V(1), V(3)) == V(3)",
    "objects in sets": "assert len({V(1), V(1), V(2)}) == 2 and {V(1): 'a'}[V(1)] == 'a'",
    "setting attributes": "s = Stack()\ns.extra = 5\nassert s.extra == 5 and hasattr(s, 'extra')\n"
    "del s.extra\nassert not hasattr(s, 'extra')",
    "a builtin exception": "try: fail('no')\nexcept ValueError as e: assert e.args == ('no',)\n"
    "else: assert False, 'nothing raised'",
    "a KeyError's text": "try: key()\nexcept KeyError as e: assert str(e) == \"'missing'\"\nelse: assert 0",
    "its own exception": "s = Stack.of(1, 2, 3)\ntry: s.push(1)\n"
    "except Full as e: assert e.size == 3 and str(e) == 'full at 3 by push' and isinstance(e, Exception)\n"
    "else: assert 0",
    "a generator": "import itertools\nassert list(itertools.islice(count_up(), 3)) == [0, 1, 2]\n"
    "g = count_up()\nassert next(g) == 0 and next(g) == 1",
    "a function from a function": "assert adder(2)(3) == 5 and callable(adder(1)) and not callable(V(1))",
    "a function that is given": "assert apply(lambda a, b: a * b, 3, 4) == 12 and apply(len, [1, 2]) == 2",
    "a given function's error": "try: apply(lambda: 1 / 0)\nexcept ZeroDivisionError: pass\nelse: assert 0",
    "a function that is given and returned": "f = lambda: 7\nassert same(f) is f and same(f)() == 7",
    "an iterator that is given": "assert first(iter([5, 6])) == 5 and first(x for x in 'ab') == 'a'",
    "an object of the tests": "class Node:\n    def __init__(self, value, left=None):\n"
    "        self.value, self.left = value, left\nassert tree(Node(1, Node(2))) == 3",
    "prints": "import contextlib, io\nout = io.StringIO()\nwith contextlib.redirect_stdout(out): say(1)\n"
    "assert out.getvalue() == 'said 1\\n'",
    "a coroutine": "import asyncio\nassert asyncio.run(later(1)) == 2",
    "a context manager": "with Stack.of(1) as s: assert len(s) == 1",
    "an enum": "assert red() == Colour.RED and red() is Colour.RED and red().value == 1",
    "a named tuple": "p = Pair(1, right=2)\nassert p == (1, 2) and p.left == 1 and isinstance(p, tuple)",
    "a Counter": "assert words('a b a').most_common(1) == [('a', 2)] and words('a') == {'a': 1}",
    "a name": "assert adder.__name__ == 'adder' and tree.__doc__ == 'Add up.'",
    "random inputs": "import random\nfor _ in range(9):\n"
    "    n = random.randint(0, 1 << 99)\n    assert same(n) == n",
    "threads of the tests": "import threading\nfound = []\n"
    "ts = [threading.Thread(target=lambda n=n: found.append(same(n))) for n in range(5)]\n"
    "[t.start() for t in ts]; [t.join() for t in ts]\nassert sorted(found) == [0, 1, 2, 3, 4]",
    "a copy": "import copy\ns = Stack.of(1)\nt = copy.deepcopy(s)\nt.push(2)\n"
    "assert (len(s), len(t)) == (1, 2)",
}  # fmt: skip


def test_tests_of_all_kinds_hold_across_the_processes(judged: Judged) -> None:
    results = dict(zip(HOLDS, judged(CODE, *HOLDS.values()), strict=True))
    assert {name: result.error for name, result in results.items() if result.standing != "passed"} == {}


OWN_WORD = "the code under test would judge itself"
OUTCOMES = {
    "assert same(1) == 2": ("failed", "AssertionError: same gave 1"),
    "assert same(1) == 2, 'not two'": ("failed", "AssertionError: not two"),
    "fail('a\\nb')": ("failed", "ValueError: b"),
    "boom(SystemExit)": ("failed", "the code raised SystemExit"),
    "try: boom(AssertionError)\nexcept AssertionError: pass": ("failed", "the code raised AssertionError"),
    "apply(lambda: same(1) and 1 / 0)": ("failed", "ZeroDivisionError: division by zero"),
    "def f(): assert 0, 'in it'\ntry: apply(f)\nexcept AssertionError: 1": (
        "failed",
        "AssertionError: in it",
    ),
    "assert V(1) * 2 < 3": (
        "failed",
        f"TypeError: an object of the code is compared by lt with a test's value: {OWN_WORD}",
    ),
    "assert nothing(1)": ("not run", "NameError: the code does not define `nothing`"),
    "assert same(": ("broken", "SyntaxError: '(' was never closed (<test 10>, line 1)"),
    "1 / 0": ("broken", "ZeroDivisionError: division by zero"),
    "assert False": ("broken", "AssertionError"),
    "same(memoryview(b''))": (
        "broken",
        "CannotCrossError: a memoryview of the test cannot be given to code that runs elsewhere",
    ),
    "import no_such_module": ("broken", "ModuleNotFoundError: No module named 'no_such_module'"),
    "assert same(3) == 3": ("passed", ""),
}


def test_what_does_not_hold_says_why(judged: Judged) -> None:
    results = judged(CODE, *OUTCOMES)
    assert {r.name: (str(r.standing), r.error) for r in results} == OUTCOMES


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("def f(:", "SyntaxError: invalid syntax (<code>, line 1)"),
        ("raise OSError('no')", "OSError: no"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("import os; os._exit(3)", "the code ended its process (exit code 3)"),
        ("x = '\0'", "source code string cannot contain null bytes"),
        ("f = " + "-" * 200_000 + "1", "SyntaxError: "),
    ],
)  # fmt: skip
def test_code_that_cannot_be_loaded_runs_no_test(code: str, error: str, sandbox: Backend) -> None:
    suite = Suite(cases=(Case(name="a", source="assert f(1)"), Case(name="b", source="assert True")))
    judgement = judge(code, suite, sandbox=sandbox)
    assert [str(result.standing) for result in judgement.results] == ["not run", "not run"]
    assert error in judgement.error or code.startswith("f = ")
    assert all(result.error == judgement.error for result in judgement.results)


def test_a_test_of_a_missing_name_is_not_run_and_the_others_are(judged: Judged) -> None:
    results = judged("def f(): return 1", "assert f() == 1", "assert g() == 1", names=("f", "g"))
    assert [(str(r.standing), r.error) for r in results] == [
        ("passed", ""),
        ("not run", "NameError: the code does not define `g`"),
    ]


def test_a_setup_that_fails_is_the_tests_own_fault(judged: Judged) -> None:
    (result,) = judged("def f(): return 1", "assert f() == 1", setup="1 / 0")
    assert (str(result.standing), result.error) == (
        "broken",
        "ZeroDivisionError: division by zero (before the tests)",
    )


def test_a_process_that_ends_in_one_test_leaves_the_rest_not_run(judged: Judged) -> None:
    code = "import os\ndef f(x): return os._exit(0) if x == 2 else x"
    careless = "try: f(4)\nexcept BaseException: pass"
    results = judged(code, "assert f(1) == 1", "assert f(2) == 2", "assert f(3) == 3", careless, "assert 1")
    why = "the code ended its process (exit code 0)"
    assert [(str(r.standing), r.error) for r in results] == [
        ("passed", ""), ("failed", why), ("not run", why), ("not run", why),
        ("passed", ""),
    ]  # fmt: skip


def test_tests_and_code_in_one_process_say_so(sandbox: Backend) -> None:
    code = "class Base:\n    def name(self): return 'base'\ndef greet(): return Base().name()"
    tests = "class Mine(Base):\n    def name(self): return 'mine'\nassert Mine().name() == 'mine'"
    suite = Suite(cases=(Case(name="a", source=tests), Case(name="b", source="assert greet() == 'x'")))
    judgement = judge(code, suite, sandbox=sandbox, is_self_reported=True)
    assert judgement.is_self_reported
    assert [str(result.standing) for result in judgement.results] == ["passed", "failed"]


def test_what_runs_inside_imports_nothing_that_costs_time() -> None:
    heavy = ("re", "json", "typing", "dataclasses", "ast", "socket", "asyncio", "collections")
    lines = [
        "import marshal, sys",
        f"version, modules = marshal.loads({build_bundle('cases')!r})",
        "for name, source, code in modules:",
        "    module = sys.modules[name] = type(sys)(name)",
        "    exec(marshal.loads(code), module.__dict__)",
        f"print(*[name for name in {heavy} if name in sys.modules])",
    ]
    command = [sys.executable, "-I", "-S", "-"]
    done = subprocess.run(command, input="\n".join(lines), capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
