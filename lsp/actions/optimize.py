"""Optimize: the selection, or the function around the cursor, does the same with less."""

from __future__ import annotations

from lsp.actions.finishing import make_edits, read_answer, refuse_useless
from lsp.actions.interface import ActionKind, CountTokens, Offer, Outcome, Plan, Refused, View
from lsp.actions.planning import Question, build_plan, show_region
from lsp.actions.replacing import replace_body, replace_definition, replace_region
from lsp.comments import is_prose
from lsp.extraction import Useless
from lsp.mirror import Current
from lsp.outline import has_body
from lsp.regions import Region, find_region


class Optimize:
    """Offered on code that is selected, and on the function around the cursor."""

    name = "optimize"

    def offer(self, view: View) -> list[Offer]:
        """See `Action.offer`."""
        region = find_region(view.tree, view.selection)
        if region is None or not _is_code(view, region):
            return []
        what = f"`{region.definition.name}`" if region.definition is not None else "selection"
        return [
            Offer(action=self.name, title=f"Optimize {what}", kind=ActionKind.REWRITE, target=region.span)
        ]

    def prepare(
        self, offer: Offer, view: View, tokens_budget: int, count_tokens: CountTokens
    ) -> Plan | Refused:
        """See `Action.prepare`."""
        region = find_region(view.tree, view.selection)
        assert region is not None
        definition = region.definition
        what = f"{definition.kind} `{definition.name}`" if definition is not None else "code"
        question = Question(
            task=f"Optimize this {what}: the same behavior, faster and simpler. Keep its names.",
            code=show_region(view, region),
            target=region.span,
            owner=definition.owner if definition is not None else None,
            name=definition.name if definition is not None else "",
        )
        return build_plan(offer, view, question, tokens_budget, count_tokens)

    def finish(self, plan: Plan, reply: str, current: Current) -> Outcome:
        """See `Action.finish`."""
        answer = read_answer(plan, reply)
        if isinstance(answer, Refused):
            return answer
        view = plan.view
        region = find_region(view.tree, view.selection)
        assert region is not None
        if region.definition is None:
            replacement = replace_region(view, region, answer)
        elif region.definition.is_class:
            replacement = replace_definition(view, region.definition, answer)
        else:
            replacement = replace_body(view, region.definition, answer)
        if isinstance(replacement, Useless):
            return refuse_useless(plan, replacement)
        edits, notes = replacement
        return make_edits(plan, edits, current, code=answer.code, notes=notes)


def _is_code(view: View, region: Region) -> bool:
    if region.definition is not None:
        return region.definition.is_sound and has_body(region.definition)
    text = region.span.cut(view.text)
    return not is_prose(text) and any(
        row.strip() and not row.strip().startswith("#") for row in text.splitlines()
    )
