"""The layout of docs/contributing/layout.md holds, and its picture is the one of the imports."""

import ast
import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = ROOT / "docs" / "contributing"
MODULES = sorted((ROOT / "recsk").rglob("*.py"))


@pytest.fixture(scope="module")
def layout():
    spec = importlib.util.spec_from_file_location("layout", PAGES / "layout.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_picture_and_the_table_are_up_to_date(layout):
    hint = "run: python docs/contributing/layout.py"
    assert (PAGES / "layout.svg").read_text(encoding="utf-8") == layout.draw(), hint
    text = (PAGES / "layout.md").read_text(encoding="utf-8")
    assert layout.page(text) == text, hint


def test_every_folder_has_a_rule_and_a_place(layout):
    folders = {path.name for path in (ROOT / "recsk").iterdir() if path.is_dir()} - {"__pycache__"}
    assert folders == set(layout.RULES) == {folder for row in layout.ROWS for folder in row}
    assert len(folders) <= 15


def test_there_are_no_modules_beside_the_folders():
    assert [path.name for path in (ROOT / "recsk").glob("*.py")] == ["__init__.py"]


def test_imports_run_one_way(layout):
    height = {folder: -r for r, row in enumerate(layout.ROWS) for folder in row}
    for folder, imported in layout.folder_imports().items():
        assert imported <= layout.RULES[folder][1], f"recsk/{folder} imports too much"
        assert all(height[other] < height[folder] for other in imported)


def test_rules_allow_only_what_is_used(layout):
    imported = layout.folder_imports()
    assert {folder: allowed for folder, (_, allowed) in layout.RULES.items()} == imported


@pytest.mark.parametrize("folder", sorted(p.name for p in (ROOT / "recsk").glob("[a-z]*")))
def test_no_circle_within_a_folder(folder, layout):
    """The files of a folder can be put into an order in which each imports earlier ones only."""
    files = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): layout.imports_of(path)
        for path in (ROOT / "recsk" / folder).rglob("*.py")
        if path.name != "__init__.py"
    }
    left = {name: imported & files.keys() for name, imported in files.items()}
    while left:
        free = [name for name, imported in left.items() if not imported & left.keys()]
        assert free, f"a circle among {sorted(left)}"
        for name in free:
            del left[name]


def test_torch_code_knows_nothing_of_scikit_learn():
    for path in (ROOT / "recsk" / "nn").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            assert not any(name.split(".")[0] == "sklearn" for name in names), path


def imported_at_once(path):
    """Modules that are imported when a file is, and not within a function or for types alone."""
    found, nodes = set(), list(ast.parse(path.read_text(encoding="utf-8")).body)
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module)
        elif isinstance(node, ast.ClassDef | ast.Try | ast.With) or (
            isinstance(node, ast.If) and ast.unparse(node.test) != "TYPE_CHECKING"
        ):
            nodes += [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)]
    return found


def test_what_answers_imports_no_torch():
    with_torch = {"recsk/nn", "recsk/models/mde/start", "recsk/models/mde/training"}
    with_torch |= {"recsk/models/mdsrec/training", "recsk/ranking/on_device"}
    for path in MODULES:
        name = path.relative_to(ROOT).with_suffix("").as_posix()
        if name in with_torch or name.startswith("recsk/nn/"):
            continue
        for module in imported_at_once(path):
            wrong = module.split(".")[0] == "torch" or module.startswith("recsk.nn")
            wrong |= module.replace(".", "/") in with_torch
            assert not wrong, f"{name} imports {module}: do it where it is needed"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_are_short(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


def test_tests_mirror_the_package():
    folders = {path.parent.relative_to(ROOT / "recsk") for path in MODULES} - {Path(".")}
    missing = [folder for folder in folders if not any((ROOT / "tests" / folder).glob("test_*.py"))]
    assert not missing


def test_words_of_the_field():
    """A user has seen an item, or interacted with it."""
    for path in [*MODULES, *(ROOT / "docs").rglob("*.md"), ROOT / "README.md"]:
        found = re.findall(r"\bmet\b|_met\b|\bmet_", path.read_text(encoding="utf-8"))
        assert not found, f"{path.relative_to(ROOT)}: write seen, interacted, history"
