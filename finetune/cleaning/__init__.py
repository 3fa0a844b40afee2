"""What must not be learnt, and what need not be: secrets, benchmarks, duplicates, text that is no code."""
