"""From an action's changes to edits that are current, small and harmless, or to a refusal that says why."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lsp.actions.interface import Edits, FileEdit, Outcome, Plan, Refused
from lsp.actions.planning import build_retry
from lsp.edits import TextEdit, apply_edits, trim_equal_ends
from lsp.extraction import Answer, Useless, extract_answer
from lsp.gate import find_harm
from lsp.mirror import Current
from lsp.moving import find_moved
from lsp.positions import Span


def refuse(plan: Plan, fault: str, code: str = "", *, can_retry: bool = True) -> Refused:
    """Change nothing because of what is wrong with the answer.

    Args:
        plan: What was asked.
        fault: Follows "the answer".
        code: What is kept for "Insert last result".
        can_retry: Whether asking again, with the fault, may help.
    """
    reason = f"{plan.offer.title}: nothing was changed, because the answer {fault}."
    return Refused(reason=reason, code=code, retry=build_retry(plan, fault) if can_retry else None)


def read_answer(plan: Plan, reply: str) -> Answer | Refused:
    """Take the code out of a reply, or refuse it."""
    shown = plan.request.turns[-1].input.strip()
    if not reply.strip().startswith(f"{shown}\n"):
        shown = ""  # not a repetition of whole lines: `x = (` is not what `x = ()` begins with
    answer = extract_answer(reply, shown, is_cut=plan.was_cut)
    if isinstance(answer, Useless) and not answer.code and shown:
        answer = extract_answer(reply, "", is_cut=plan.was_cut)  # a mere repetition is told as what it is
    return answer if isinstance(answer, Answer) else refuse_useless(plan, answer)


def refuse_useless(plan: Plan, useless: Useless) -> Refused:
    """Change nothing because nothing can be made of the answer."""
    return refuse(plan, useless.reason, useless.code)


def replace_target(
    plan: Plan, text: str, current: Current, *, code: str, notes: Sequence[str] = ()
) -> Outcome:
    """Put a text in the place of the whole target."""
    return make_edits(plan, [TextEdit(span=plan.target, text=text)], current, code=code, notes=notes)


def make_edits(
    plan: Plan, edits: Iterable[TextEdit], current: Current, *, code: str, notes: Sequence[str] = ()
) -> Outcome:
    """Make changes where their text is now, if it still is and if they break nothing.

    Args:
        plan: What was asked; the changes lie within its target.
        edits: In the text of the plan's view, in the order of their places.
        current: What became of that text.
        code: What is put in.
        notes: What the user should know.
    """
    made_for, is_cell = plan.view.snapshot, plan.view.tree.is_cell
    small = [edit for edit in (_shrink(edit, made_for.text) for edit in _merge(edits)) if edit is not None]
    if not small:
        return refuse(plan, "is what stands there already", code)
    if not plan.target.covers(Span(start=small[0].span.start, end=small[-1].span.end)):
        raise ValueError(f"{plan.offer.action}: an edit leaves its target {plan.target}")
    moved = find_moved(plan.target, made_for, current)
    if moved is None:
        reason = f"{plan.offer.title}: nothing was changed, because the text it is for was changed meanwhile."
        return Refused(reason=reason, code=code)
    shift = moved.start - plan.target.start
    placed = tuple(
        TextEdit(span=Span(start=edit.span.start + shift, end=edit.span.end + shift), text=edit.text)
        for edit in small
    )
    now = current.snapshot
    harm = find_harm(now.text, apply_edits(now.text, placed), is_cell=is_cell)
    if harm:
        return refuse(plan, harm, code)
    file = FileEdit(uri=now.uri, version=now.version, lines=now.lines, edits=placed)
    return Edits(title=plan.offer.title, files=(file,), snapshot=now, code=code, notes=tuple(notes))


def _merge(edits: Iterable[TextEdit]) -> list[TextEdit]:
    """Make one edit of those that touch, so that no editor has to know which comes first."""
    merged: list[TextEdit] = []
    for edit in edits:
        if merged and merged[-1].span.end == edit.span.start:
            last = merged.pop()
            span = Span(start=last.span.start, end=edit.span.end)
            edit = TextEdit(span=span, text=last.text + edit.text)
        merged.append(edit)
    return merged


def _shrink(edit: TextEdit, text: str) -> TextEdit | None:
    span, new = trim_equal_ends(edit.span.cut(text), edit.text)
    if span.is_empty and not new:
        return None
    start = edit.span.start
    return TextEdit(span=Span(start=start + span.start, end=start + span.end), text=new)
