"""Whether what would be published works: `tox run -e build`, or `python check_build.py FOLDER`.

It builds the sdist, and the wheel out of that, and checks what they say about themselves and what
is in them. Then it installs the wheel in an environment that has nothing else, and runs the
Python code of the README there, from an empty folder. It needs build and twine beside it.
"""

import re
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Run after the code of the README: it has to be the wheel's recsk that ran.
EPILOGUE = """
import recsk
print("ran with recsk", recsk.__version__, "of", recsk.__file__)
assert recsk.__file__.startswith({env!r})
"""


def run(*command, cwd=None):
    """Run a command, and stop here if it fails."""
    print("$", *command, flush=True)
    subprocess.run([str(part) for part in command], check=True, cwd=cwd)


def check(condition, message):
    """Stop here with a message unless the condition holds; unlike `assert`, with -O too."""
    if not condition:
        sys.exit(f"check_build: {message}")


def check_sdist(sdist):
    """The sdist has what packagers look for."""
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for name in ("README.md", "LICENSE", "CHANGELOG.md", "pyproject.toml", "recsk/__init__.py"):
        check(name in names, f"{sdist.name} lacks {name}")


def check_wheel(wheel):
    """The wheel has the package, and nothing else that would land in site-packages."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    for name in names:
        top, *inner = name.split("/")
        ours = top == "recsk" or re.fullmatch(r"recsk-[^/]*\.dist-info", top)
        check(ours and "tests" not in inner, f"{wheel.name} must not hold {name}")
    check("recsk/py.typed" in names, f"{wheel.name} lacks recsk/py.typed")
    check(any(name.endswith("/LICENSE") for name in names), f"{wheel.name} lacks its LICENSE")


def run_readme(wheel, folder):
    """Install the wheel alone, and run the README's blocks of Python as one script."""
    env, empty = folder / "env", folder / "empty"
    # Without pip, so that nothing is there but the wheel and what it asks for.
    run(sys.executable, "-m", "venv", "--without-pip", env)
    run(sys.executable, "-m", "pip", "--python", env, "install", "--quiet", wheel)
    blocks = re.findall(
        r"^```python\n(.*?)^```$", (ROOT / "README.md").read_text(encoding="utf-8"), re.M | re.S
    )
    check(blocks, "README.md has no block of Python")
    empty.mkdir()
    script = folder / "readme.py"
    script.write_text("".join(blocks) + EPILOGUE.format(env=str(env)), encoding="utf-8")
    python = Path(sysconfig.get_path("scripts", "venv", {"base": str(env)}), "python")
    # -I: neither PYTHONPATH nor a folder of the checkout has a say in what is imported.
    run(python, "-I", script, cwd=empty)


def main(folder):
    """Do all of it in a folder that is there, and empty."""
    dist = folder / "dist"
    run(sys.executable, "-m", "build", "--outdir", dist, ROOT)
    (sdist,), (wheel,) = dist.glob("*.tar.gz"), dist.glob("*.whl")
    run(sys.executable, "-m", "twine", "check", "--strict", sdist, wheel)
    check_sdist(sdist)
    check_wheel(wheel)
    run_readme(wheel, folder)
    print(f"{sdist.name} ({sdist.stat().st_size / 1e6:.1f} MB) and {wheel.name} are in order")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
