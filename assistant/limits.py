"""The ranges of every number and size a request may carry, for the command line and the server alike."""

MAX_TEMPERATURE = 2.0
LEAST_TOP_P = 0.01
"""Of a setting and a flag; a request may go below."""
MAX_TOP_K = 1_000_000
LEAST_REPETITION_PENALTY, MAX_REPETITION_PENALTY = 0.5, 2.0
MAX_MAX_TOKENS = 131_072
MAX_SEED = 2**63 - 1
MAX_N = 16
MAX_STOPS = 8
MAX_STOP_CHARS = 64
MAX_TURNS = 512
MAX_BODY_BYTES = 4 * 1024 * 1024
"""A request larger than this is refused before it is read to its end."""
