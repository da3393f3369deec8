"""Wheels and data for a machine that has PyTorch and no access to package registries.

`cuda.py` fills a folder with them where there is access, and runs with them on the other machine.
"""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

__all__ = ["PACKAGES", "pack", "start_carried"]

ROOT = Path(__file__).resolve().parents[1]
DATA = ("tiktok", "sports", "baby", "scientific")
# What recsk and its tests need beside PyTorch.
PACKAGES = (
    "numpy",
    "scipy",
    "scikit-learn",
    "implicit",
    "threadpoolctl",
    "joblib",
    "tqdm",
    "hypothesis",
    "pytest",
    "safetensors",
    "pandas",
)


def pack(folder: Path, python: str, packages: list[str]) -> None:
    """Put wheels and data into a folder that a bare machine can use."""
    wheels, data = folder / "wheels", folder / "data"
    for path in (wheels, data):
        path.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "pip", "download", "--only-binary", ":all:"]
    target = ["--python-version", python, "--platform", "manylinux2014_x86_64"]
    target += ["--platform", "manylinux_2_28_x86_64", "--dest", str(wheels)]
    subprocess.run([*command, *target, *packages], check=True)
    source = Path(os.environ.get("RECSK_DATA", ROOT.parent / "shared" / "data"))
    for name in DATA:
        shutil.copy(source / f"{name}.npz", data)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    print(f"packed: {folder}, {size / 2**20:.0f} MiB")


def start_carried(script: str, folder: Path, words: list[str]) -> int:
    """Run a script again with what the folder brings."""
    wheels = sorted((folder / "wheels").glob("*.whl"))
    missing = [str(wheel) for wheel in wheels if not is_installed(wheel.name.split("-")[0])]
    with tempfile.TemporaryDirectory() as installed:
        if missing:
            command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
            subprocess.run([*command, "--target", installed, *missing], check=True)
        paths = [str(ROOT), os.environ.get("PYTHONPATH", ""), installed]
        own = {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
        own["RECSK_DATA"] = str((folder / "data").resolve())
        return subprocess.run(
            [sys.executable, script, *words], env={**os.environ, **own}
        ).returncode


def is_installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
