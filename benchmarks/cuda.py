"""Confirm on a GPU what is tested without one: tables, a JSON file and a page for the docs.

    python benchmarks/cuda.py

takes at most eight minutes: the tests that need a GPU, whether the CPU and the GPU train the same
network from equal weights and batches, how often the CPU waits for the GPU, seconds and memory of
epochs, and recommending for a million users. What the time does not suffice for is left out, and
the report says so. For a machine that has PyTorch and no access to package registries:

    python benchmarks/cuda.py --pack benchmarks/output/cuda --python 3.12   (where there is access)
    python benchmarks/cuda.py --carried benchmarks/output/cuda              (on the other machine)

The first line puts wheels of the packages that PyTorch does not bring (`--packages` names fewer)
and the data into a folder; the second installs what is missing from there, for this run alone. Both
run in a checkout.
`--device cpu --small` tries the script itself.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bare_machine import PACKAGES, pack, start_carried
from cuda_page import PARTS, page

ROOT = Path(__file__).resolve().parents[1]
# Of loss curves, relative, and of the best 20 items after one epoch.
LARGEST_DIFFERENCE, LEAST_OVERLAP = 1e-3, 0.99
WAITS = ("StreamSynchronize", "DeviceSynchronize", "EventSynchronize")


class Confirmation:
    """What is measured, on data of a given size."""

    def __init__(self, device: str, small: bool) -> None:
        import torch

        self.device, self.small = device, small
        self.is_cuda = torch.device(device).type == "cuda"

    def load(self, name: str, *, sequential: bool = False) -> Any:
        """A data set, or a small synthetic one in its place."""
        import numpy as np
        import realdata
        import synthetic

        if self.small:
            return synthetic.world(sequential=sequential, n_users=120, n_items=60)
        data = realdata.load_sequences(name) if sequential else realdata.load(name)
        if name == "baby":  # it has no features: random ones of the paper's widths
            rng = np.random.default_rng(0)
            data.features = {
                m: rng.normal(size=(data.train.shape[1], width)).astype(np.float32)
                for m, width in (("v", 4096), ("t", 384))
            }
        return data

    def tests(self, seconds: float) -> dict[str, Any]:
        """The tests that need a GPU, as many as the time suffices for."""
        command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu and not slow", "--tb=short"]
        command += ["-p", "no:cacheprovider", "--pretend-cuda=none", "--maxfail=20"]
        if importlib.util.find_spec("xdist"):
            command += ["-n", str(min(os.cpu_count() or 1, 8))]
        places = ["tests/nn", "tests/ranking", "tests/models", "tests/contract"]
        # Into a file: output of a pipe is lost where the time runs out.
        with tempfile.TemporaryFile("w+") as output:
            process = subprocess.Popen(
                [*command, *(places[:1] if self.small else places)],
                cwd=ROOT,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
            )
            try:
                process.wait(timeout=seconds)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGINT)  # pytest then reports what it has
                try:
                    process.wait(timeout=15)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
            output.seek(0)
            text = output.read()
        marks = "".join(re.findall(r"^([.FEsxX]+)(?: +\[.*)?$", text, flags=re.MULTILINE))
        found = {
            "passed": marks.count("."),
            "failed": marks.count("F") + marks.count("E"),
            "skipped": marks.count("s"),
            "finished": process.returncode in (0, 1),
            "failures": re.findall(r"^(?:FAILED|ERROR) (\S+)", text, flags=re.MULTILINE),
            "end_of_output": text[-4000:],
        }
        found["ok"] = not found["failed"] and (found["passed"] > 0 or not self.is_cuda)
        return found

    def agreement(self, seconds: float) -> dict[str, Any]:
        """Loss curves and lists of the CPU and the device, from equal weights and batches."""
        from recsk import MDERecommender, MDSRecRecommender

        shared = {"early_stopping": False, "random_state": 0}
        without_noise = {"dropout": 0.0, "fusion": "softmax"}
        problems = {
            "MDE, tiktok": (MDERecommender, self.load("tiktok"), {}),
            "MDE, tiktok, as the paper": (MDERecommender.paper, self.load("tiktok"), {}),
            "MDSRec, scientific": (
                MDSRecRecommender,
                self.load("scientific", sequential=True),
                without_noise,
            ),
        }
        found: dict[str, Any] = {}
        for name, (make, data, params) in problems.items():
            curves, lists = [], []
            with batches_of_the_cpu():
                for device in ("cpu", self.device):
                    for n_epochs in (3, 1):
                        model = make(max_epochs=n_epochs, device=device, **shared, **params)
                        model.fit(data.train, item_features=data.features)
                        if n_epochs == 3:
                            curves.append(model.loss_curve_)
                    lists.append(model.recommend(k=20)[0])
            found[name] = {
                "loss_curves": curves,
                "largest_difference": largest_difference(*curves),
                "overlap": overlap(*lists),
            }
        found["ok"] = all(
            row["largest_difference"] <= LARGEST_DIFFERENCE and row["overlap"] >= LEAST_OVERLAP
            for row in found.values()
        )
        return found

    def waits(self, seconds: float) -> dict[str, Any]:
        """How often the CPU waits for the device, in an epoch and in all its steps."""
        from recsk import MDERecommender, MDSRecRecommender

        problems = {
            "MDE, tiktok": (MDERecommender, self.load("tiktok")),
            "MDSRec, scientific": (MDSRecRecommender, self.load("scientific", sequential=True)),
        }
        found: dict[str, Any] = {}
        for name, (make, data) in problems.items():
            counts = []
            for n_epochs in (1, 1, 3):  # the first one loads libraries
                model = make(
                    max_epochs=n_epochs, device=self.device, early_stopping=False, random_state=0
                )
                counts.append(
                    profiled(lambda m=model, d=data: m.fit(d.train, item_features=d.features))
                )
            found[name] = {
                kind: (counts[2][kind] - counts[1][kind]) / 2 for kind in ("waits", "steps")
            }
        # Some at the start and the end of an epoch; one in each step would be as many as steps.
        found["ok"] = all(row["waits"] < max(row["steps"], 8) for row in found.values())
        return found

    def epochs(self, seconds: float) -> dict[str, Any]:
        """Seconds of an epoch, and memory of a fit."""
        from recsk import MDERecommender, MDSRecRecommender

        end = time.monotonic() + seconds
        found: dict[str, Any] = {}
        for name in ("tiktok", "baby", "sports", "scientific"):
            if time.monotonic() > end:
                break
            sequential = name == "scientific"
            data = self.load(name, sequential=sequential)
            make = MDSRecRecommender if sequential else MDERecommender
            times = []
            self.reset_memory()
            for n_epochs in (1, 1, 5):
                model = make(
                    max_epochs=n_epochs, device=self.device, early_stopping=False, random_state=0
                )
                start = time.perf_counter()
                model.fit(data.train, item_features=data.features)
                times.append(time.perf_counter() - start)
            found[name] = {
                "model": make.__name__,
                "fit_of_one_epoch": times[1],
                "seconds_per_epoch": (times[2] - times[1]) / 4,
                "device_mib": self.memory(),
            }
        found["ok"] = bool(found)
        return found

    def recommend(self, seconds: float) -> dict[str, Any]:
        """Lists of 20 items for a million users among 100,000 items, seen ones left out."""
        import numpy as np
        from synthetic import power_law

        from recsk import Interactions, MDERecommender
        from recsk.contract import Learned

        n_users, n_items = (2_000, 500) if self.small else (1_000_000, 100_000)
        rng = np.random.default_rng(0)
        seen = power_law(n_users, n_items, 20, rng)
        users, items = (rng.standard_normal((n, 128), dtype=np.float32) for n in (n_users, n_items))
        model = MDERecommender(device=self.device)
        model.n_features_in_ = n_items
        model._set_fitted(Interactions.from_csr(seen), Learned(items, users))
        model.recommend(np.arange(1000), 20)
        self.reset_memory()
        step, n_done, start = n_users // 10, 0, time.perf_counter()
        for first in range(0, n_users, step):
            model.recommend(np.arange(first, first + step), 20)
            n_done += step
            if time.perf_counter() - start > seconds:
                break
        spent = time.perf_counter() - start
        few = np.arange(1000)
        on_device = model.recommend(few, 20)[0]
        same = overlap(on_device, model.set_params(device="cpu").recommend(few, 20)[0])
        return {
            "users": n_done,
            "items": n_items,
            "seconds": spent,
            "users_per_second": n_done / spent,
            "device_mib": self.memory(),
            "overlap_with_the_cpu": same,
            "ok": same >= LEAST_OVERLAP,
        }

    def reset_memory(self) -> None:
        import torch

        if self.is_cuda:
            torch.cuda.reset_peak_memory_stats()

    def memory(self) -> float | None:
        import torch

        return torch.cuda.max_memory_allocated() / 2**20 if self.is_cuda else None


@contextmanager
def batches_of_the_cpu() -> Iterator[None]:
    """Let samplers draw on the CPU: on each device the same batches."""
    from unittest import mock

    import torch

    from recsk.nn.sampling import InteractionSampler

    def generator(sampler: Any) -> torch.Generator:
        if not hasattr(sampler, "_of_the_cpu"):
            sampler._of_the_cpu = torch.Generator().manual_seed(0)
        return sampler._of_the_cpu

    def permutation(self: Any, size: int) -> torch.Tensor:
        return torch.randperm(size, generator=generator(self)).to(self.user.device)

    def items(self: Any, size: int) -> torch.Tensor:
        drawn = torch.randint(self.n_items, (size,), generator=generator(self))
        return drawn.to(self.user.device)

    with (
        mock.patch.object(InteractionSampler, "_draw_permutation", permutation),
        mock.patch.object(InteractionSampler, "_draw_items", items),
    ):
        yield


def largest_difference(one: dict[str, list[float]], other: dict[str, list[float]]) -> float:
    """The largest relative difference of two loss curves, of any term."""
    import numpy as np

    differences = [
        np.max(np.abs(np.subtract(one[term], other[term])) / np.maximum(np.abs(one[term]), 1e-9))
        for term in one
    ]
    return float(max(differences))


def overlap(one: Any, other: Any) -> float:
    """The mean share of items that two lists have in common."""
    import numpy as np

    pairs = zip(one, other, strict=True)
    return float(np.mean([len(np.intersect1d(a, b)) / len(a) for a, b in pairs]))


def profiled(work: Callable[[], Any]) -> dict[str, int]:
    """How often the CPU waits for a device, and the steps of the optimiser."""
    from unittest import mock

    import torch
    from torch.profiler import ProfilerActivity, profile

    from recsk.nn.lazy_adam import LazyAdam

    n_steps, step = 0, LazyAdam.step

    def counted(self: Any) -> None:
        nonlocal n_steps
        n_steps += 1
        step(self)

    with mock.patch.object(LazyAdam, "step", counted):
        if not torch.cuda.is_available():
            work()
            return {"waits": 0, "steps": n_steps}
        activities = [ProfilerActivity.CPU, ProfilerActivity.CUDA]
        with profile(activities=activities, acc_events=True) as found:
            work()
    waits = sum(row.count for row in found.key_averages() if row.key.endswith(WAITS))
    return {"waits": waits, "steps": n_steps}


def parse(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--small", action="store_true", help="small synthetic data")
    parser.add_argument("--minutes", type=float, default=8.0, help="at most")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--pack", type=Path, metavar="FOLDER", help="only fill this folder")
    parser.add_argument("--python", default="3.12", help="version of the bare machine")
    parser.add_argument("--packages", nargs="+", default=list(PACKAGES), help="those to carry")
    parser.add_argument("--carried", type=Path, metavar="FOLDER", help="what --pack has filled")
    parser.add_argument(
        "--json",
        type=Path,
        default=Path(__file__).parent / "results/cuda.json",
        help="where to write; the page is beside it",
    )
    return parser.parse_args(words)


def main(words: list[str] | None = None) -> int:
    args = parse(words)
    if args.pack:
        pack(args.pack, args.python, args.packages)
        return 0
    if args.carried:
        given = sys.argv[1:] if words is None else words
        place = given.index("--carried")
        return start_carried(__file__, args.carried, given[:place] + given[place + 2 :])
    end = time.monotonic() + 60 * args.minutes - 15  # for what is written at the end

    import environment
    import torch

    if torch.device(args.device).type == "cuda" and not torch.cuda.is_available():
        print("torch sees no CUDA device; --device cpu --small tries the script itself")
        return 2
    report: dict[str, Any] = {
        "environment": environment.describe(),
        "date": time.strftime("%Y-%m-%d"),
        "device": args.device,
        "small": args.small,
        "seconds": {},
    }
    confirmation = Confirmation(args.device, args.small)
    for part in [name for name in PARTS if name in args.parts]:
        left = end - time.monotonic()
        if left < 10:
            print(f"{part}: no time left")
            continue
        start = time.monotonic()
        try:
            report[part] = getattr(confirmation, part)(min(left, PARTS[part] * 60 * args.minutes))
        except Exception:  # the other parts may still tell something
            report[part] = {"ok": False, "error": traceback.format_exc()}
        report["seconds"][part] = time.monotonic() - start
        shown = {k: v for k, v in report[part].items() if k not in ("end_of_output",)}
        print(f"{part}, {report['seconds'][part]:.0f} s:", json.dumps(shown, default=str))
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(report, indent=1, default=str) + "\n")
        args.json.with_suffix(".md").write_text(page(report))
    print(page(report))
    return 0 if all(report.get(part, {}).get("ok") for part in args.parts) else 1


if __name__ == "__main__":
    sys.exit(main())
