"""Pictures of items for a page that needs no other files."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

__all__ = ["picture_source"]

_TYPES = {
    ".avif": "image/avif",
    ".gif": "image/gif",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".webp": "image/webp",
}


def picture_source(value: Any) -> str | None:
    """Return what an ``img`` element shows: an address, or the content of a file.

    Parameters
    ----------
    value : str or path-like
        An address (http, https, or a data URI of a picture), or the path of a picture.

    Returns
    -------
    str or None
        None if it is neither: another scheme, no file, or no type of pictures.

    Examples
    --------
    >>> from recsk.plotting.pictures import picture_source
    >>> picture_source("https://example.com/cup.png")
    'https://example.com/cup.png'
    >>> picture_source("javascript:alert(1)") is None
    True
    """
    if not isinstance(value, str | os.PathLike):
        return None
    text = os.fspath(value)
    if not isinstance(text, str) or "\0" in text:
        return None
    if urlsplit(text).scheme.lower() in ("http", "https") or text.lower().startswith("data:image/"):
        return text
    path = Path(text)
    kind = _TYPES.get(path.suffix.lower())
    try:
        content = path.read_bytes() if kind else None
    except OSError:
        content = None
    if content is None:
        return None
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
