"""From what an action wants to the question that the model is asked, within its budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from assistant.requests import build_task_request
from lsp.actions.interface import CountTokens, Offer, Plan, Refused, View
from lsp.context import Overflow, build_input, find_surroundings
from lsp.edits import TextEdit, apply_edits
from lsp.outline import Definition, find_enclosing
from lsp.positions import Lines, Span
from lsp.regions import Region
from lsp.style import cut_code

MAX_ATTEMPTS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What an action wants to know."""

    task: str
    """In words."""
    code: str
    """What it is about, as the model is to see it; may be empty."""
    target: Span
    """What may change."""
    owner: Definition | None = None
    """The class that the code is in."""
    name: str = ""
    """What the code defines."""


def build_plan(
    offer: Offer, view: View, question: Question, tokens_budget: int, count_tokens: CountTokens
) -> Plan | Refused:
    """Turn a question into a request, with as much of what stands around as fits.

    Returns:
        The plan, or a refusal where the code itself does not fit.
    """
    surroundings = find_surroundings(
        view.tree,
        f"{question.code}\n{question.task}",
        owner=question.owner,
        name=question.name,
        before=view.cells_before,
    )
    shown = build_input(question.code, surroundings, question.task, tokens_budget, count_tokens)
    if isinstance(shown, Overflow):
        return Refused(reason=f"{offer.title}: this is too long for the model: {shown}. Select less.")
    request = build_task_request(question.task, shown)
    return Plan(offer=offer, view=view, target=question.target, request=request)


def build_retry(plan: Plan, fault: str) -> Plan | None:
    """The same question once more, with what was wrong with the answer; None where that was done already."""
    if plan.attempt >= MAX_ATTEMPTS:
        return None
    turn = plan.request.turns[-1]
    task = f"{turn.text}\n\nAn earlier answer could not be used: it {fault}. Answer with Python code alone."
    turns = (*plan.request.turns[:-1], replace(turn, text=task))
    request = replace(plan.request, turns=turns)
    return replace(plan, request=request, attempt=plan.attempt + 1, was_cut=False)


def cut_edited(lines: Lines, span: Span, edits: Sequence[TextEdit]) -> str:
    """The text of a span after edits within it, without the indentation that its lines share."""
    after = apply_edits(lines.text, edits)
    return cut_code(Lines(after), Span(start=span.start, end=span.end + len(after) - len(lines.text)))


def find_target(view: View, offer: Offer) -> Definition:
    """The function or class that an offer of this view is about."""
    around = find_enclosing(view.tree, Span(start=offer.target.start, end=offer.target.start + 1))
    return next(each for each in reversed(around) if each.span.start == offer.target.start)


def show_definition(definition: Definition, place: Span | None = None) -> str:
    """A definition as the model sees it: below its class where it is in one, and with comments for a body."""
    lines = definition.tree.lines
    return cut_code(lines, place or definition.span, keep_indent=definition.owner is not None)


def show_region(view: View, region: Region) -> str:
    """A region as the model sees it."""
    return show_definition(region.definition) if region.definition else cut_code(view.lines, region.span)
