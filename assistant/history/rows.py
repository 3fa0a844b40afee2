"""The SQL that is composed, and rows as values. Executes nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from assistant.history.records import Conversation, Exchange, Match, Outcome
from assistant.requests import Sampling, Usage

SNIPPET_CHARS = 80
SELECT_CONVERSATIONS = """
SELECT id, title, started, changed,
    (SELECT count(*) FROM exchanges WHERE exchanges.conversation = conversations.id) AS exchange_count
FROM conversations
"""
SELECT_EXCHANGES = "SELECT * FROM exchanges"
_SELECT_MATCHES = """
SELECT exchanges.*, conversations.title, conversations.changed,
    conversations.started AS conversation_started,
    (SELECT count(*) FROM exchanges AS others WHERE others.conversation = conversations.id) AS exchange_count
"""
_CONTAINS = (
    "(instr(lower(exchanges.task), lower(?)) OR instr(lower(exchanges.input), lower(?))"
    " OR instr(lower(exchanges.answer), lower(?)))"
)


def search_statement(plain_words: int) -> str:
    """The search over the index; its values: the query, then three for each plain word, then the limit.

    Args:
        plain_words: How many words hold nothing that the index knows, and are looked for in the text.
    """
    return (
        f"{_SELECT_MATCHES} FROM words"
        " JOIN exchanges ON exchanges.number = words.rowid"
        " JOIN conversations ON conversations.id = exchanges.conversation"
        f" WHERE words MATCH ? {''.join(f' AND {_CONTAINS}' for _ in range(plain_words))}"
        " ORDER BY words.rank, exchanges.started DESC LIMIT ?"
    )


def scan_statement(words: int) -> str:
    """The search through all texts; its values: three for each word, then the limit."""
    return (
        f"{_SELECT_MATCHES} FROM exchanges"
        " JOIN conversations ON conversations.id = exchanges.conversation"
        f" WHERE {' AND '.join(_CONTAINS for _ in range(words))}"
        " ORDER BY exchanges.started DESC LIMIT ?"
    )


def word_query(word: str) -> str:
    """Quote a word for the index, so that nothing in it is an operator."""
    return '"' + clean(word).replace('"', '""') + '"*'


def thrice(words: Sequence[str]) -> list[str]:
    """Return the values for words that are looked for in three columns."""
    return [clean(word) for word in words for _ in range(3)]


def clean(text: str) -> str:
    """Replace halves of surrogate pairs, which no file can hold."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def exchange_values(exchange: Exchange) -> dict[str, str | float | int | None]:
    """Return the columns of an exchange."""
    usage = exchange.usage
    return {
        "id": exchange.id,
        "conversation": exchange.conversation,
        "started": exchange.started,
        "task": clean(exchange.task),
        "input": clean(exchange.input),
        "answer": clean(exchange.answer),
        "outcome": exchange.outcome.value,
        "error": clean(exchange.error),
        "model": clean(exchange.model),
        "temperature": exchange.sampling.temperature,
        "top_p": exchange.sampling.top_p,
        "max_tokens": exchange.sampling.max_tokens,
        "seed": exchange.sampling.seed,
        "prompt_tokens": usage.prompt_tokens if usage else None,
        "completion_tokens": usage.completion_tokens if usage else None,
        "seconds": exchange.seconds,
        "tokens_per_s": exchange.tokens_per_s,
        "source": exchange.source,
        "variant_of": exchange.variant_of,
    }


def exchange_of(row: sqlite3.Row) -> Exchange:
    """Read an exchange."""
    usage = None
    if row["completion_tokens"] is not None:
        usage = Usage(prompt_tokens=row["prompt_tokens"] or 0, completion_tokens=row["completion_tokens"])
    sampling = Sampling(
        temperature=row["temperature"], top_p=row["top_p"], max_tokens=row["max_tokens"], seed=row["seed"]
    )
    return Exchange(
        id=row["id"],
        conversation=row["conversation"],
        started=row["started"],
        task=row["task"],
        input=row["input"],
        answer=row["answer"],
        outcome=_outcome_of(row["outcome"]),
        error=row["error"],
        model=row["model"],
        sampling=sampling,
        usage=usage,
        seconds=row["seconds"],
        tokens_per_s=row["tokens_per_s"],
        source=row["source"],
        variant_of=row["variant_of"],
    )


def conversation_of(row: sqlite3.Row) -> Conversation:
    """Read a conversation."""
    return Conversation(
        id=row["id"],
        title=row["title"],
        started=row["started"],
        changed=row["changed"],
        exchanges=row["exchange_count"],
    )


def match_of(row: sqlite3.Row, words: Sequence[str]) -> Match:
    """Read a finding."""
    exchange = exchange_of(row)
    conversation = Conversation(
        id=exchange.conversation,
        title=row["title"],
        started=row["conversation_started"],
        changed=row["changed"],
        exchanges=row["exchange_count"],
    )
    texts = (exchange.task, exchange.answer, exchange.input)
    return Match(conversation=conversation, exchange=exchange, snippet=snippet_of(texts, words))


def snippet_of(texts: Sequence[str], words: Sequence[str]) -> str:
    """Return what stands around the first of the words that is found, on one line."""
    for text in texts:
        line = " ".join(text.split())
        for word in words:
            place = line.lower().find(word.lower())
            if place < 0:
                continue
            begin = max(place - SNIPPET_CHARS // 3, 0)
            end = begin + SNIPPET_CHARS
            return ("…" if begin else "") + line[begin:end] + ("…" if end < len(line) else "")
    return " ".join(texts[0].split())[:SNIPPET_CHARS]


def _outcome_of(text: str) -> Outcome:
    try:
        return Outcome(text)
    except ValueError:  # written by a newer version that kept the tables
        return Outcome.UNFINISHED
