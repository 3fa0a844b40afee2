"""From what an action wants to the question that the model is asked, within its budget."""

from __future__ import annotations

from dataclasses import dataclass, replace

from assistant.requests import build_task_request
from lsp.actions.interface import CountTokens, Offer, Plan, Refused, View
from lsp.context import Overflow, build_input, find_surroundings
from lsp.outline import Definition
from lsp.positions import Span
from lsp.style import dedent, normalize_breaks

MAX_ATTEMPTS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What an action wants to know."""

    task: str
    """In words."""
    shown: Span | None
    """The code that it is about; None where there is none."""
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
    code = cut_lines(view, question.shown, keep_indent=question.owner is not None) if question.shown else ""
    surroundings = find_surroundings(
        view.tree,
        code or question.task,
        owner=question.owner,
        name=question.name,
        before=view.cells_before,
    )
    shown = build_input(code, surroundings, question.task, tokens_budget, count_tokens)
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
    return replace(plan, request=replace(plan.request, turns=turns), attempt=plan.attempt + 1)


def cut_lines(view: View, span: Span, *, keep_indent: bool = False) -> str:
    r"""The text of a span, its first line with the indentation it has, all lines ending with `\n`."""
    line = view.lines.line_at(span.start)
    before = view.text[view.lines.starts[line] : span.start]
    text = normalize_breaks((before if not before.strip(" \t") else "") + span.cut(view.text))
    return text if keep_indent else dedent(text)
