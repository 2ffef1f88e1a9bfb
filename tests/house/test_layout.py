"""The rules of the house about files and functions, as tests."""

import ast
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[2]
PACKAGES = ("bot", "cogs", "app")
SAYS_NOTHING = {"utils", "helpers", "common", "misc", "manager", "base", "core"}
LONGEST_FUNCTION = 60


def sources() -> list[pathlib.Path]:
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def functions(tree: ast.AST) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def named(paths: list[pathlib.Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


@pytest.mark.parametrize("path", sources(), ids=named(sources()))
def test_no_function_is_longer_than_a_screen(path):
    long = [
        f"{f.name} ({f.end_lineno - f.lineno + 1} lines)"
        for f in functions(ast.parse(path.read_text(encoding="utf-8")))
        if f.end_lineno - f.lineno + 1 > LONGEST_FUNCTION
    ]
    assert long == []


@pytest.mark.parametrize("path", sources(), ids=named(sources()))
def test_every_module_says_what_it_is_for(path):
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), "a module docstring is missing"


def test_every_file_is_named_after_something_of_the_domain():
    assert [str(p) for p in sources() if p.stem in SAYS_NOTHING] == []


def test_public_classes_and_functions_of_the_core_are_explained():
    """Handlers' methods that only repeat their protocol say so in a docstring, too."""
    missing = []
    for path in sources():
        if path.relative_to(ROOT).parts[:2] not in {("bot", "ops"), ("bot", "services"), ("bot", "clients")}:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_") and not ast.get_docstring(node):
                missing.append(f"{path.stem}.{node.name}")
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_") and not ast.get_docstring(node):
                missing.append(f"{path.stem}.{node.name}")
    assert [m for m in missing if m not in {"github_types.JobStep"}] == []


def test_no_lock_file_and_no_source_names_a_package_registry():
    pattern = re.compile(r"(?:pypi|npmjs|pythonhosted)\.(?:org|com)", re.IGNORECASE)
    suffixes = {".py", ".txt", ".toml", ".yml", ".yaml", ".md", ".json", ".sh", ""}
    skipped = {".git", ".venv", ".cache", ".quarterdeck", "node_modules", "__pycache__", ".mypy_cache", ".ruff_cache"}
    files = [
        p
        for p in ROOT.rglob("*")
        if p.is_file() and p.suffix in suffixes and p != pathlib.Path(__file__)
        if not skipped & set(p.relative_to(ROOT).parts)
    ]
    assert files
    assert [str(p) for p in files if pattern.search(p.read_text(encoding="utf-8", errors="replace"))] == []
