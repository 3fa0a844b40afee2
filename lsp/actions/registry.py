"""All actions together: one menu, and each answer to the action that asked for it."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import replace

from assistant.requests import Sampling
from lsp.actions.interface import Action, ActionKind, CountTokens, Offer, Outcome, Plan, Refused, View
from lsp.mirror import Current

_CELL_MAGIC = re.compile(r"\s*%%(\w+)")
_PYTHON_MAGICS = frozenset({"time", "timeit", "capture", "prun", "python", "python3"})


class ActionSet:
    """The actions of one user. Never changes; make another when the user's own actions do.

    Args:
        actions: In the order of the menu. No two have the same name.
        complaints: What was wrong with actions that are not among them, each a sentence for the user.
    """

    def __init__(self, actions: Sequence[Action], *, complaints: Sequence[str] = ()) -> None:
        self._actions = {action.name: action for action in actions}
        self.complaints = tuple(complaints)
        """To be shown once, when the editor is ready."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of all actions, in the order of the menu: what `hidden_actions` may hold."""
        return tuple(self._actions)

    def offer(
        self,
        view: View,
        *,
        only: Sequence[str] = (),
        is_automatic: bool = False,
        hidden: Collection[str] = (),
    ) -> list[Offer]:
        """What fits the selection.

        Args:
            view: What is looked at.
            only: Kinds that the editor asks for, their sub-kinds included; empty for all.
            is_automatic: Nobody opened a menu: the editor asks at each move of the cursor.
            hidden: Names of actions that the user does not want to see.
        """
        if _is_foreign(view):
            return []
        view = _focus(view)
        wanted = (ActionKind.QUICK_FIX,) if is_automatic else ()
        return [
            offer
            for name, action in self._actions.items()
            if name not in hidden
            for offer in action.offer(view)
            if _is_among(offer.kind, wanted) and _is_among(offer.kind, only)
        ]

    def find_offer(self, view: View, key: str) -> Offer | None:
        """The offer of that key, if it still fits: the text may have changed since the menu was shown."""
        action = self._actions.get(key.split("\n")[0])
        offers = action.offer(_focus(view)) if action else []
        return next((offer for offer in offers if offer.key == key), None)

    def prepare(
        self,
        offer: Offer,
        view: View,
        tokens_budget: int,
        count_tokens: CountTokens,
        *,
        sampling: Sampling | None = None,
        model: str = "",
    ) -> Plan | Refused:
        """What to ask for an offer that was made for this view; see `Action.prepare`."""
        view = _focus(view)
        found = self.find_offer(view, offer.key)
        if found is None:
            return Refused(reason=f"{offer.title}: this does not fit what stands there now.")
        plan = self._actions[offer.action].prepare(found, view, tokens_budget, count_tokens)
        if isinstance(plan, Refused):
            return plan
        request = replace(plan.request, sampling=sampling or Sampling(), model=model)
        return replace(plan, request=request)

    def finish(self, plan: Plan, reply: str, current: Current, *, was_cut: bool = False) -> Outcome:
        """What to do with an answer; see `Action.finish`.

        Args:
            plan: What was asked.
            reply: All that the model wrote.
            current: What became of the plan's snapshot.
            was_cut: The answer ended because it may not be longer.
        """
        plan = replace(plan, was_cut=was_cut) if was_cut else plan
        return self._actions[plan.offer.action].finish(plan, reply, current)


def _focus(view: View) -> View:
    tree = view.tree.whole.focused(view.selection)
    return view if tree is view.tree else replace(view, tree=tree)


def _is_foreign(view: View) -> bool:
    """Whether a notebook's cell holds another language."""
    magic = _CELL_MAGIC.match(view.text) if view.tree.is_cell else None
    return magic is not None and magic[1] not in _PYTHON_MAGICS


def _is_among(kind: str, wanted: Sequence[str]) -> bool:
    return not wanted or any(kind == each or kind.startswith(f"{each}.") for each in wanted)
