"""Fix: *message*. One offer for each problem on the selected lines; syntax errors we find ourselves."""

from __future__ import annotations

from lsp.actions.finishing import make_edits, read_answer, refuse_useless
from lsp.actions.interface import ActionKind, CountTokens, Diagnostic, Offer, Outcome, Plan, Refused, View
from lsp.actions.planning import Question, build_plan, show_region
from lsp.actions.replacing import replace_definition, replace_region
from lsp.extraction import Useless
from lsp.faults import find_chunk, find_syntax_fault
from lsp.mirror import Current
from lsp.outline import find_enclosing
from lsp.positions import Span
from lsp.regions import Region, find_function_region, find_statements, trim

MAX_OFFERS = 8
"""More problems on the same lines would drown the menu."""
_MAX_TITLE_CHARS = 90
_SHORT_LINES = 8
"""In so few lines a problem is found without being told where."""


class Fix:
    """Offered for each problem on the selected lines."""

    name = "fix"

    def offer(self, view: View) -> list[Offer]:
        """See `Action.offer`."""
        offers: list[Offer] = []
        for diagnostic in _find_problems(view):
            message = " ".join(diagnostic.message.split())
            title = f"Fix: {message}"
            title = title if len(title) <= _MAX_TITLE_CHARS else title[: _MAX_TITLE_CHARS - 1] + "…"
            region = _find_region(view, diagnostic)
            offers.append(
                Offer(
                    action=self.name,
                    title=title,
                    kind=ActionKind.QUICK_FIX,
                    target=region.span,
                    diagnostic=diagnostic,
                )
            )
        return offers

    def prepare(
        self, offer: Offer, view: View, tokens_budget: int, count_tokens: CountTokens
    ) -> Plan | Refused:
        """See `Action.prepare`."""
        diagnostic = offer.diagnostic
        assert diagnostic is not None
        region = _find_region(view, diagnostic)
        definition = region.definition
        code = show_region(view, region)
        row = view.lines.line_text(view.lines.line_at(diagnostic.span.start)).strip()
        place = f"\nThe problem is on this line: {row}" if row and code.count("\n") > _SHORT_LINES else ""
        what = f"{definition.kind} `{definition.name}`" if definition is not None else "code"
        question = Question(
            task=f"Fix this problem in the {what}: {diagnostic.message.strip()}{place}",
            code=code,
            target=region.span,
            owner=definition.owner if definition is not None else None,
            name=definition.name if definition is not None else "",
        )
        return build_plan(offer, view, question, tokens_budget, count_tokens)

    def finish(self, plan: Plan, reply: str, current: Current) -> Outcome:
        """See `Action.finish`."""
        diagnostic = plan.offer.diagnostic
        assert diagnostic is not None
        answer = read_answer(plan, reply)
        if isinstance(answer, Refused):
            return answer
        region = _find_region(plan.view, diagnostic)
        definition = region.definition
        if definition is None:
            replacement = replace_region(plan.view, region, answer)
        else:
            header = definition.header
            in_header = header is not None and header.meets(diagnostic.span)
            replacement = replace_definition(plan.view, definition, answer, keeps_parameters=not in_header)
        if isinstance(replacement, Useless):
            return refuse_useless(plan, replacement)
        edits, notes = replacement
        return make_edits(plan, edits, current, code=answer.code, notes=notes)


def _find_problems(view: View) -> list[Diagnostic]:
    """What the editor reports for the selected lines, each message once; else our own syntax error."""
    lines = view.lines
    whole = lines.whole_lines(view.selection)
    found = {
        each.message: each for each in view.diagnostics if each.message.strip() and each.span.meets(whole)
    }
    if found:
        return list(found.values())[:MAX_OFFERS]
    fault = find_syntax_fault(view.tree, lines.line_at(view.selection.start))
    if fault is None:
        return []
    span, message = fault
    return [Diagnostic(span=span, message=message, source="assistant")]


def _find_region(view: View, diagnostic: Diagnostic) -> Region:
    """The function that a problem is in, or its statements; by indentation where the tree is broken there."""
    tree, lines = view.tree, view.lines
    start = min(diagnostic.span.start, len(lines.text))
    function = find_function_region(tree, start)
    definition = function.definition if function is not None else None
    if function is not None and definition is not None and definition.is_sound:
        return function
    line = lines.line_at(start)
    here = trim(lines, lines.content(line))
    statements = find_statements(tree, here) if not here.is_empty else None
    if statements is None or _is_broken(view, statements):
        span = find_chunk(lines, line)
        around = find_enclosing(tree, span)
        return Region(span=span, around=around[-1] if around and around[-1].span != span else None)
    exact = next((each for each in find_enclosing(tree, statements) if each.span == statements), None)
    if exact is not None:
        return Region(span=statements, definition=exact, around=exact)
    around = find_enclosing(tree, statements)
    return Region(span=statements, around=around[-1] if around else None)


def _is_broken(view: View, span: Span) -> bool:
    node = view.tree.root.descendant_for_byte_range(span.start, span.end)
    return node is None or node.has_error
