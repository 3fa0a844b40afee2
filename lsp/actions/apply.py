"""Apply the instruction in this comment: the selected code is rewritten as a comment in it asks."""

from __future__ import annotations

from lsp.actions.finishing import make_edits, read_answer, refuse_useless
from lsp.actions.interface import ActionKind, CountTokens, Offer, Outcome, Plan, Refused, View
from lsp.actions.planning import Question, build_plan
from lsp.comments import Wish, find_instruction
from lsp.edits import TextEdit
from lsp.extraction import Answer, Useless
from lsp.mirror import Current
from lsp.outline import find_enclosing
from lsp.parsing import parses
from lsp.positions import Lines, Span
from lsp.regions import find_statements, is_cursor, trim
from lsp.style import cut_code
from lsp.swapping import swap_statements
from lsp.syntax import SyntaxTree

TASK = "Change this code: {words}"


class ApplyComment:
    """Offered on a selection that holds code and a comment that asks for something."""

    name = "apply"

    def offer(self, view: View) -> list[Offer]:
        """See `Action.offer`."""
        wish = _find_instruction(view)
        if wish is None:
            return []
        title = "Apply the instruction in this comment"
        return [Offer(action=self.name, title=title, kind=ActionKind.REWRITE, target=_find_target(view))]

    def prepare(
        self, offer: Offer, view: View, tokens_budget: int, count_tokens: CountTokens
    ) -> Plan | Refused:
        """See `Action.prepare`."""
        wish = _find_instruction(view)
        assert wish is not None
        around = find_enclosing(view.tree, offer.target)
        code = cut_code(view.lines, offer.target)
        marks = set(cut_code(view.lines, wish.span).split("\n"))
        rows = [row for row in code.split("\n") if row.strip() not in marks]
        question = Question(
            task=TASK.format(words=wish.words),
            code="\n".join(rows),
            target=offer.target,
            owner=around[-1] if around and around[-1].is_class else None,
        )
        return build_plan(offer, view, question, tokens_budget, count_tokens)

    def finish(self, plan: Plan, reply: str, current: Current) -> Outcome:
        """See `Action.finish`."""
        answer = read_answer(plan, reply)
        if isinstance(answer, Refused):
            return answer
        view, wish = plan.view, _find_instruction(plan.view)
        assert wish is not None
        around = find_enclosing(view.tree, plan.target)
        kept = _without_instruction(view, wish, answer)
        text = swap_statements(view.tree, plan.target, kept, around[-1] if around else None)
        if isinstance(text, Useless):
            return refuse_useless(plan, text)
        return make_edits(plan, [TextEdit(span=plan.target, text=text)], current, code=answer.code)


def _find_instruction(view: View) -> Wish | None:
    if is_cursor(view.lines, view.selection):
        return None
    return find_instruction(view.tree, trim(view.lines, view.selection))


def _find_target(view: View) -> Span:
    """The selected lines where they are statements, else the statements that they are a part of."""
    lines = view.lines
    whole = lines.whole_lines(trim(lines, view.selection))
    if not parses(cut_code(lines, whole)):
        whole = find_statements(view.tree, trim(lines, view.selection)) or whole
    return trim(lines, whole)


def _without_instruction(view: View, wish: Wish, answer: Answer) -> Answer:
    """Leave the comment away where the answer begins with it: it has been carried out."""
    marks = set(cut_code(view.lines, wish.span).split("\n"))
    rows = answer.code.split("\n")
    while len(rows) > 1 and rows[0].strip() in marks:
        rows.pop(0)
    code = "\n".join(rows)
    return Answer(code=code, tree=SyntaxTree(Lines(code)), is_cut=answer.is_cut)
