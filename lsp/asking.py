"""A job's body: ask the model, look at the answer, ask once more where that can help, hand the outcome over.

Runs on the job's thread. What has to happen on the event loop goes through a `Reporter`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from assistant.errors import AssistantError
from assistant.requests import Event, FinishReason, Sampling
from lsp.actions.interface import Explanation, Offer, Outcome, Plan, Refused, Trial, View
from lsp.actions.registry import ActionSet
from lsp.backend import Backend, Desk
from lsp.explanations import Explanations
from lsp.jobs import Job, Jobs, JobStoppedError, StopReason
from lsp.mirror import Current, Snapshot
from lsp.progress import Meter

MAX_ROUNDS = 4
"""So often is an edit worked out anew for a user who types on, before the typing has to wait for it."""
VARIED_TEMPERATURE = 0.7
"""At 0 the same question has the same answer, and who tries again wants another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """What one job has to do."""

    job: Job
    offer: Offer
    view: View
    """What the offer was made for."""
    max_tokens: int = 0
    """The editor's limit; 0 for none."""
    is_varied: bool = False
    """Ask for another answer than the likeliest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What came of an errand."""

    plan: Plan | None
    """None where there was nothing to ask."""
    reply: str
    outcome: Outcome
    was_cut: bool = False
    """The answer was as long as an answer may be."""
    document: Path | None = None
    """Where an explanation stands."""


class Reporter(Protocol):
    """The errand's other half, on the event loop."""

    def show(self, message: str) -> None:
        """Show what is being done."""
        ...

    def find_current(self, snapshot: Snapshot) -> Current | None:
        """What became of a snapshot; None where its document is gone."""
        ...

    def accept(self, made: Made, *, is_last: bool) -> bool:
        """Take the outcome over, or say that the document has moved on. The last one is always taken."""
        ...

    def note_stop(self, reason: StopReason) -> None:
        """The job was stopped."""
        ...

    def note_failure(self, error: BaseException) -> None:
        """The job failed: with an `AssistantError`, or else with a bug."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """Runs errands.

    Any number of threads may use it.
    """

    jobs: Jobs
    actions: ActionSet
    backend: Backend
    explanations: Explanations

    def run(self, errand: Errand, reporter: Reporter) -> None:
        """Run one errand, whatever happens."""
        job = errand.job
        try:
            self._run(errand, reporter)
        except JobStoppedError:
            self.jobs.post(reporter.note_stop, job.stopped or StopReason.SHUTDOWN)
        except Exception as error:  # noqa: BLE001 - the thread's edge: told on the event loop
            self.jobs.post(reporter.note_failure, error)

    def _run(self, errand: Errand, reporter: Reporter) -> None:
        errand.job.check()  # it may have been superseded while it waited
        desk = self._open(errand, reporter)
        plan = self.actions.prepare(
            errand.offer, errand.view, desk.budget_tokens, desk.count_tokens, sampling=desk.sampling
        )
        made = (
            Made(plan=None, reply="", outcome=plan)
            if isinstance(plan, Refused)
            else self._ask(errand, desk, plan, reporter)
        )
        if isinstance(made.outcome, Explanation):
            made = replace(made, document=self.explanations.write(made.outcome))
        for round_number in range(1, MAX_ROUNDS + 1):
            is_last = round_number == MAX_ROUNDS
            if self._accept(errand, made, reporter, is_last=is_last):
                return
            assert made.plan is not None
            outcome = self._finish(errand, made.plan, made.reply, reporter, was_cut=made.was_cut)
            made = replace(made, outcome=outcome)

    def _open(self, errand: Errand, reporter: Reporter) -> Desk:
        watch = self._watch(reporter)
        desk = self.backend.open(errand.view.path, lambda stream: errand.job.read(stream, watch))
        return replace(desk, sampling=_adapt(desk.sampling, errand))

    def _ask(self, errand: Errand, desk: Desk, plan: Plan, reporter: Reporter) -> Made:
        """Ask, and once more with what was wrong where the action wants that."""
        if plan.trial is not None:
            return self._try(errand, desk, plan, plan.trial, reporter)
        while True:
            errand.job.check()
            answer = errand.job.read(desk.generator.stream(plan.request), self._watch(reporter))
            if answer.error is not None:
                raise answer.error
            was_cut = answer.finish_reasons[0] is FinishReason.LENGTH
            outcome = self._finish(errand, plan, answer.text, reporter, was_cut=was_cut)
            if not isinstance(outcome, Refused) or outcome.retry is None or plan.attempt > 1:
                return Made(plan=plan, reply=answer.text, outcome=outcome, was_cut=was_cut)
            self.jobs.post(reporter.show, "trying once more")
            plan = replace(outcome.retry, attempt=plan.attempt + 1)

    def _try(self, errand: Errand, desk: Desk, plan: Plan, trial: Trial, reporter: Reporter) -> Made:
        """Have several answers written, and take the first that passes its tests."""
        from lsp.trying import conclude_trial, start_trial  # late: most jobs try nothing

        def finish(reply: str) -> Outcome:
            return self._finish(errand, plan, reply, reporter, was_cut=False)

        trying = start_trial(plan, trial, desk, finish)
        errand.job.follow(trying, lambda message: self.jobs.post(reporter.show, message))
        verified = trying.verified
        outcome = conclude_trial(plan, trial, verified, finish)
        return Made(plan=plan, reply=verified.answer.text, outcome=outcome)

    def _finish(
        self, errand: Errand, plan: Plan, reply: str, reporter: Reporter, *, was_cut: bool
    ) -> Outcome:
        current = self.jobs.ask(errand.job, lambda: reporter.find_current(plan.view.snapshot))
        if current is None:
            errand.job.stop(StopReason.CLOSED)
            raise JobStoppedError
        return self.actions.finish(plan, reply, current, was_cut=was_cut)

    def _accept(self, errand: Errand, made: Made, reporter: Reporter, *, is_last: bool) -> bool:
        return self.jobs.ask(errand.job, lambda: reporter.accept(made, is_last=is_last))

    def _watch(self, reporter: Reporter) -> Watch:
        return Watch(self.jobs, reporter)


class Watch:
    """Shows what a request's events say."""

    def __init__(self, jobs: Jobs, reporter: Reporter) -> None:
        self._jobs = jobs
        self._reporter = reporter
        self._meter = Meter()

    def __call__(self, event: Event) -> None:
        """Take the next event, on the job's thread."""
        message = self._meter.take(event)
        if message is not None:
            self._jobs.post(self._reporter.show, message)


def is_bug(error: BaseException) -> bool:
    """Whether nobody but us can do something about an error."""
    return not isinstance(error, AssistantError)


def _adapt(sampling: Sampling, errand: Errand) -> Sampling:
    limit = min(sampling.max_tokens, errand.max_tokens) if errand.max_tokens else sampling.max_tokens
    if not errand.is_varied:
        return replace(sampling, max_tokens=limit)
    return replace(sampling, max_tokens=limit, temperature=max(sampling.temperature, VARIED_TEMPERATURE))
