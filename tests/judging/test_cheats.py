"""Wrong code that means to be taken for right. None of it may pass a test."""

from __future__ import annotations

import pytest

from assistant.judging import Standing
from assistant.judging.judge import judge
from assistant.judging.suites import build_assert_suite
from assistant.sandbox import Limits
from assistant.sandbox.bubblewrap import Bubblewrap

QUICK = Limits(wall_s=2.0, cpu_s=1)

LIAR = """
class Liar({base}):
    def __eq__(self, other): return True
    def __ne__(self, other): return {differs}
    def __lt__(self, other): return True
    __le__ = __gt__ = __ge__ = __contains__ = __lt__
    def __hash__(self): return hash(4)
    def __bool__(self): return True
    def __sub__(self, other): return {difference}
    __rsub__ = __add__ = __radd__ = __mul__ = __mod__ = __sub__
    def __abs__(self): return 0.0
    def __float__(self): return 0.0
    def __round__(self, digits=0): return 0.0
    def __int__(self): return 0
    def __len__(self): return 1
    def __repr__(self): return "4"
    def __getattr__(self, name): return lambda *args: True
    @property
    def __class__(self): return int
def f(x): return Liar()
"""

CHANNEL = """
import os, socket, json
def frame(kind, body): return kind + len(body).to_bytes(4, "big") + body
def channels():
    for number in range(3, 64):
        try: socket.socket(fileno=os.dup(number)).detach()
        except OSError: continue
        yield number
def say(data):
    for number in channels():
        try: os.write(number, data)
        except OSError: pass
"""

CHEATS = {
    "equal to all": LIAR.format(base="object", differs=False, difference="0.0"),
    "different from nothing": LIAR.format(base="object", differs=True, difference="self"),
    "an int that lies": LIAR.format(base="int", differs=False, difference="0.0"),
    "a str that lies": LIAR.format(base="str", differs=False, difference="0.0"),
    "a list that lies": LIAR.format(base="list", differs=False, difference="0.0"),
    "a float that lies": LIAR.format(base="float", differs=False, difference="0.0"),
    "a dict that lies": LIAR.format(base="dict", differs=False, difference="0.0"),
    "a class in place of the function": LIAR.format(base="object", differs=False, difference="0.0")
    + "class f(Liar):\n    def __init__(self, x): pass",
    "a metaclass": "class M(type):\n    def __eq__(cls, other): return True\n"
    "    def __instancecheck__(cls, other): return True\n    __hash__ = type.__hash__\n"
    "class C(metaclass=M): pass\ndef f(x): return C",
    "walking frames": "import sys\ndef f(x):\n    frame = sys._getframe()\n    while frame:\n"
    "        for value in list(frame.f_locals.values()) + list(frame.f_globals.values()):\n"
    "            if isinstance(value, list): value.append('passed')\n"
    "            if isinstance(value, str) and 'assert' in value: return int(value.split('== ')[1])\n"
    "        frame = frame.f_back",
    "patched builtins": "import builtins\nfor name in ('AssertionError', 'exec', 'isinstance', 'type'):\n"
    "    setattr(builtins, name, lambda *a, **k: True)\ndef f(x): return 0",
    "patched modules": "import sys\nfor module in list(sys.modules.values()):\n"
    "    for name in list(vars(module)):\n"
    "        if name in ('encode', '_same', 'equals', 'perform', 'PASSED'):\n"
    "            setattr(module, name, lambda *a, **k: -1)\ndef f(x): return 0",
    "patched json": "import json\njson.loads = lambda *a, **k: [-1]\njson.dumps = lambda *a, **k: '-1'\n"
    "def f(x): return 0",
    "os._exit(0) at the import": "import os\nos._exit(0)",
    "sys.exit(0) at the import": "import sys\nsys.exit(0)",
    "os._exit(0) in the call": "import os\ndef f(x): os._exit(0)",
    "sys.exit(0) in the call": "import sys\ndef f(x): sys.exit(0)",
    "KeyboardInterrupt": "def f(x): raise KeyboardInterrupt",
    "StopIteration": "def f(x): raise StopIteration",
    "GeneratorExit": "def f(x): raise GeneratorExit",
    "a skipped test": "class Skipped(Exception): pass\nclass SkipTest(Exception): pass\n"
    "def f(x): raise (SkipTest if x % 2 else Skipped)()",
    "the pass marker on the output": "import sys\ndef f(x):\n    for s in (sys.stdout, sys.stderr):\n"
    "        print('passed', 'OK', 'true', '1 passed in 0.1s', file=s, flush=True)\n    return 0",
    "a verdict on the channel": CHANNEL + "def f(x):\n"
    "    say(frame(b'R', json.dumps(['', 'case', 'passed', '']).encode()))\n"
    "    say(frame(b'R', json.dumps(['', 'done']).encode()))\n    return 0",
    "a verdict at the import": CHANNEL
    + 'say(frame(b\'R\', b\'["","case","passed",""]\'))\ndef f(x): return 0',
    "a flood": CHANNEL + "def f(x):\n    while True: say(frame(b'M', b'[\"a\",-1,[],\"\"]'))",
    "a huge message": CHANNEL + "def f(x):\n    say(b'M' + b'\\xff' * 4 + b'x' * 100000)\n    return 0",
    "a deep message": CHANNEL + "def f(x):\n    say(frame(b'M', b'[' * 1000000))\n    return 0",
    "a message that is no JSON": CHANNEL + "def f(x):\n    say(frame(b'M', b'\\xff{]'))\n    return 0",
    "a value that is none": CHANNEL
    + 'def f(x):\n    say(frame(b\'M\', b\'["a",["r",99],[],""]\'))\n    return 0',
    "exec as a value": CHANNEL
    + 'def f(x):\n    say(frame(b\'M\', b\'["a",["bf","exec"],[],""]\'))\n    return 0',
    "another's object": CHANNEL + 'def f(x):\n    say(frame(b\'M\', b\'["a",["H",0],[],""]\'))\n    return 0',
    "asking the tests": CHANNEL + "def f(x):\n"
    '    say(frame(b\'M\', b\'["q","get",[["H",0],"__globals__"],[]]\'))\n    return 0',
    "an exception that is AssertionError's child": "class E(AssertionError): pass\ndef f(x): raise E",
    "reading the tests": "import glob\ndef f(x):\n"
    "    for path in glob.glob('/proc/*/mem') + glob.glob('/proc/*/cmdline') + glob.glob('/tmp/*'):\n"
    "        try: text = open(path, errors='replace').read(100000)\n"
    "        except (OSError, ValueError): continue\n"
    "        if 'assert f(1) == 4' in text: return 4\n    return 0",
    "closed descriptors": "import os\ndef f(x):\n    os.closerange(0, 64)\n    return 0",
    "a thread that answers": CHANNEL + "import threading\n"
    "def answer():\n    while True: say(frame(b'M', b'[\"a\",0,[],\"\"]'))\n"
    "threading.Thread(target=answer, daemon=True).start()\ndef f(x): return 0",
    "atexit and excepthook": "import atexit, os, sys\natexit.register(os._exit, 0)\n"
    "sys.excepthook = lambda *a: os._exit(0)\ndef f(x): return 0",
    "gc": "import gc\ndef f(x):\n    for thing in gc.get_objects():\n"
    "        if isinstance(thing, list) and thing and all(isinstance(t, str) for t in thing):\n"
    "            thing.append('passed')\n    return 0",
    "a generator without an end": "def f(x):\n    while True: yield -1",
    "a function that learns": "def f(x):\n    class L:\n        def __call__(self, *a): return a[0]\n"
    "        def __getitem__(self, key): return self\n        def __eq__(self, other): return True\n"
    "    return L()",
    "recursion": "def f(x): return f(x)",
    "a cycle": "def f(x):\n    a = []\n    a.append(a)\n    return a",
    "an unclosed fork": "import os\ndef f(x):\n    if os.fork(): os._exit(0)\n    return 0",
    "builtins of its own": "def abs(x): return 0.0\ndef all(x): return True\ndef type(x): return int\n"
    "def isinstance(x, y): return True\ndef round(*x): return 0\ndef map(*x): return [4, 5]\n"
    "def f(x): return 0",
    "NameError": "def f(x): raise NameError('name', name='x')",
    "a lookup table that knows no answer": "def f(x): return {}[x]",
}

TESTS = (
    "assert f(1) == 4",
    "assert abs(f(2) - 5) < 1e-6",
    "import math\nassert math.isclose(f(3), 6)",
    "assert all(f(x) == x + 3 for x in (1, 2))",
    "assert list(map(f, [1, 2])) == [4, 5]",
    "assert all(map(lambda x: f(x) == x + 3, [1, 2]))",
    "assert 6 in [f(3)] and f(3) <= 6",
    "assert not f(3) < 6",
    "assert type(f(4)) is int and f(4) == 7",
    "assert str(f(1)) == '4' and isinstance(f(1), int)",
    "assert f(1) - 4 == 0",
    "try:\n    f(1) < 6\nexcept TypeError: pass\nassert f(1) == 4",
    "assert round(f(1) - 4, 3) == 0 and not (f(1) - 4)",
)


@pytest.mark.parametrize("cheat", CHEATS)
def test_a_cheat_passes_no_test(cheat: str, bubblewrap: Bubblewrap) -> None:
    suite = build_assert_suite(TESTS)
    judgement = judge(CHEATS[cheat], suite, sandbox=bubblewrap, limits=QUICK)
    assert len(judgement.results) == len(TESTS)
    standings = {result.standing for result in judgement.results}
    assert standings <= {Standing.FAILED, Standing.NOT_RUN}


def test_the_tests_that_cheats_are_tried_on_can_be_passed(bubblewrap: Bubblewrap) -> None:
    judgement = judge("def f(x): return x + 3", build_assert_suite(TESTS), sandbox=bubblewrap)
    assert judgement.has_passed
    assert judgement.sandbox == "bubblewrap"
