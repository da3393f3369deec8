"""CPU seconds and memory of ``import recsk``: a table on stdout and a JSON file.

    python benchmarks/import_cost.py

Each import runs in a fresh process, all in turn; medians. scikit-learn imports pandas where it
finds it, which recsk cannot change: "without" hides pandas (and pyarrow, which pandas imports) from
the process, as where they are not installed. CPU seconds are those of all threads since the process
began. Python itself is the first row.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any

import environment

STATEMENTS = {
    "Python": "",
    "NumPy": "import numpy",
    "SciPy, sparse": "import scipy.sparse",
    "scikit-learn, base": "import sklearn.base",
    "recsk": "import recsk",
    "recsk and PyTorch": "import recsk, torch",
}
HIDDEN = ("pandas", "pyarrow")
# A row shows which of these an import loads.
WATCHED = ("torch", "pandas", "matplotlib", "sklearn.linear_model")

_CHILD = """
import sys
for name in {hidden}:
    sys.modules[name] = None
{statement}
import json, resource
used = resource.getrusage(resource.RUSAGE_SELF)
lines = open("/proc/self/status").read().splitlines()
held = {{line.split(":")[0]: int(line.split()[1]) / 1024 for line in lines if line[:2] == "Vm"}}
print(json.dumps({{
    "cpu_seconds": used.ru_utime + used.ru_stime,
    "resident_mib": held["VmRSS"],
    "peak_mib": held["VmHWM"],
    "loaded": [name for name in {watched} if sys.modules.get(name)],
}}))
"""


def measure(statement: str, hidden: tuple[str, ...]) -> dict[str, Any]:
    """What one process reports of itself."""
    code = _CHILD.format(statement=statement, hidden=hidden, watched=WATCHED)
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True)
    return dict(json.loads(done.stdout))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument(
        "--json", type=Path, default=Path(__file__).parent / "results/import_cost.json"
    )
    args = parser.parse_args()
    kinds = {"with": (), "without": HIDDEN}
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for repeat in range(args.repeats + 1):
        for pandas, hidden in kinds.items():
            for name, statement in STATEMENTS.items():
                measured = measure(statement, hidden)
                if repeat:  # the first import of all reads the files from the disk
                    found.setdefault((name, pandas), []).append(measured)
    rows = []
    line = "{:<20}{:>9}{:>9}{:>9}{:>14}{:>10}  {}"
    print(line.format("import", "pandas", "CPU s", "least", "resident MiB", "peak MiB", "loads"))
    for (name, pandas), runs in found.items():
        seconds = [run["cpu_seconds"] for run in runs]
        resident, peak = (median(run[key] for run in runs) for key in ("resident_mib", "peak_mib"))
        row = {
            "import": name,
            "pandas": pandas == "with",
            "cpu_seconds": median(seconds),
            "least_cpu_seconds": min(seconds),
            "resident_mib": resident,
            "peak_mib": peak,
            "loaded": runs[0]["loaded"],
        }
        rows.append(row)
        numbers = f"{median(seconds):.2f}", f"{min(seconds):.2f}", f"{resident:.0f}", f"{peak:.0f}"
        print(line.format(name, pandas, *numbers, ", ".join(row["loaded"])))
    environment.write({"environment": environment.describe(), "rows": rows}, args.json)


if __name__ == "__main__":
    main()
