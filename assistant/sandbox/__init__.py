"""Runs code that nobody has read, where it can do no harm. Knows no models and no tests."""

from assistant.sandbox.interface import Backend, Ended, Job, Limits, Outcome, Process

__all__ = ["Backend", "Ended", "Job", "Limits", "Outcome", "Process"]
