"""Implement `name`: a function whose body is missing gets one. Its header and docstring stay as they are."""

from __future__ import annotations

from lsp.actions.finishing import make_edits, read_answer, refuse_useless
from lsp.actions.interface import ActionKind, CountTokens, Offer, Outcome, Plan, Refused, View
from lsp.actions.planning import Question, build_plan, find_target, show_definition
from lsp.extraction import Answer, Useless
from lsp.grafting import find_answered, find_mismatch, find_place, graft_body, read_bare_body, read_body
from lsp.mirror import Current
from lsp.outline import Definition, find_stub, has_body
from lsp.regions import find_definition


class Implement:
    """Offered on a function or method that holds nothing but a placeholder."""

    name = "implement"

    def offer(self, view: View) -> list[Offer]:
        """See `Action.offer`."""
        definition = find_definition(view.tree, view.selection)
        if definition is None or find_stub(definition) is None or _is_declaration(view):
            return []
        title = f"Implement `{definition.name}`"
        return [Offer(action=self.name, title=title, kind=ActionKind.REWRITE, target=find_place(definition))]

    def prepare(
        self, offer: Offer, view: View, tokens_budget: int, count_tokens: CountTokens
    ) -> Plan | Refused:
        """See `Action.prepare`."""
        definition = find_target(view, offer)
        kind = definition.kind
        whole = f" of the class `{definition.owner.name}`" if definition.owner is not None else ""
        question = Question(
            task=f"Implement the {kind} `{definition.name}`{whole}. Write the whole {kind} and nothing else.",
            code=show_definition(definition, offer.target),
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
        body = _find_body(definition, answer)
        if isinstance(body, Useless):
            return refuse_useless(plan, body)
        edits = graft_body(definition, body, answer, cells=plan.view.cells_before)
        return make_edits(plan, edits, current, code=answer.code)


def _find_body(definition: Definition, answer: Answer) -> str | Useless:
    answered = find_answered(answer, definition)
    if isinstance(answered, Useless):
        return read_bare_body(answer) or answered
    mismatch = find_mismatch(definition, answered)
    if mismatch:
        return Useless(reason=mismatch, code=answer.code)
    if not has_body(answered):
        return Useless(reason=f"leaves `{definition.name}` without a body", code=answer.code)
    return read_body(answered)


def _is_declaration(view: View) -> bool:
    """Whether the file is a stub file, in which bodies are meant to be missing."""
    return view.path is not None and view.path.suffix == ".pyi"
