"""`assistant doctor`: what this machine can run, what is wrong, and what to do next."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import click

from assistant.commands import confinement, places, probing, serving
from assistant.commands.findings import COLORS, PLAIN, Finding, Level
from assistant.commands.help import ExampleCommand
from assistant.commands.messages import Messages
from assistant.commands.output import Output

EXAMPLES = ("assistant doctor", "assistant doctor --json | jq .findings")

SCHEMA = 1
PROBLEM = 3
"""The exit code when something essential does not work."""


@click.command("doctor", cls=ExampleCommand, examples=EXAMPLES)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def doctor(*, as_json: bool) -> int:
    """Say what this machine can run and what is wrong.

    Exits with 3 when something essential fails. Loading PyTorch takes some seconds.
    """
    messages = Messages(sys.stderr)
    messages.show_status("looking at the processor and the GPUs …")
    probe = probing.run_probe()
    messages.show_status("")
    findings = [
        *places.check_places(),
        *probing.check_machine(probe),
        *confinement.check_sandbox(),
        *serving.check_generator(),
    ]
    next_step = find_next_step(findings)
    if as_json:
        text = _render_json(findings, probe.content, next_step)
    else:
        text = "\n".join(_render_lines(findings, next_step, has_color=Output(sys.stdout).screen.has_color))
    Output(sys.stdout).write_text(text + "\n")
    return PROBLEM if any(finding.level is Level.FAIL for finding in findings) else 0


def find_next_step(findings: Sequence[Finding]) -> str:
    """Return the command or the deed that helps most: what failed first, else the first question."""
    for level in (Level.FAIL, Level.WARN):
        for finding in findings:
            if finding.level is level and finding.to_do:
                return finding.to_do
    return 'assistant ask "write a function that checks whether a string is a palindrome"'


def _render_lines(findings: Sequence[Finding], next_step: str, *, has_color: bool) -> Iterator[str]:
    width = max(len(finding.subject) for finding in findings)
    for finding in findings:
        level = f"{finding.level.value:<4}"
        painted = f"{COLORS[finding.level]}{level}{PLAIN}" if has_color else level
        yield f"{painted}  {finding.subject:<{width}}  {finding.text}"
        if finding.to_do:
            yield f"{'':4}  {'':<{width}}  → {finding.to_do}"
    yield ""
    yield f"next: {next_step}"


def _render_json(findings: Sequence[Finding], probe: dict[str, Any], next_step: str) -> str:
    content = {
        "schema": SCHEMA,
        "works": not any(finding.level is Level.FAIL for finding in findings),
        "findings": [asdict(finding) for finding in findings],
        "probe": probe,
        "next": next_step,
    }
    return json.dumps(content, indent=2, ensure_ascii=False)
