"""Write tests: a function gets tests in `tests/test_<module>.py`, which is created where it is missing."""

from __future__ import annotations

from lsp.actions.finishing import read_answer, refuse, refuse_useless
from lsp.actions.interface import (
    ActionKind,
    CountTokens,
    Edits,
    FileEdit,
    Offer,
    Outcome,
    Plan,
    Refused,
    View,
)
from lsp.actions.planning import Question, build_plan, show_definition
from lsp.edits import TextEdit, apply_edits
from lsp.extraction import Useless
from lsp.gate import find_harm
from lsp.mirror import Current
from lsp.outline import Definition, find_enclosing, has_body
from lsp.positions import Lines, Span
from lsp.regions import find_definition
from lsp.style import find_style
from lsp.testfiles import find_test_place, is_test_file, place_tests, read_tests, render_test_file


class WriteTests:
    """Offered on a function or method with a body, in a file that is no test itself."""

    name = "tests"

    def offer(self, view: View) -> list[Offer]:
        """See `Action.offer`."""
        definition = _find_tested(view)
        if definition is None:
            return []
        title = f"Write tests for `{definition.name}`"
        return [Offer(action=self.name, title=title, kind=ActionKind.REFACTOR, target=definition.span)]

    def prepare(
        self, offer: Offer, view: View, tokens_budget: int, count_tokens: CountTokens
    ) -> Plan | Refused:
        """See `Action.prepare`."""
        definition = _find_tested(view)
        assert definition is not None
        assert view.path is not None
        assert view.workspace is not None
        place = find_test_place(view.path, view.workspace)
        if not place.module:
            reason = (
                f"{offer.title}: {view.path.name} cannot be imported by that name, so tests cannot reach it."
            )
            return Refused(reason=reason)
        state = view.workspace.read_file(place.path)
        if state.lines is None and view.workspace.exists(place.path):
            return Refused(reason=f"{offer.title}: {place.path} is there and cannot be read as text.")
        question = Question(
            task=f"Write a test function named `test_{definition.name}` that calls the {definition.kind}"
            f" `{definition.name}` and checks its results with `assert`."
            f" Begin with `from {place.module} import {_imported(definition)}`.",
            code=show_definition(definition),
            target=offer.target,
            owner=definition.owner,
            name=definition.name,
        )
        return build_plan(offer, view, question, tokens_budget, count_tokens)

    def finish(self, plan: Plan, reply: str, current: Current) -> Outcome:
        """See `Action.finish`."""
        view, definition = plan.view, _find_tested(plan.view)
        assert definition is not None
        assert view.path is not None
        assert view.workspace is not None
        answer = read_answer(plan, reply)
        if isinstance(answer, Refused):
            return answer
        place = find_test_place(view.path, view.workspace)
        tests = read_tests(answer, definition.name, _imported(definition), place.module)
        if isinstance(tests, Useless):
            return refuse_useless(plan, tests)
        state = view.workspace.read_file(place.path)
        if state.lines is None:
            text = render_test_file(tests, find_style(view.lines))
            lines, edits = Lines(""), [TextEdit(span=Span(start=0, end=0), text=text)]
        else:
            lines, edits = state.lines, place_tests(state.lines, tests)
        if not edits:
            return refuse(plan, "has only tests that are there already", answer.code, can_retry=False)
        harm = find_harm(lines.text, apply_edits(lines.text, edits))
        if harm:
            return refuse(plan, harm, answer.code)
        file = FileEdit(
            uri=state.uri,
            version=state.version,
            lines=lines,
            edits=tuple(edits),
            creates=state.lines is None,
        )
        return Edits(
            title=plan.offer.title, files=(file,), snapshot=current.snapshot, code=answer.code, notes=()
        )


def _find_tested(view: View) -> Definition | None:
    """A function at the top level or a method of a class there; others no test can import."""
    if view.path is None or view.workspace is None or view.tree.is_cell or is_test_file(view.path):
        return None
    definition = find_definition(view.tree, view.selection)
    if definition is None or definition.is_class or not definition.is_sound or not has_body(definition):
        return None
    depth = len(find_enclosing(view.tree, definition.span))
    return definition if depth == (1 if definition.owner is None else 2) else None


def _imported(definition: Definition) -> str:
    return definition.owner.name if definition.owner is not None else definition.name
