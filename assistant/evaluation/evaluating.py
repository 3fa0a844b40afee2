"""One evaluation: what is left of it is answered and judged, each row kept as it comes.

Generating and judging go on beside each other. A process that ends at any moment leaves rows that are whole;
started again, it does what is missing, and its numbers are those of one that was never interrupted.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from assistant.errors import UsageError
from assistant.evaluation.answers import (
    Key,
    Reply,
    Score,
    parse_replies,
    parse_scores,
    reply_to_row,
    score_to_row,
)
from assistant.evaluation.generating import Asking, find_groups, stream_replies
from assistant.evaluation.nll import read_nll
from assistant.evaluation.problems import Problem
from assistant.evaluation.records import REPLIES_NAME, SCORES_NAME, Record, ResultsDir, find_changes
from assistant.evaluation.row_files import RowFile, read_whole_rows
from assistant.evaluation.scoring import Judge, Scoring
from assistant.evaluation.summary import Summary, build_summary


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far an evaluation is."""

    stage: str
    """What is being done, where that is not answering or judging; else empty."""
    answered: int
    judged: int
    passed: int
    total: int
    """Answers in the end."""
    earlier: int
    """Answers that were there at the start."""


Report = Callable[[Progress], None]
"""Called on any thread."""


def run_evaluation(
    results: ResultsDir,
    record: Record,
    problems: Sequence[Problem],
    *,
    asking: Asking | None,
    judge: Judge | None,
    report: Report,
) -> Summary:
    """Do what is left of an evaluation. The caller holds its lock.

    Args:
        results: Where its rows are.
        record: What is evaluated; `check_record` has taken it.
        problems: Of the suite.
        asking: Who answers; None to judge alone.
        judge: Who judges; None to answer alone.
        report: Told how far it is.

    Raises:
        AssistantError: The generator, the sandbox or the disk fails; all rows so far are kept.
    """
    replies, scores = read_results(results)
    with (
        contextlib.closing(RowFile(results.path / REPLIES_NAME)) as reply_file,
        contextlib.closing(RowFile(results.path / SCORES_NAME)) as score_file,
    ):
        counter = _Counter(record.answers, replies, scores, report)

        def keep(score: Score) -> None:
            score_file.append(score_to_row(score))
            counter.note_score(score)

        scoring = Scoring(problems, judge, keep) if judge is not None else None
        if scoring is not None:
            for key in replies.keys() - scores.keys():
                scoring.add(replies[key])
        if asking is not None:
            groups = find_groups(problems, record.samples, replies, largest=asking.largest_group)
            with contextlib.closing(stream_replies(groups, asking)) as arrivals:
                for arrival in arrivals:
                    if not isinstance(arrival, Reply):
                        counter.note_stage(arrival.stage)
                        continue
                    reply_file.append(reply_to_row(arrival))
                    counter.note_reply(arrival)
                    if scoring is not None:
                        scoring.add(arrival)
                        scoring.check()
        if scoring is not None:
            counter.note_stage("")
            scoring.finish()
    return read_summary(results)


def check_record(results: ResultsDir, record: Record, *, replace_it: bool = False) -> Record:
    """Write what is evaluated, or hold it against what is there; return what holds. Needs the lock.

    Args:
        results: Where it is kept.
        record: What is to be evaluated.
        replace_it: Forget what is there.

    Raises:
        UsageError: What is there is an evaluation of something else; the message names what changed.
        StorageError: It cannot be written.
    """
    if replace_it:
        results.clear()
    old = results.find_record()
    if old is None:
        results.clear()  # rows without a record are of nobody
        results.write_record(record)
        return record
    refuse_changes(results, old, record)
    if record.sandbox and not old.sandbox:
        old = replace(old, sandbox=record.sandbox)
        results.write_record(old)
    return old


def refuse_changes(results: ResultsDir, old: Record, new: Record) -> None:
    """Check that one evaluation goes on with another.

    Raises:
        UsageError: It does not; the message names what changed.
    """
    changes = find_changes(old, new)
    if changes:
        raise UsageError(
            f"{results.name} is an evaluation of something else: {', '.join(changes)}",
            hint="give another --name, or --replace it",
        )


def read_results(results: ResultsDir) -> tuple[dict[Key, Reply], dict[Key, Score]]:
    """Return the answers and judgements so far.

    Raises:
        UsageError: A file is damaged.
    """
    replies = parse_replies(read_whole_rows(results.path / REPLIES_NAME))
    scores = parse_scores(read_whole_rows(results.path / SCORES_NAME))
    return replies, {key: score for key, score in scores.items() if key in replies}


def read_summary(results: ResultsDir) -> Summary:
    """Count what is there.

    Raises:
        UsageError: There is no such evaluation, or a file of it is damaged.
    """
    replies, scores = read_results(results)
    return build_summary(results.name, results.get_record(), replies, scores, read_nll(results.path))


class _Counter:
    """Counts rows from any thread and reports each change."""

    def __init__(
        self, total: int, replies: dict[Key, Reply], scores: dict[Key, Score], report: Report
    ) -> None:
        self._lock = threading.Lock()
        self._report = report
        self._now = Progress(
            stage="",
            answered=len(replies),
            judged=len(scores),
            passed=sum(score.passed for score in scores.values()),
            total=total,
            earlier=len(replies),
        )
        report(self._now)

    def note_stage(self, stage: str) -> None:
        self._change(lambda now: replace(now, stage=stage))

    def note_reply(self, _: Reply) -> None:
        self._change(lambda now: replace(now, stage="", answered=now.answered + 1))

    def note_score(self, score: Score) -> None:
        self._change(lambda now: replace(now, judged=now.judged + 1, passed=now.passed + score.passed))

    def _change(self, change: Callable[[Progress], Progress]) -> None:
        with self._lock:
            self._now = change(self._now)
            self._report(self._now)
