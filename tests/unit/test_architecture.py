"""Services meet only over REST, the queue and the contracts: none imports another. Tests mirror the tree."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
SERVICES = sorted(each.name for each in (ROOT / "services").iterdir() if (each / "__init__.py").exists())

LOGIC = (
    ast.If, ast.IfExp, ast.For, ast.AsyncFor, ast.While, ast.Try, ast.With, ast.AsyncWith, ast.Match,
    ast.comprehension, ast.BoolOp, ast.Compare,
)  # fmt: skip
TESTED_ELSEWHERE = frozenset(
    [
        "services/intent/explanation/openvino_gradients.py",
        "services/intent/explanation/torch_gradients.py",
        "services/login/api/dependencies.py",
    ]
)
"""Modules whose tests are those of a neighbour or of a whole service. A list that only shrinks: no module is added."""


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


def room_of(file: Path, service: str) -> str:
    """The folder of a service that a module is in; a module beside the folders is a room of its own."""
    return file.relative_to(ROOT / "services" / service).with_suffix("").parts[0]


def rooms(service: str) -> dict[str, set[str]]:
    """Which rooms each room of a service imports."""
    prefix = f"services.{service}."
    arrows: dict[str, set[str]] = {}
    for file in files_below(f"services/{service}"):
        if "migrations" in file.parts or file.name == "__init__.py":
            continue
        room = room_of(file, service)
        within = {module.removeprefix(prefix).split(".")[0] for module in imported(file) if module.startswith(prefix)}
        arrows.setdefault(room, set()).update(within - {room})
    return arrows


@pytest.mark.parametrize("service", SERVICES)
def test_rooms_import_each_other_without_circles(service: str) -> None:
    try:
        order = list(TopologicalSorter(rooms(service)).static_order())
    except CycleError as circle:
        raise AssertionError(f"services/{service}: {' -> '.join(circle.args[1])}") from circle
    assert order


def test_dialogue_imports_only_downwards() -> None:
    arrows = rooms("dialogue")
    layers = ["assistant", "policy", "conversation", "desk", "api"]
    for height, room in enumerate(layers):
        assert not arrows[room] & set(layers[height + 1 :]), f"services/dialogue/{room} imports {arrows[room]}"


def test_only_its_kind_knows_how_a_model_is_made() -> None:
    """Runs, cache, registry and gate know the contract of kinds and the list of them, nothing that one kind needs."""
    general = {"services.learning.kinds.kind", "services.learning.kinds.known"}
    arrows = rooms("learning")
    for room in ("runs", "release", "artifacts"):
        assert not arrows[room] & {"training", "evaluation", "datasets"}, f"services/learning/{room}: {arrows[room]}"
        for file in files_below(f"services/learning/{room}"):
            kinds = {module for module in imported(file) if module.startswith("services.learning.kinds.")}
            assert {".".join(module.split(".")[:4]) for module in kinds} <= general, f"{file} imports {kinds}"


def test_shared_imports_no_service() -> None:
    for file in files_below("shared"):
        for module in imported(file):
            assert module.split(".")[0] not in ("services", "cli", "tests"), f"{file} imports {module}"


def test_contracts_know_only_contracts() -> None:
    for file in files_below("shared/contracts"):
        for module in imported(file):
            if module.startswith("shared."):
                assert module.startswith("shared.contracts"), f"{file} imports {module}"


def test_foreign_systems_know_nothing_of_ours() -> None:
    """What `examples` holds stands for a company's own systems; they are reached over HTTP only, as any other."""
    ours = {each.name for each in ROOT.iterdir() if each.is_dir()} - {"examples"}
    assert {"services", "shared", "cli", "tests"} <= ours
    for file in files_below("examples"):
        for module in imported(file):
            assert module.split(".")[0] not in ours, f"{file} imports {module}"
    for folder in ("services", "shared", "cli"):
        for file in files_below(folder):
            assert not [each for each in imported(file) if each.split(".")[0] == "examples"], f"{file} imports examples"


def test_settings_of_intent_import_no_room() -> None:
    assert rooms("intent")["settings"] == {"limits"}


def test_only_units_of_work_commit() -> None:
    """`commit()` belongs to `shared.storage.database`; elsewhere it would end somebody else's unit of work."""
    for folder in ("services", "cli"):
        for file in files_below(folder):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                    assert node.func.attr != "commit", f"{file}:{node.lineno} commits by itself"


SQL_FILES = ("repository.py", "models.py")
SQL_NAMES_FOR_ALL = {
    "sqlalchemy.exc": None,  # errors are for everybody to catch
    "sqlalchemy.ext.asyncio": {"AsyncSession"},  # what a unit of work hands to repositories
    "sqlalchemy.engine": {"make_url"},
}
"""What modules that are no repository may import of SQLAlchemy; the names, or `None` for all of them."""
STATEMENTS = {"add", "add_all", "delete", "execute", "flush", "get", "merge", "refresh", "scalar", "scalars", "stream"}


def sql_in(source: str) -> list[str]:
    """What a module does with SQL by itself, each as `line: what`."""
    found = []
    knows_sql = "shared.storage.database" in source or "sqlalchemy" in source
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [f"{node.lineno}: imports {each.name}" for each in node.names if "sqlalchemy" in each.name]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "sqlalchemy":
            allowed = SQL_NAMES_FOR_ALL.get(node.module or "", set())
            names = [each.name for each in node.names if allowed is not None and each.name not in allowed]
            found += [f"{node.lineno}: imports {name} of {node.module}" for name in names]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "AsyncSession":
            found.append(f"{node.lineno}: opens a session")
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and knows_sql:
            owner = node.func.value
            name = owner.id if isinstance(owner, ast.Name) else owner.attr if isinstance(owner, ast.Attribute) else ""
            if name.lstrip("_").endswith("session") and node.func.attr in STATEMENTS:
                found.append(f"{node.lineno}: calls {name}.{node.func.attr}")
            elif name == "engine":
                found.append(f"{node.lineno}: goes around the units of work")
    return found


@pytest.mark.parametrize("folder", ["services", "cli"])
def test_sql_is_in_repositories_only(folder: str) -> None:
    """Queries belong to `repository.py`, tables to `models.py`; sessions come from `Database.transaction/reading`."""
    found = [
        f"{file.relative_to(ROOT)}:{what}"
        for file in files_below(folder)
        if file.name not in SQL_FILES and "migrations" not in file.parts
        for what in sql_in(file.read_text(encoding="utf-8"))
    ]
    assert not found


@pytest.mark.parametrize(
    "source",
    [
        "import sqlalchemy",
        "from sqlalchemy import select",
        "from sqlalchemy.ext.asyncio import create_async_engine",
        "from sqlalchemy.ext.asyncio import AsyncSession\nAsyncSession(None)",
        "from shared.storage.database import Database\nasync def f(session): await session.scalar(1)",
        "from sqlalchemy.ext.asyncio import AsyncSession\ndef f(work): work.session.add(1)",
        "from shared.storage.database import Database\ndef f(database): database.engine.connect()",
    ],
)
def test_sql_outside_of_repositories_is_found(source: str) -> None:
    assert sql_in(source)


@pytest.mark.parametrize("folder", ["services", "shared", "cli", "examples"])
def test_a_module_is_short_or_says_why(folder: str) -> None:
    for file in files_below(folder):
        source = file.read_text(encoding="utf-8")
        docstring = ast.get_docstring(ast.parse(source)) or ""
        long = len(source.splitlines()) > 400 and "migrations" not in file.parts
        assert not long or "One module because" in docstring, f"{file} has more than 400 lines and does not say why"


def has_logic(file: Path) -> bool:
    """Whether a function of the module decides, repeats or handles something."""
    functions = (
        node
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    return any(isinstance(node, LOGIC) for function in functions for node in ast.walk(function))


def has_test(file: Path) -> bool:
    folder, name = file.relative_to(ROOT).parent, f"test_{file.stem.strip('_')}.py"
    return any((ROOT / "tests" / kind / folder / name).exists() for kind in ("unit", "integration"))


def test_a_module_with_logic_has_its_test_at_its_path() -> None:
    """`shared/nlu/model.py` is tested in `tests/unit/shared/nlu/test_model.py`, or below `tests/integration`."""
    without = {
        str(file.relative_to(ROOT))
        for folder in ("services", "shared", "cli", "examples")
        for file in files_below(folder)
        if file.name != "__init__.py" and "migrations" not in file.parts and has_logic(file) and not has_test(file)
    }
    assert sorted(without - TESTED_ELSEWHERE) == [], "have no test at their path"
    assert sorted(TESTED_ELSEWHERE - without) == [], "have one now, or are gone: strike them from TESTED_ELSEWHERE"
