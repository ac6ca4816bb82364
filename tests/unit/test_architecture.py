"""Services meet only over REST, the queue and the contracts: none imports another."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
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


def rooms_of(service: str) -> dict[str, set[str]]:
    """The rooms of a service, each with those that it imports; a module outside of a folder is a room of its own."""
    rooms: dict[str, set[str]] = {}
    root = ROOT / "services" / service
    known = {each.stem for each in root.iterdir()}
    for file in files_below(f"services/{service}"):
        room = file.relative_to(root).parts[0].removesuffix(".py")
        prefix = f"services.{service}."
        found = {module.removeprefix(prefix).split(".")[0] for module in imported(file) if module.startswith(prefix)}
        rooms.setdefault(room, set()).update(found & known - {room})
    return rooms


@pytest.mark.parametrize("service", ["intent", "learning"])
def test_rooms_import_each_other_without_circles(service: str) -> None:
    try:
        list(TopologicalSorter(rooms_of(service)).static_order())
    except CycleError as error:
        pytest.fail(f"rooms of {service} import each other in a circle: {' ← '.join(error.args[1])}")


def test_settings_of_intent_import_no_room() -> None:
    assert rooms_of("intent")["settings"] == {"limits"}


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
