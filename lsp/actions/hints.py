"""Add type hints: only the hints of the answer are taken, so that nothing else can change."""

from __future__ import annotations

from lsp.actions.finishing import make_edits, read_answer, refuse, refuse_useless
from lsp.actions.interface import ActionKind, CountTokens, Offer, Outcome, Plan, Refused, View
from lsp.actions.planning import Question, build_plan, cut_edited, find_target, show_definition
from lsp.extraction import Useless
from lsp.gate import adds_hints_alone
from lsp.grafting import find_answered
from lsp.hinting import find_hints
from lsp.mirror import Current
from lsp.outline import Definition
from lsp.regions import find_definition
from lsp.style import cut_code

TASK = (
    "Rewrite the {kind} `{name}` with type annotations, such as `def f(x: int, y: str) -> bool:`."
    " Change nothing else."
)


class AddTypeHints:
    """Offered on a function that lacks some, or a class with such a function."""

    name = "hints"

    def offer(self, view: View) -> list[Offer]:
        """See `Action.offer`."""
        definition = find_definition(view.tree, view.selection)
        if definition is None or not definition.is_sound or not _lacks_hints(definition):
            return []
        title = f"Add type hints to `{definition.name}`"
        return [Offer(action=self.name, title=title, kind=ActionKind.REWRITE, target=definition.span)]

    def prepare(
        self, offer: Offer, view: View, tokens_budget: int, count_tokens: CountTokens
    ) -> Plan | Refused:
        """See `Action.prepare`."""
        definition = find_target(view, offer)
        question = Question(
            task=TASK.format(kind=definition.kind, name=definition.name),
            code=show_definition(definition),
            target=offer.target,
            owner=definition.owner,
            name=definition.name,
        )
        return build_plan(offer, view, question, tokens_budget, count_tokens)

    def finish(self, plan: Plan, reply: str, current: Current) -> Outcome:
        """See `Action.finish`."""
        definition = find_target(plan.view, plan.offer)
        answer = read_answer(plan, reply)
        if isinstance(answer, Refused):
            return answer
        answered = find_answered(answer, definition)
        if isinstance(answered, Useless):
            return refuse_useless(plan, answered)
        edits = find_hints(definition, answered, plan.view.cells_before)
        if not edits:
            return refuse(plan, f"has no type hints that `{definition.name}` lacks", answer.code)
        code = cut_code(plan.view.lines, definition.span)
        if not adds_hints_alone(code, cut_edited(plan.view.lines, definition.span, edits)):
            return refuse(plan, "would change more than type hints", answer.code)
        return make_edits(plan, edits, current, code=answer.code)


def _lacks_hints(definition: Definition) -> bool:
    if not definition.is_class:
        return definition.lacks_hints
    return any(member.lacks_hints for member in definition.members() if not member.is_class)
