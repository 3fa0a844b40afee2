"""Model text in, code out: fences, echoes of the prompt, prose around, cut-off ends. For every front end.

Knows no model and no screen, and never runs the code: whether it parses is the one thing it asks Python.
"""

from assistant.replies.extraction import Code, Part, ReplyError, extract_code, extract_parts
from assistant.replies.stream import CodeStream

__all__ = ["Code", "CodeStream", "Part", "ReplyError", "extract_code", "extract_parts"]
