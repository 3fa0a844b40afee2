"""A text file into text, or the exact byte at which it is none. Knows no format of rows."""

from __future__ import annotations

import codecs
from pathlib import Path

from assistant.errors import UsageError

UTF_8 = "utf-8"
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""UTF-32's little-endian mark begins with UTF-16's, so it is looked for first."""
_SAMPLE_BYTES = 4096


def read_text(path: Path, encoding: str) -> str:
    """Read a whole text file; a byte-order mark is no part of the text.

    Args:
        path: The file.
        encoding: Its encoding, by any name that Python knows.

    Raises:
        UsageError: It cannot be read, is empty, or is in another encoding; the message names the byte.
    """
    content = read_bytes(path)
    encoding = check_encoding(encoding)
    if encoding == UTF_8:
        _refuse_other_unicode(path, content)
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise _decode_error(path, content, error) from error
    text = text.removeprefix("\ufeff")
    if not text.strip():
        raise UsageError(f"{path} is empty", hint="it should hold rows to learn from")
    return text.replace("\r\n", "\n") if "\n" in text else text.replace("\r", "\n")


def read_bytes(path: Path) -> bytes:
    """Read a whole file.

    Raises:
        UsageError: It cannot be read, or is no regular file.
    """
    try:
        if not path.is_file():
            raise UsageError(f"{path} is not a regular file", hint="copy its content into one")
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error


def check_encoding(name: str) -> str:
    """Return Python's own name for an encoding.

    Raises:
        UsageError: Python does not know it, or it is none of text.
    """
    try:
        found = codecs.lookup(name)
        "".encode(name)
    except LookupError:
        raise UsageError(
            f"there is no encoding {name!r}", hint="utf-8, cp1252, latin-1 and utf-16 are common"
        ) from None
    return UTF_8 if found.name == "utf-8-sig" else found.name


def _refuse_other_unicode(path: Path, content: bytes) -> None:
    for mark, name in _MARKS:
        if content.startswith(mark):
            raise _other_encoding_error(path, name, "its byte-order mark says so", 0)
    sample = content[:_SAMPLE_BYTES]
    for start, name in ((1, "utf-16-le"), (0, "utf-16-be")):
        # English text in UTF-16 has a zero in every other byte.
        half = sample[start::2]
        if len(half) > 1 and half.count(0) > len(half) * 0.7:
            raise _other_encoding_error(path, name, "every other byte is zero", sample.index(0))


def _decode_error(path: Path, content: bytes, error: UnicodeDecodeError) -> UsageError:
    line = content.count(b"\n", 0, error.start) + 1
    place = f"{path}:{line}"
    what = f"byte {error.start} (0x{content[error.start]:02x}) is not {error.encoding.upper()}"
    hint = "give the encoding it has with --encoding"
    if error.encoding == UTF_8:
        guess = _guess_encoding(content)
        hint = f"it looks like {guess}: --encoding {guess}, or `iconv -f {guess} -t UTF-8` makes it UTF-8"
    return UsageError(f"{place}: {what}", hint=hint)


def _guess_encoding(content: bytes) -> str:
    """Windows-1252, or Latin-1 where a byte has no meaning in it."""
    try:
        content.decode("cp1252")
    except UnicodeDecodeError:
        return "latin-1"
    return "cp1252"


def _other_encoding_error(path: Path, name: str, why: str, offset: int) -> UsageError:
    return UsageError(
        f"{path}: byte {offset}: this is {name.upper()}, not UTF-8: {why}",
        hint=f"--encoding {name}, or `iconv -f {name.upper()} -t UTF-8` makes it UTF-8",
    )
