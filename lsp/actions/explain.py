"""Explain: what the code does, in words. Changes nothing."""

from __future__ import annotations

import re

from lsp.actions.finishing import refuse
from lsp.actions.interface import ActionKind, CountTokens, Explanation, Offer, Outcome, Plan, Refused, View
from lsp.actions.planning import Question, build_plan, show_region
from lsp.comments import is_prose
from lsp.extraction import is_looping
from lsp.mirror import Current
from lsp.regions import Region, find_definition, find_region
from lsp.style import normalize_breaks

_NO_TEXT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


class Explain:
    """Offered on code that is selected, and on the function or class around the cursor."""

    name = "explain"

    def offer(self, view: View) -> list[Offer]:
        """See `Action.offer`."""
        region = _find_region(view)
        if region is None or (region.definition is None and is_prose(region.span.cut(view.text))):
            return []
        what = f"`{region.definition.name}`" if region.definition is not None else "selection"
        title = f"Explain {what}"
        return [Offer(action=self.name, title=title, kind=ActionKind.REFACTOR, target=region.span)]

    def prepare(
        self, offer: Offer, view: View, tokens_budget: int, count_tokens: CountTokens
    ) -> Plan | Refused:
        """See `Action.prepare`."""
        region = _find_region(view)
        assert region is not None
        definition = region.definition
        what = f"the {definition.kind} `{definition.name}`" if definition is not None else "this code"
        question = Question(
            task=f"Explain in plain words, step by step, what {what} does. Answer in Markdown.",
            code=show_region(view, region),
            target=region.span,
            owner=definition.owner if definition is not None else None,
            name=definition.name if definition is not None else "",
        )
        return build_plan(offer, view, question, tokens_budget, count_tokens)

    def finish(self, plan: Plan, reply: str, current: Current) -> Outcome:
        """See `Action.finish`."""
        text = _NO_TEXT.sub("", normalize_breaks(reply)).replace("\ufffd", "").strip()
        shown = plan.request.turns[-1].input.strip()
        text = text.removeprefix(shown).strip() if shown else text
        if not text:
            return refuse(plan, "is empty")
        if is_looping(text):
            return refuse(plan, "repeats itself without an end", text)
        title = plan.offer.title
        return Explanation(title=title, markdown=f"# {title}\n\n{text}\n")


def _find_region(view: View) -> Region | None:
    region = find_region(view.tree, view.selection)
    if region is not None:
        return region
    definition = find_definition(view.tree, view.selection)
    return Region(span=definition.span, definition=definition) if definition is not None else None
