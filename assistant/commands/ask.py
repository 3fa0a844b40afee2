"""`assistant ask`: flags, settings and streams become one request. What happens then is in `asking`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import click

from assistant.commands.help import ExampleCommand
from assistant.commands.options import number_between, parse_target
from assistant.commands.sampling_flags import SamplingFlags, build_asked_sampling, sampling_options
from assistant.commands.terminal import ColorChoice
from assistant.commands.verified_flags import VerifyFlags, check_flags, verifying_options
from assistant.errors import UsageError

if TYPE_CHECKING:
    from assistant.commands.asking import AskOptions, Form
    from assistant.commands.input_text import Sources
    from assistant.config import Config

LEAST_TIMEOUT_S, MAX_TIMEOUT_S = 0.1, 86_400.0

EXAMPLES = (
    'assistant ask "read a CSV file and sum its second column"',
    'assistant ask "add type hints" --input-file shapes.py -o typed.py',
    'git diff | assistant ask "write tests for this change" > test_change.py',
    'slow-program | assistant ask "explain in a docstring" --input -',
    'assistant ask "parse an ISO date" --n 3 --temperature 0.8 --json',
    'assistant ask "write slugify()" --tests test_slugify.py -o slugify.py',
)

EPILOG = """\
\b
A pipe is read to its end once its first byte is there. One that stays silent
is given up after 0.5 s (10 s where a person watches), which is said on
standard error; `--input -` waits for ever, `< /dev/null` says that there is
no input.

\b
Standard output gets the answer alone. With --n, a line `# answer 1 of 3`
heads each. Whatever ends an answer early, what has come of it is kept: on
standard output, or in FILE.partial.

\b
With --tests or --check, the likeliest answer and sampled ones beside it run
in a sandbox as they are written, and the first that passes all tests is the
answer. The file's tests are shown to the model, below the input. Where none
passes, the best is kept like an answer that ended early.

\b
Exit codes: 0 an answer, cut off or not; 1 no answer, or one cut off with
--fail-on-truncation; 2 wrong usage; 3 no generator or model, or it went
away, or there is no sandbox; 4 --timeout; 5 out of memory; 7 no answer passed
its tests; 70 a bug; 74 FILE or standard output cannot be written; 130 Ctrl-C;
141 nobody reads standard output.
"""


class Flags(VerifyFlags, SamplingFlags):
    """The command's parameters, as click hands them over."""

    words: tuple[str, ...]
    input_text: str | None
    input_file: str | None
    target: Path | None
    force: bool
    as_code: bool
    as_full: bool
    as_json: bool
    model: str
    fails_on_truncation: bool
    timeout_s: float | None
    color: str
    is_quiet: bool
    is_continued: bool
    is_unlogged: bool


@click.command("ask", cls=ExampleCommand, examples=EXAMPLES, epilog=EPILOG)
@click.argument("words", nargs=-1, metavar="TASK")
@click.option(
    "--input", "input_text", metavar="TEXT", help="Data or code for the task; - for standard input."
)
@click.option("--input-file", metavar="PATH", help="Read the input from a UTF-8 file.")
@click.option(
    "-o",
    "--output",
    "target",
    metavar="FILE",
    callback=parse_target,
    help="Write the answer to FILE, all or nothing.",
)
@click.option("--force", is_flag=True, help="Let -o replace a file that exists.")
@click.option("--code", "as_code", is_flag=True, help="Only the code of the reply; this is the default.")
@click.option("--full", "as_full", is_flag=True, help="The whole reply, as the model wrote it.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--stream-json", "as_stream_json", is_flag=True, help="One JSON object a line, as they come.")
@click.option("-m", "--model", default="", metavar="MODEL", help="A model other than the active one.")
@sampling_options
@verifying_options
@click.option(
    "--fail-on-truncation", "fails_on_truncation", is_flag=True, help="Exit with 1 if it is cut off."
)
@click.option(
    "--timeout",
    "timeout_s",
    metavar="SECONDS",
    callback=number_between(LEAST_TIMEOUT_S, MAX_TIMEOUT_S),
    help="End it after so long, loading included.",
)
@click.option(
    "--color",
    metavar="WHEN",
    type=click.Choice([choice.value for choice in ColorChoice]),
    default=ColorChoice.AUTO.value,
    help="auto, always or never; auto heeds NO_COLOR and FORCE_COLOR.",
)
@click.option("-q", "--quiet", "is_quiet", is_flag=True, help="Say nothing but errors beside the answer.")
@click.option(
    "-c", "--continue", "is_continued", is_flag=True, help="Go on with the last conversation of the history."
)
@click.option("--no-log", "is_unlogged", is_flag=True, help="Keep nothing of this in the history.")
def ask(**flags: Unpack[Flags]) -> int:
    """Write Python code for one task.

    TASK says in plain words what the code should do; - reads it from standard input.
    """
    # Late: `ask --help` and a wrong flag need none of it.
    from assistant.client import create_generator
    from assistant.commands.ask_history import AskHistory
    from assistant.commands.asking import Streams, run_ask
    from assistant.commands.first_model import ensure_model
    from assistant.commands.input_text import read_sources
    from assistant.commands.messages import Messages
    from assistant.commands.output import Output
    from assistant.commands.saving import check_target
    from assistant.commands.terminal import find_screen
    from assistant.settings import read_config

    is_verified = check_flags(flags)
    form = _choose_form(flags)
    color = ColorChoice(flags["color"])
    messages = Messages(sys.stderr, find_screen(sys.stderr, color), is_quiet=flags["is_quiet"])
    output = Output(sys.stdout, find_screen(sys.stdout, color))
    if flags["target"] is not None:
        check_target(flags["target"], force=flags["force"])
    config = read_config(project_from=_find_directory())
    task, input_text = read_sources(_sources(flags), sys.stdin, messages)
    options = _build_options(flags, config, task=task, input_text=input_text, form=form)
    history = AskHistory(messages, keeps=config.history.keep == "on" and not flags["is_unlogged"])
    if flags["is_continued"]:
        options = history.resume(options, count=max(config.chat.earlier_turns, 1))
    streams = Streams(output=output, messages=messages)
    if is_verified:
        from assistant.commands.verified_setup import ask_verified

        return ask_verified(flags, config, options, streams, history)
    ensure_model(config, options.model, messages)
    return run_ask(
        options, create_generator(config), streams, lambda answer: history.remember(options, answer)
    )


def _choose_form(flags: Flags) -> Form:
    from assistant.commands.asking import Form

    given = {
        "--code": (flags["as_code"], Form.CODE),
        "--full": (flags["as_full"], Form.FULL),
        "--json": (flags["as_json"], Form.JSON),
        "--stream-json": (flags["as_stream_json"], Form.STREAM_JSON),
    }
    names = [name for name, (is_given, _) in given.items() if is_given]
    if len(names) > 1:
        raise UsageError(f"{' and '.join(names)} exclude each other", hint="leave one of them out")
    if flags["force"] and flags["target"] is None:
        raise UsageError("--force means something only with -o FILE")
    if flags["as_stream_json"] and flags["target"] is not None:
        raise UsageError(
            "--stream-json goes to standard output, not into -o FILE", hint="> FILE, or --json -o FILE"
        )
    return given[names[0]][1] if names else Form.CODE


def _sources(flags: Flags) -> Sources:
    from assistant.commands.input_text import Sources

    match flags["words"]:
        case ():
            raise UsageError("ask needs a TASK", hint=EXAMPLES[0])
        case (task,):
            pass
        case words:
            got = f"{len(words)}: {' '.join(words)[:60]}"
            raise UsageError(f"ask takes one TASK, got {got}", hint="put the task in quotes")
    return Sources(task=task, input=flags["input_text"], input_file=flags["input_file"])


def _build_options(flags: Flags, config: Config, *, task: str, input_text: str, form: Form) -> AskOptions:
    from assistant.commands.asking import AskOptions

    return AskOptions(
        task=task,
        input=input_text,
        sampling=build_asked_sampling(flags, config.sampling),
        model=flags["model"],
        form=form,
        target=flags["target"],
        force=flags["force"],
        fails_on_truncation=flags["fails_on_truncation"],
        timeout_s=flags["timeout_s"],
    )


def _find_directory() -> Path | None:
    """Return the directory we are in; None where it has been removed."""
    try:
        return Path.cwd()
    except OSError:
        return None
