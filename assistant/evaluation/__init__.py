"""How good a model is: suites of problems, answers, verdicts by running them, and numbers with intervals."""
