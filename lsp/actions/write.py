"""Write code for this task: a comment, a TODO, a lone string or a selected sentence becomes code.

A comment stays and its code comes below it. What is no comment is replaced, and so is a TODO, which is done.
"""

from __future__ import annotations

from lsp.actions.finishing import make_edits, read_answer, refuse_useless
from lsp.actions.interface import ActionKind, CountTokens, Offer, Outcome, Plan, Refused, View
from lsp.actions.planning import Question, build_plan
from lsp.comments import Wish, find_comment, find_lone_string, find_sentence
from lsp.edits import TextEdit
from lsp.extraction import Useless
from lsp.mirror import Current
from lsp.outline import Definition, find_enclosing
from lsp.positions import Span
from lsp.regions import is_cursor, probe, stands_alone, trim
from lsp.style import cut_code, find_style, leading_space
from lsp.swapping import swap_statements

_ORDERS = ("write ", "create ", "implement ", "define ", "escribe ", "crea ")


class WriteCode:
    """Offered on words that ask for code."""

    name = "write"

    def offer(self, view: View) -> list[Offer]:
        """See `Action.offer`."""
        wish = _find_wish(view)
        if wish is None:
            return []
        title = "Write code for this task"
        return [
            Offer(action=self.name, title=title, kind=ActionKind.REWRITE, target=_find_target(view, wish))
        ]

    def prepare(
        self, offer: Offer, view: View, tokens_budget: int, count_tokens: CountTokens
    ) -> Plan | Refused:
        """See `Action.prepare`."""
        wish = _find_wish(view)
        assert wish is not None
        around = _find_function(view, offer.target)
        task, code = _render_task(wish), ""
        if around is not None:
            task += f"\n\nThis belongs into `{around.name}`: write only the lines that come next there."
            shown = Span(
                start=around.span.start, end=offer.target.start if not _stays(wish) else offer.target.end
            )
            code = cut_code(view.lines, shown, keep_indent=around.owner is not None).rstrip()
        question = Question(
            task=task,
            code=code,
            target=offer.target,
            owner=around.owner if around is not None else None,
            name=around.name if around is not None else "",
        )
        plan = build_plan(offer, view, question, tokens_budget, count_tokens)
        if isinstance(plan, Refused) and code:
            alone = Question(task=_render_task(wish), code="", target=offer.target)
            return build_plan(offer, view, alone, tokens_budget, count_tokens)
        return plan

    def finish(self, plan: Plan, reply: str, current: Current) -> Outcome:
        """See `Action.finish`."""
        answer = read_answer(plan, reply)
        if isinstance(answer, Refused):
            return answer
        view, target, wish = plan.view, plan.target, _find_wish(plan.view)
        assert wish is not None
        around = _find_function(view, target)
        text = swap_statements(view.tree, target, answer, around, keeps=_stays(wish))
        if isinstance(text, Useless):
            return refuse_useless(plan, text)
        edit = TextEdit(span=target, text=text)
        if _stays(wish):
            indent = leading_space(view.lines.line_text(view.lines.line_at(target.start)))
            below = Span(start=target.end, end=target.end)
            edit = TextEdit(span=below, text=find_style(view.lines).line_end + indent + text)
        return make_edits(plan, [edit], current, code=answer.code)


def _find_wish(view: View) -> Wish | None:
    tree, lines = view.tree, view.lines
    if is_cursor(lines, view.selection):
        at = probe(lines, view.selection.start)
        return find_comment(tree, lines.line_at(at.start)) or find_lone_string(tree, at)
    span = trim(lines, view.selection)
    first, last = lines.line_at(span.start), lines.line_at(span.end)
    comment = find_comment(tree, first)
    if comment is not None:
        return comment if lines.line_at(comment.span.end) >= last else None
    string = find_lone_string(tree, span)
    if string is not None:
        return string
    sentence = find_sentence(lines, span)
    is_code = tree.root.descendant_for_byte_range(span.start, span.end)
    if sentence is None or (is_code is not None and is_code.type in ("comment", "string", "string_content")):
        return None
    return sentence if stands_alone(lines, sentence.span) else None


def _render_task(wish: Wish) -> str:
    """The words as an order: a comment often says only what comes next."""
    is_order = wish.words.lower().startswith(_ORDERS)
    return wish.words if is_order else f"Write Python code: {wish.words}"


def _stays(wish: Wish) -> bool:
    return wish.is_comment and (wish.is_trailing or not wish.is_todo)


def _find_target(view: View, wish: Wish) -> Span:
    """The words; with all of the line where they stand behind code."""
    if not wish.is_trailing:
        return wish.span
    return trim(view.lines, view.lines.content(view.lines.line_at(wish.span.start)))


def _find_function(view: View, target: Span) -> Definition | None:
    """The function that a place is in. At a function's end only its indentation can tell."""
    around = find_enclosing(view.tree, target)
    if around:
        return around[-1] if not around[-1].is_class else None
    indent = leading_space(view.lines.line_text(view.lines.line_at(target.start)))
    if not indent:
        return None
    before = target.start
    while before > 0:
        number = view.lines.line_at(before - 1)
        content = trim(view.lines, view.lines.content(number))
        before = view.lines.starts[number]
        if content.is_empty:
            continue
        found = find_enclosing(view.tree, Span(start=content.start, end=content.start + 1))
        inner = [each for each in found if len(each.indent) < len(indent)]
        return inner[-1] if inner and not inner[-1].is_class else None
    return None
