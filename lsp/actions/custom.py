"""The user's own actions: a title, a task in words, and where it is offered."""

from __future__ import annotations

from dataclasses import dataclass

from lsp.actions.finishing import make_edits, read_answer, refuse, refuse_useless
from lsp.actions.interface import (
    ActionKind,
    CountTokens,
    Diagnostic,
    Explanation,
    Offer,
    Outcome,
    Plan,
    Refused,
    View,
)
from lsp.actions.planning import Question, build_plan, show_region
from lsp.actions.replacing import Replacement, replace_definition, replace_region
from lsp.edits import TextEdit
from lsp.extraction import Answer, Useless, is_looping
from lsp.mirror import Current
from lsp.positions import Span
from lsp.regions import Region, find_definition, find_region, is_cursor, trim
from lsp.style import find_style, leading_space
from lsp.swapping import swap_statements

PLACES = ("selection", "function", "class", "diagnostic", "anywhere")
RESULTS = ("replace", "insert", "explain")
SELECTION, DIAGNOSTICS = "{selection}", "{diagnostics}"
PLACEHOLDERS = (SELECTION, DIAGNOSTICS)


@dataclass(frozen=True, slots=True, kw_only=True)
class UserAction:
    """What a user wrote down; the text under each field is its help."""

    name: str
    """As `hidden_actions` names it."""
    title: str
    """In the menu."""
    task: str
    """What to do, in words. `{selection}` stands for the code, which otherwise is the task's input;
    `{diagnostics}` for what the editor reports about it."""
    where: tuple[str, ...] = ("selection", "function")
    """Where it is offered: on a `selection`, in a `function` or a `class`, where a `diagnostic` is, or
    `anywhere`."""
    result: str = "replace"
    """What becomes of the answer: it may `replace` the code, or come below it (`insert`); `explain` shows
    it."""


class CustomAction:
    """One action of the user.

    Args:
        own: What they wrote.
    """

    def __init__(self, own: UserAction) -> None:
        self.name = own.name
        self._own = own

    def offer(self, view: View) -> list[Offer]:
        """See `Action.offer`."""
        region = self._find_region(view)
        if region is None:
            return []
        kind = ActionKind.REFACTOR if self._own.result == "explain" else ActionKind.REWRITE
        return [Offer(action=self.name, title=self._own.title, kind=kind, target=region.span)]

    def prepare(
        self, offer: Offer, view: View, tokens_budget: int, count_tokens: CountTokens
    ) -> Plan | Refused:
        """See `Action.prepare`."""
        region = self._find_region(view)
        assert region is not None
        code = show_region(view, region)
        messages = "\n".join(each.message for each in _problems(view, region.span))
        # One pass: a placeholder within the code is code.
        parts = self._own.task.split(SELECTION)
        task = code.strip("\n").join(part.replace(DIAGNOSTICS, messages) for part in parts)
        definition = region.definition
        question = Question(
            task=task,
            code="" if len(parts) > 1 else code,
            target=region.span,
            owner=definition.owner if definition is not None else None,
            name=definition.name if definition is not None else "",
        )
        return build_plan(offer, view, question, tokens_budget, count_tokens)

    def finish(self, plan: Plan, reply: str, current: Current) -> Outcome:
        """See `Action.finish`."""
        if self._own.result == "explain":
            return _explain(plan, reply)
        answer = read_answer(plan, reply)
        if isinstance(answer, Refused):
            return answer
        view, region = plan.view, self._find_region(plan.view)
        assert region is not None
        if self._own.result == "insert":
            replacement = _insert_below(view, region, answer)
        elif region.definition is not None:
            replacement = replace_definition(view, region.definition, answer, keeps_parameters=False)
        else:
            replacement = replace_region(view, region, answer)
        if isinstance(replacement, Useless):
            return refuse_useless(plan, replacement)
        edits, notes = replacement
        return make_edits(plan, edits, current, code=answer.code, notes=notes)

    def _find_region(self, view: View) -> Region | None:
        where, lines = self._own.where, view.lines
        is_selected = not is_cursor(lines, view.selection)
        if is_selected and ("selection" in where or "anywhere" in where):
            return find_region(view.tree, view.selection)
        definition = find_definition(view.tree, view.selection)
        if (
            definition is not None
            and definition.is_sound
            and definition.kind.replace("method", "function") in where
        ):
            return Region(span=definition.span, definition=definition, around=definition)
        line = trim(lines, lines.whole_lines(view.selection))
        if "anywhere" in where or ("diagnostic" in where and _problems(view, line)):
            return find_region(view.tree, view.selection) or Region(span=line)
        return None


def _problems(view: View, span: Span) -> list[Diagnostic]:
    whole = view.lines.whole_lines(span)
    return [each for each in view.diagnostics if each.span.meets(whole)]


def _insert_below(view: View, region: Region, answer: Answer) -> Replacement | Useless:
    """Put the answer on lines of its own, below those of the region."""
    lines = view.lines
    first, last = lines.line_at(region.span.start), lines.line_at(region.span.end)
    end = lines.content(last).end
    text = swap_statements(view.tree, region.span, answer, region.around, keeps=True)
    if isinstance(text, Useless):
        return text
    indent = leading_space(lines.line_text(first))
    below = f"{find_style(lines).line_end}{indent}{text}"
    return [TextEdit(span=Span(start=end, end=end), text=below)], []


def _explain(plan: Plan, reply: str) -> Outcome:
    text = reply.strip()
    if not text:
        return refuse(plan, "is empty")
    if is_looping(text):
        return refuse(plan, "repeats itself without an end", text)
    return Explanation(title=plan.offer.title, markdown=f"# {plan.offer.title}\n\n{text}\n")
