"""Services meet only over REST, the queue and the contracts: none imports another."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
SERVICES = sorted(each.name for each in (ROOT / "services").iterdir() if (each / "__init__.py").exists())


def imported(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative imports hide what is imported"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def files_below(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def test_all_services_are_looked_at() -> None:
    assert {"business", "dialogue", "intent", "learning", "login"} <= set(SERVICES)


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_imports_no_other_service_and_no_client(service: str) -> None:
    for file in files_below(f"services/{service}"):
        for module in imported(file):
            parts = module.split(".")
            assert parts[0] not in ("cli", "tests", "bench"), f"{file} imports {module}"
            if parts[0] == "services" and len(parts) > 1:
                assert parts[1] == service, f"{file} imports {module}"


def test_shared_imports_no_service() -> None:
    for file in files_below("shared"):
        for module in imported(file):
            assert module.split(".")[0] not in ("services", "cli", "tests"), f"{file} imports {module}"


def test_contracts_know_only_contracts() -> None:
    for file in files_below("shared/contracts"):
        for module in imported(file):
            if module.startswith("shared."):
                assert module.startswith("shared.contracts"), f"{file} imports {module}"


def test_only_units_of_work_commit() -> None:
    """`commit()` belongs to `shared.storage.database`; elsewhere it would end somebody else's unit of work."""
    for folder in ("services", "cli"):
        for file in files_below(folder):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                    assert node.func.attr != "commit", f"{file}:{node.lineno} commits by itself"


@pytest.mark.parametrize("folder", ["services", "shared", "cli"])
def test_a_module_is_short_or_says_why(folder: str) -> None:
    for file in files_below(folder):
        source = file.read_text(encoding="utf-8")
        docstring = ast.get_docstring(ast.parse(source)) or ""
        long = len(source.splitlines()) > 400 and "migrations" not in file.parts
        assert not long or "One module because" in docstring, f"{file} has more than 400 lines and does not say why"
