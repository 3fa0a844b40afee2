"""Implement `name` until its tests pass: as "Implement", but answers are run before one changes anything."""

from __future__ import annotations

from dataclasses import replace

from lsp.actions.implement import Implement
from lsp.actions.interface import CountTokens, Offer, Outcome, Plan, Refused, Trial, View
from lsp.actions.planning import find_target
from lsp.mirror import Current
from lsp.regions import find_definition
from lsp.trials import find_trial, may_have_tests

SHOWN_PART = 3
"""Tests take a third of what task and input may have at most; longer ones are run and not shown."""


class ImplementTested:
    """Offered where "Implement" is and there may be tests. Whether there are is seen when it is chosen."""

    name = "tested"

    def __init__(self) -> None:
        self._plain = Implement()

    def offer(self, view: View) -> list[Offer]:
        """See `Action.offer`."""
        definition = find_definition(view.tree, view.selection)
        if definition is None or not may_have_tests(view, definition):
            return []
        title = f"Implement `{definition.name}` until its tests pass"
        return [replace(offer, action=self.name, title=title) for offer in self._plain.offer(view)]

    def prepare(
        self, offer: Offer, view: View, tokens_budget: int, count_tokens: CountTokens
    ) -> Plan | Refused:
        """See `Action.prepare`."""
        definition = find_target(view, offer)
        trial = find_trial(view, definition)
        if trial is None:
            reason = (
                f"{offer.title}: there are none. It has no doctest, and neither this file nor the test file"
                f" of its module has a test that names `{definition.name}`."
            )
            return Refused(reason=reason)
        size = count_tokens(trial.shown) if trial.shown else 0
        is_shown = 0 < size <= tokens_budget // SHOWN_PART
        plan = self._plain.prepare(
            offer, view, tokens_budget - size if is_shown else tokens_budget, count_tokens
        )
        if isinstance(plan, Refused):
            return plan
        return replace(_show_tests(plan, trial) if is_shown else plan, trial=trial)

    def finish(self, plan: Plan, reply: str, current: Current) -> Outcome:
        """See `Action.finish`."""
        return self._plain.finish(plan, reply, current)


def _show_tests(plan: Plan, trial: Trial) -> Plan:
    turn = plan.request.turns[-1]
    task = f"{turn.text} The tests at the end of the input must pass; do not repeat them."
    asked = replace(turn, text=task, input=f"{turn.input.rstrip()}\n\n{trial.shown}")
    return replace(plan, request=replace(plan.request, turns=(*plan.request.turns[:-1], asked)))
