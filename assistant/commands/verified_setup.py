"""What `ask --tests` and `ask --check` need before anything is asked: tests, a sandbox, how much to try."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from assistant.client import create_generator
from assistant.commands.ask_history import AskHistory
from assistant.commands.asking import AskOptions, Streams
from assistant.commands.first_model import ensure_model
from assistant.commands.input_text import read_text_file
from assistant.commands.verified import Verifying, run_verified
from assistant.commands.verified_flags import DEFAULT_CANDIDATES, VerifyFlags
from assistant.config import Config
from assistant.errors import UsageError
from assistant.judging.judge import judge
from assistant.judging.reading import read_test_file
from assistant.judging.suites import find_own_tests
from assistant.sandbox.choosing import find_sandbox
from assistant.verifying import Effort, build_effort


def ask_verified(
    flags: VerifyFlags, config: Config, options: AskOptions, streams: Streams, history: AskHistory
) -> int:
    """Ask for an answer that passes its tests; return the process's exit code.

    Raises:
        UsageError: There are no tests, or they cannot be read.
        SandboxError: There is no sandbox.
    """
    verifying = build_verifying(flags, config, options.input)
    ensure_model(config, options.model, streams.messages)
    return run_verified(
        options,
        verifying,
        create_generator(config),
        streams,
        history.remember,
        judge=partial(judge, has_packages=True),
    )


def build_verifying(flags: VerifyFlags, config: Config, input_text: str) -> Verifying:
    """Find the tests and a sandbox for them.

    Args:
        flags: Those that `check_flags` has found good.
        config: The settings.
        input_text: The input, which has the tests for `--check`.

    Raises:
        UsageError: There are no tests, or they cannot be read.
        SandboxError: There is no sandbox.
    """
    name = flags["tests"]
    if name is not None:
        shown, source = read_text_file(Path(name)), name
        suite = read_test_file(Path(name))
    else:
        own = find_own_tests(input_text)
        if own is None:
            raise UsageError(
                "--check: the input has no asserts and no doctests",
                hint="give some with --input or a pipe, or a file of tests with --tests FILE",
            )
        suite, shown, source = own, "", "the input's own tests"
    count = flags["candidates"] or DEFAULT_CANDIDATES
    usual = build_effort(config.sampling.temperature, config.sampling.top_p)
    return Verifying(
        suite=suite,
        source=source,
        shown=shown,
        sandbox=find_sandbox(config.sandbox),
        effort=Effort(
            candidates=count,
            repairs=0 if flags["has_no_repair"] else (count + 1) // 2,
            temperature=_first(flags["temperature"], usual.temperature),
            top_p=_first(flags["top_p"], usual.top_p),
        ),
    )


def _first(given: float | None, usual: float) -> float:
    return usual if given is None else given
