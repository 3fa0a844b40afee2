"""The evaluations that one command asks for, one after another, and what a person is told on the way."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from assistant import __version__
from assistant.commands.evaluations_flags import EvaluateOptions
from assistant.commands.evaluations_line import EvaluationLine
from assistant.commands.first_model import ensure_model
from assistant.commands.messages import Messages
from assistant.config import Config
from assistant.errors import AssistantError, UsageError
from assistant.evaluation.evaluating import check_record, read_summary, refuse_changes, run_evaluation
from assistant.evaluation.generating import Asking
from assistant.evaluation.records import Record, ResultsDir, evaluations_dir, open_directory, suggest_name
from assistant.evaluation.suites import LoadedSuite, load_suite
from assistant.evaluation.summary import Summary
from assistant.evaluation.targets import Target, find_target
from assistant.files import make_private_dir
from assistant.models.manifest import now_utc
from assistant.models.names import suggest_model_name
from assistant.requests import Sampling

if TYPE_CHECKING:
    from assistant.evaluation.scoring import Judge
    from assistant.sandbox.interface import Backend

LONG = 200
"""So many answers take minutes on a CPU: a person is asked before."""
FOREIGN_SLOTS = 4
"""Requests that a foreign server gets at once: it does not say how many it takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Planned:
    target: Target
    suite: LoadedSuite
    record: Record
    results: ResultsDir


class Evaluations:
    """One call of the command.

    Args:
        options: What is wanted.
        config: Which generator and which sandbox.
        messages: Where a person is told what goes on.
    """

    def __init__(self, options: EvaluateOptions, config: Config, messages: Messages) -> None:
        self._options = options
        self._config = config
        self._messages = messages

    def run(self) -> list[Summary]:
        """Do what is left of all of them.

        Raises:
            AssistantError: A suite, a model, the sandbox, the generator or the disk fails. Rows are kept.
            KeyboardInterrupt: The user stopped it. Rows are kept.
        """
        sandbox = self._find_sandbox() if self._options.judges else None
        planned = self._plan(sandbox)
        self._confirm(planned)
        judge = _build_judge(sandbox) if sandbox is not None else None
        return [self._evaluate(one, judge, is_only=len(planned) == 1) for one in planned]

    def _find_sandbox(self) -> Backend:
        from assistant.sandbox.choosing import find_sandbox

        return find_sandbox(self._config.sandbox)

    def _plan(self, sandbox: Backend | None) -> list[_Planned]:
        options = self._options
        suites = [load_suite(text, limit=options.limit) for text in dict.fromkeys(options.suites)]
        ensure_model(self._config, next(iter(options.models)), self._messages)
        targets = [find_target(self._config, name) for name in dict.fromkeys(options.models)]
        pairs = [(target, suite) for target in targets for suite in suites]
        if options.root == evaluations_dir():
            make_private_dir(options.root)
        planned: list[_Planned] = []
        for target, suite in pairs:
            record = self._build_record(target, suite, sandbox)
            name = options.name or suggest_name(record)
            if options.name and len(pairs) > 1:
                name = suggest_model_name(f"{name[:20]}-{target.name[:24]}-{suite.name[:18]}")
            results = open_directory(options.root, name)
            old = None if options.replace else results.find_record()
            if old is None and options.must_exist:
                raise UsageError(f"there is no evaluation {name} to go on with", hint="leave --resume out")
            if old is not None:
                refuse_changes(results, old, record)
            planned.append(_Planned(target=target, suite=suite, record=record, results=results))
        return planned

    def _build_record(self, target: Target, suite: LoadedSuite, sandbox: Backend | None) -> Record:
        options, engine = self._options, self._config.engine
        return Record(
            model=target.name,
            fingerprint=target.fingerprint,
            prompt_format=target.prompt_format,
            engine=f"{engine.device}/{engine.quantization}" if target.directory is not None else "",
            suite=suite.source,
            suite_name=suite.name,
            suite_sha256=suite.sha256,
            limit=options.limit,
            problems=len(suite.problems),
            samples=options.samples,
            temperature=options.temperature,
            top_p=options.top_p,
            max_tokens=options.max_tokens,
            seed=options.seed,
            sandbox=sandbox.name if sandbox is not None else "",
            created=now_utc(),
            version=__version__,
        )

    def _confirm(self, planned: list[_Planned]) -> None:
        answers = sum(one.record.answers for one in planned)
        if self._options.yes or not self._options.answers or answers <= LONG or not sys.stdin.isatty():
            return
        what = ", ".join(f"{one.record.model} on {one.record.suite_name}" for one in planned)
        if not click.confirm(f"Make {answers} answers ({what})?", default=True, err=True):
            raise UsageError("not evaluated", hint="--limit takes the first problems alone")

    def _evaluate(self, one: _Planned, judge: Judge | None, *, is_only: bool) -> Summary:
        with one.results.locked(), EvaluationLine(self._messages, one.record).shown() as line:
            record = check_record(one.results, one.record, replace_it=self._options.replace)
            try:
                run_evaluation(
                    one.results,
                    record,
                    one.suite.problems,
                    asking=self._build_asking(record) if self._options.answers else None,
                    judge=judge,
                    report=line.report,
                )
                if self._options.nll:
                    from assistant.evaluation.nll import measure_nll, read_nll

                    if read_nll(one.results.path) is None:
                        measure_nll(one.target, one.suite.problems, one.results.path, line.show)
            except (KeyboardInterrupt, AssistantError) as error:
                line.end()
                what = "interrupted" if isinstance(error, KeyboardInterrupt) else "what is done is kept"
                self._messages.tell(f"{what}; go on with: {self._render_resuming(one.results)}")
                if not is_only:
                    self._messages.tell("the same command as before goes on with all of them")
                raise
            return read_summary(one.results)

    def _build_asking(self, record: Record) -> Asking:
        from assistant import limits
        from assistant.client import create_generator

        is_ours = not self._config.generator.url
        return Asking(
            generator=create_generator(self._config),
            find_slots=_find_own_slots if is_ours else lambda: FOREIGN_SLOTS,
            sampling=Sampling(
                temperature=record.temperature, top_p=record.top_p, max_tokens=record.max_tokens
            ),
            model=record.model,
            seed=record.seed,
            largest_group=limits.MAX_N if is_ours else 1,
        )

    def _render_resuming(self, results: ResultsDir) -> str:
        command = ["assistant", "evaluate", "--resume", "--name", results.name]
        if self._options.root != evaluations_dir():
            command += ["--directory", str(self._options.root)]
        switches = {
            "--generate-only": not self._options.judges,
            "--score-only": not self._options.answers,
            "--nll": self._options.nll,
        }
        command += [switch for switch, is_given in switches.items() if is_given]
        return shlex.join(command)


def _build_judge(sandbox: Backend) -> Judge:
    from assistant.judging.judge import judge

    return lambda code, suite: judge(code, suite, sandbox=sandbox)


def _find_own_slots() -> int:
    from assistant.client.calls import fetch_status

    return fetch_status().slots
