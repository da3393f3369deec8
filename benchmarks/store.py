"""Results that are known, so that an interrupted script goes on and computes nothing twice."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import environment

__all__ = ["Store", "hash_of"]

NOT_RECORDED = "x86_64"  # all that earlier entries know of their machine


def hash_of(key: dict[str, Any]) -> str:
    """A short name of all that a result depends on."""
    described = json.dumps(key, sort_keys=True, default=repr)
    return hashlib.sha256(described.encode()).hexdigest()[:20]


class Store:
    """Results, one line of JSON each: a killed process loses no other, several may share the file.

    With `fresh` no earlier result is known; the last line of a key counts. `commits` and
    `processors` are those of the results that were asked for.
    """

    def __init__(self, path: Path, *, fresh: bool = False) -> None:
        self.path = path
        self.commits: set[str] = set()
        self.processors: set[str] = set()
        self._known: dict[str, dict[str, Any]] = {}
        self._place = path.stat().st_size if fresh and path.exists() else 0

    def get(
        self,
        key: dict[str, Any],
        seed: int,
        compute: Callable[[], dict[str, Any]],
        *,
        row: str = "",
        usable: bool = True,
    ) -> dict[str, Any]:
        """The result of a key and a seed, computed if it is not known yet or not `usable`."""
        name = hash_of({**key, "seed": seed})
        if name not in self._known:
            self._read()
        if name not in self._known or not usable:
            self._write({"key": name, "row": row, "seed": seed}, compute())
        entry = self._known[name]
        self.commits.add(str(entry["commit"]))
        self.processors.add(str(entry.get("processor") or NOT_RECORDED))
        return entry["found"]

    def _write(self, entry: dict[str, Any], found: dict[str, Any]) -> None:
        where = environment.describe()
        entry |= {"commit": where["commit"], "processor": where["processor"], "found": found}
        text = json.dumps(entry, default=str)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a") as file:
            file.write(f"\n{text}")  # the line before may be cut
        self._known[entry["key"]] = json.loads(text)

    def _read(self) -> None:
        """What was written since, by other processes too."""
        if not self.path.exists():
            return
        with self.path.open() as file:
            file.seek(self._place)
            lines = file.read().splitlines()
            self._place = file.tell()
        for line in lines:
            try:
                entry = json.loads(line)
            except json.JSONDecodeError:  # cut by a kill
                continue
            self._known[entry["key"]] = entry
