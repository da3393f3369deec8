"""Where a figure was measured, and the JSON beside a table."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

__all__ = ["describe", "write"]


def describe() -> dict[str, Any]:
    """Commit of the code, versions, the machine."""
    import torch  # here: some scripts measure processes without it

    return {
        "commit": _COMMIT,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cpus": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "machine": platform.machine(),
        "processor": _processor(),
        "memory_gib": _memory(),
        "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def write(report: dict[str, Any], path: Path) -> None:
    """Write what a script found to a JSON file, and say where."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=1, default=str) + "\n")
    print(f"written: {path}")


def _processor() -> str | None:
    """What the processor calls itself, where the system tells."""
    about = Path("/proc/cpuinfo")
    lines = about.read_text().splitlines() if about.exists() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or None


def _memory() -> int | None:
    """GiB of memory, where the system tells."""
    try:
        return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30)
    except (AttributeError, ValueError, OSError):
        return None


def _commit() -> str | None:
    """The commit that this process runs, marked where its code was changed since."""
    try:
        found = _git("describe", "--always", "--exclude=*").stdout.strip()
    except (OSError, subprocess.CalledProcessError):  # no git, or no repository
        return None
    changed = _git("diff", "--quiet", "HEAD", "--", "../recsk", "*.py", check=False).returncode
    return f"{found}-dirty" if changed else found


def _git(*words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    folder = Path(__file__).parent
    return subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=check)


_COMMIT = _commit()  # now: a commit that is made later is not what was imported
