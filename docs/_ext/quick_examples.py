"""A word on every example that was run in its short form, for its text speaks of a whole run."""

from __future__ import annotations

import os
import re
from typing import Any

_NOTE = """
.. note::

   These docs were built with little data and few epochs, to be quick: what the text says of figures
   holds of a whole run, not of what was printed and drawn here.
"""


def _add_note(app: Any, docname: str, source: list[str]) -> None:
    if docname.startswith("auto_examples/plot_"):
        below_title = re.search(r"(?m)^={3,}$", source[0])
        if below_title:
            at = below_title.end()
            source[0] = f"{source[0][:at]}\n{_NOTE}{source[0][at:]}"


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    if os.environ.get("RECSK_EXAMPLES") == "quick":
        app.connect("source-read", _add_note)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
