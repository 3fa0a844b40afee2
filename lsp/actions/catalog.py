"""All actions there are: ours, and those that the user wrote down beside the configuration."""

from __future__ import annotations

from pathlib import Path

from assistant import paths
from assistant.errors import AssistantError
from assistant.settings import read_config
from lsp.actions.apply import ApplyComment
from lsp.actions.custom import CustomAction
from lsp.actions.docstring import AddDocstring
from lsp.actions.explain import Explain
from lsp.actions.fix import Fix
from lsp.actions.hints import AddTypeHints
from lsp.actions.implement import Implement
from lsp.actions.implement_tested import ImplementTested
from lsp.actions.interface import Action
from lsp.actions.optimize import Optimize
from lsp.actions.registry import ActionSet
from lsp.actions.user_actions import ParsedActions, parse_user_actions
from lsp.actions.write import WriteCode
from lsp.actions.write_tests import WriteTests

ACTIONS_FILE = "actions.toml"


def build_actions(own: ParsedActions | None = None, *, runs_tests: bool = False) -> ActionSet:
    """Put the actions together, in the order of the menu: the user's own come last.

    Args:
        own: The user's.
        runs_tests: The user allows that tests are run.
    """
    ours: list[Action] = [
        Fix(),
        WriteCode(),
        Implement(),
        *([ImplementTested()] if runs_tests else []),
        ApplyComment(),
        Optimize(),
        AddDocstring(),
        AddTypeHints(),
        WriteTests(),
        Explain(),
    ]
    theirs = [CustomAction(action) for action in own.actions] if own is not None else []
    return ActionSet([*ours, *theirs], complaints=own.complaints if own is not None else ())


def read_actions(path: Path | None = None) -> ActionSet:
    """Read the user's own actions, `actions.toml` beside `config.toml`, and put them with ours.

    A file that cannot be used leaves ours alone, and says so in the set's complaints.
    """
    runs_tests = _may_run_tests()
    path = path or paths.config_file().with_name(ACTIONS_FILE)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return build_actions(runs_tests=runs_tests)
    except (OSError, UnicodeDecodeError) as error:
        unread = ParsedActions(actions=(), complaints=(f"cannot read {path}: {error}",))
        return build_actions(unread, runs_tests=runs_tests)
    taken = build_actions(runs_tests=True).names
    return build_actions(parse_user_actions(text, str(path), taken=taken), runs_tests=runs_tests)


def _may_run_tests() -> bool:
    """Whether the user allows it; a project's file cannot, and a configuration that is broken does not."""
    try:
        return read_config().sandbox.projects == "on"
    except AssistantError:  # told when something is asked
        return False
