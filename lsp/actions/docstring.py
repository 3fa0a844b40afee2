"""Add docstring: only the docstring of the answer is taken, so that nothing else can change."""

from __future__ import annotations

from lsp.actions.finishing import make_edits, read_answer, refuse, refuse_useless
from lsp.actions.interface import ActionKind, CountTokens, Offer, Outcome, Plan, Refused, View
from lsp.actions.planning import Question, build_plan, cut_edited, find_target, show_definition
from lsp.docstrings import find_docstring, place_docstring
from lsp.extraction import Useless
from lsp.gate import adds_docstring_alone
from lsp.mirror import Current
from lsp.regions import find_definition
from lsp.style import cut_code

TASK = (
    "Rewrite the {kind} `{name}` with a docstring in triple quotes as its first statement."
    " Change nothing else."
)  # fmt: skip


class AddDocstring:
    """Offered on a function or class that has none."""

    name = "docstring"

    def offer(self, view: View) -> list[Offer]:
        """See `Action.offer`."""
        definition = find_definition(view.tree, view.selection)
        if definition is None or not definition.is_sound or definition.docstring is not None:
            return []
        title = f"Add docstring to `{definition.name}`"
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
        literal = find_docstring(answer, definition)
        edit = literal if isinstance(literal, Useless) else place_docstring(definition, literal)
        if isinstance(edit, Useless):
            return refuse_useless(plan, edit)
        code = cut_code(plan.view.lines, definition.span)
        if not adds_docstring_alone(code, cut_edited(plan.view.lines, definition.span, [edit])):
            return refuse(plan, "would change more than the docstring", answer.code)
        return make_edits(plan, [edit], current, code=answer.code)
