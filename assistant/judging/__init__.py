"""Says which tests a piece of code passes. The code and the judge never share a process."""

from assistant.judging.interface import Case, CaseResult, Judgement, Standing, Suite

__all__ = ["Case", "CaseResult", "Judgement", "Standing", "Suite"]
