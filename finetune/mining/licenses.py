"""What a folder's licence is, as an SPDX identifier, by words that only that licence has."""

from __future__ import annotations

import re
from pathlib import Path

_MARKS = (
    ("AGPL-3.0", ("GNU AFFERO GENERAL PUBLIC LICENSE", "Version 3")),
    ("LGPL-3.0", ("GNU LESSER GENERAL PUBLIC LICENSE", "Version 3")),
    ("LGPL-2.1", ("GNU LESSER GENERAL PUBLIC LICENSE", "Version 2.1")),
    ("GPL-3.0", ("GNU GENERAL PUBLIC LICENSE", "Version 3")),
    ("GPL-2.0", ("GNU GENERAL PUBLIC LICENSE", "Version 2")),
    ("Apache-2.0", ("Apache License", "Version 2.0")),
    ("MPL-2.0", ("Mozilla Public License", "2.0")),
    ("PSF-2.0", ("PYTHON SOFTWARE FOUNDATION LICENSE",)),
    ("Unlicense", ("This is free and unencumbered software released into the public domain",)),
    ("ISC", ("Permission to use, copy, modify, and/or distribute this software for any",)),
    ("BSD-3-Clause", ("Redistribution and use in source and binary forms", "endorse or promote products")),
    ("BSD-2-Clause", ("Redistribution and use in source and binary forms",)),
    ("MIT", ("Permission is hereby granted, free of charge, to any person obtaining a copy",)),
)
"""In this order: the GNU licences name one another."""
_METADATA = re.compile(r"^License(?:-Expression)?: *(\S.{0,60})$", re.MULTILINE)
_FILES = ("LICENSE*", "LICENCE*", "COPYING*")
_MAX_CHARS = 200_000


def find_license(root: Path) -> str:
    """Return the licence of a folder, or of the project or the installed package it is part of; or empty."""
    folder = root if root.is_dir() else root.parent
    is_project = any((folder / mark).exists() for mark in ("pyproject.toml", "setup.py", ".git"))
    found = _read_folder(folder)
    if found or is_project:
        return found
    installed = folder.parent.glob("*.dist-info/METADATA")
    wanted = re.compile(rf"{re.escape(folder.name).replace('_', '[-_.]')}-\d.*", re.IGNORECASE)
    for path in installed:
        if wanted.fullmatch(path.parent.name):
            stated = _METADATA.search(_read(path))
            return stated[1].strip() if stated else _read_folder(path.parent)
    above = folder.parent
    is_inside = any((above / mark).exists() for mark in ("pyproject.toml", "setup.py", ".git"))
    return _read_folder(above) if is_inside else ""


def _read_folder(folder: Path) -> str:
    for pattern in _FILES:
        for path in sorted([*folder.glob(pattern), *folder.glob(f"licenses/{pattern}")]):
            text = " ".join(_read(path).split())
            for name, marks in _MARKS:
                if all(mark.lower() in text.lower() for mark in marks):
                    return name
    return ""


def _read(path: Path) -> str:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(_MAX_CHARS)
    except OSError:
        return ""
