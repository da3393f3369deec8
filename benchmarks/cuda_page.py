"""What `cuda.py` found, as a page for the docs."""

from __future__ import annotations

from typing import Any

__all__ = ["PARTS", "page"]

# Parts of the report, and their share of the time.
PARTS = {"agreement": 0.2, "waits": 0.1, "epochs": 0.2, "recommend": 0.15, "tests": 1.0}


def page(report: dict[str, Any]) -> str:
    """The page for the docs."""
    about, device = report["environment"], report["device"]
    where = about["cuda"] or f"no GPU: the script itself was tried on {device}"
    lines = ["# On a GPU", "", "    python benchmarks/cuda.py", ""]
    lines += [f"Measured on {report['date']} at commit {about['commit']}: {where}, PyTorch"]
    lines[-1] += f" {about['torch']}."
    agreement = report.get("agreement", {})
    if rows := {k: v for k, v in agreement.items() if isinstance(v, dict)}:
        lines += ["", "## The same network as on the CPU", ""]
        lines += ["From equal weights and batches: the largest relative difference of the losses"]
        lines += ["of three epochs, and the common share of the best 20 items after one.", ""]
        lines += ["| model | difference of losses | overlap@20 |", "|---|---|---|"]
        lines += [
            f"| {k} | {v['largest_difference']:.1e} | {v['overlap']:.4f} |" for k, v in rows.items()
        ]
    if rows := {k: v for k, v in report.get("waits", {}).items() if isinstance(v, dict)}:
        lines += ["", "## Waits", ""]
        lines += ["How often the CPU waits for the GPU in an epoch, by the profiler.", ""]
        lines += ["| model | steps | waits |", "|---|---|---|"]
        lines += [f"| {k} | {v['steps']:.0f} | {v['waits']:.1f} |" for k, v in rows.items()]
    if rows := {k: v for k, v in report.get("epochs", {}).items() if isinstance(v, dict)}:
        lines += ["", "## Epochs", ""]
        lines += ["| data | model | s, an epoch | s, a fit of one epoch | MiB of the GPU |"]
        lines += ["|---|---|---|---|---|"]
        lines += [
            f"| {k} | {v['model']} | {v['seconds_per_epoch']:.3f} | {v['fit_of_one_epoch']:.1f} "
            f"| {v['device_mib'] or 0:.0f} |"
            for k, v in rows.items()
        ]
    if "seconds" in (row := report.get("recommend", {})):
        lines += ["", "## Recommending", ""]
        lines += [f"Top 20 of {row['items']:,} items for {row['users']:,} users, seen items left"]
        lines += [f"out: {row['seconds']:.1f} s, {row['users_per_second']:,.0f} users a second,"]
        lines += [f"{row['device_mib'] or 0:,.0f} MiB of the GPU."]
    if "passed" in (row := report.get("tests", {})):
        lines += ["", "## Tests", ""]
        lines += [f"Of the tests that need a GPU, {row['passed']} passed, {row['failed']} failed"]
        lines[-1] += "." if row["finished"] else "; the time did not suffice for all."
    faults = [k for k in PARTS if k in report and not report[k].get("ok")]
    missing = [k for k in PARTS if k not in report]
    if faults or missing:
        lines += ["", f"Not as promised: {', '.join(faults) or 'none'}. Not measured:"]
        lines[-1] += f" {', '.join(missing) or 'none'}."
    return "\n".join(lines) + "\n"
