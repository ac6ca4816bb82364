"""The next release of Zhiyin, made out of this one, as far as other releases can see it.

Every contract, state and event has a field more, which is always written, and every enumeration that is read tolerantly
has a member more, which is written in place of the one that it is read as. Tokens have a claim more. Each service has a
migration more, which only adds, and uses the column that it adds.

    python -m tests.next_release FOLDER [--intolerant]

writes the files in which the next release differs below FOLDER. With `--intolerant` it is one that no release may be
like: it refuses what does not have the added field.
"""

import argparse
import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["ADDED", "COLUMN", "MEMBER", "REVISION", "TABLES", "VALUE", "files", "without_additions"]

PROJECT = Path(__file__).parents[1]
ADDED = "added_by_the_next_release"
VALUE = ["new"]
MEMBER = "of_the_next_release"
COLUMN = "column_of_the_next_release"
REVISION = "next_release"
TABLES = {
    "login": ("services/login/models.py", "accounts"),
    "dialogue": ("services/dialogue/conversation/models.py", "conversations"),
    "business": ("services/business/models.py", "actions"),
}
"""Of each service: where a table of it is described, and its name."""

BASE = Path("shared/contracts/base.py")
TOKENS = Path("services/login/tokens.py")
CLAIM = '"jti": uuid.uuid4().hex,'

UNKNOWN_AS = f'''
class unknown_as:  # noqa: N801
    """For a field with an enumeration: what is read as `default` is written as the member that is new."""

    def __init__(self, default: Any) -> None:
        self.default = default

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        def known(value: Any, inner: ValidatorFunctionWrapHandler) -> Any:
            try:
                return inner(value)
            except ValidationError:
                if isinstance(value, str):
                    return self.default
                raise

        written = core_schema.plain_serializer_function_ser_schema(
            lambda value: {MEMBER!r} if value == self.default else value
        )
        return core_schema.no_info_wrap_validator_function(known, handler(source), serialization=written)
'''

MIGRATION = '''"""The next release adds a column."""

import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = "{before}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds it; rows of the release before do not have it."""
    op.add_column("{table}", sa.Column("{column}", sa.String(16), nullable=True, server_default="new"))
'''


def files(*, intolerant: bool = False) -> dict[Path, str]:
    """The files in which the next release differs from this one, by their path in the project."""
    found = {}
    for package in ("shared", "services", "cli"):
        for path in sorted((PROJECT / package).rglob("*.py")):
            if "migrations" not in path.parts:
                source = path.read_text(encoding="utf-8")
                changed = _with_a_field_more(source, intolerant=intolerant)
                if changed != source:
                    found[path.relative_to(PROJECT)] = changed
    found[BASE] = _with_a_member_more(found[BASE])
    found[TOKENS] = _replaced((PROJECT / TOKENS).read_text(encoding="utf-8"), CLAIM, f'{CLAIM} "{ADDED}": {VALUE!r},')
    for service, (models, table) in TABLES.items():
        where = Path(models)
        source = found.get(where) or (PROJECT / where).read_text(encoding="utf-8")
        name = f'__tablename__ = "{table}"'
        column = f'{COLUMN}: Mapped[str | None] = mapped_column(String(16), server_default="new")'
        found[where] = _replaced(source, name, f"{name}\n    {column}")
        versions = Path("services") / service / "migrations" / "versions"
        found[versions / f"{REVISION}.py"] = MIGRATION.format(
            revision=REVISION, before=_head(PROJECT / versions), table=table, column=COLUMN
        )
    return found


def _with_a_field_more(source: str, *, intolerant: bool) -> str:
    """The module with the added field in every class whose only base is pydantic's, and by it in all that derive."""
    lines = source.splitlines(keepends=True)
    for place in reversed(list(_places(ast.parse(source)))):
        default = "" if intolerant else f" = {tuple(VALUE)!r}"
        lines.insert(place, f"    {ADDED}: tuple[str, ...]{default}\n")
    return "".join(lines)


def _places(module: ast.Module) -> Iterator[int]:
    """The lines before which a class takes a field: those of what is read from elsewhere, not of what people write."""
    for each in module.body:
        if isinstance(each, ast.ClassDef) and any(
            isinstance(base, ast.Name) and base.id == "BaseModel" for base in each.bases
        ):
            strict = any(isinstance(node, ast.Constant) and node.value == "forbid" for node in ast.walk(each))
            if not strict:
                yield each.body[0].end_lineno or 0


def _with_a_member_more(source: str) -> str:
    (old,) = (
        each for each in ast.parse(source).body if isinstance(each, ast.FunctionDef) and each.name == "unknown_as"
    )
    lines = source.splitlines(keepends=True)
    return "".join([*lines[: old.lineno - 1], UNKNOWN_AS.lstrip(), *lines[old.end_lineno :]])


def _replaced(source: str, old: str, new: str) -> str:
    assert source.count(old) == 1, f"{old} is there {source.count(old)} times"
    return source.replace(old, new)


def _head(versions: Path) -> str:
    """The newest revision."""
    revisions: dict[str, str | None] = {}
    for path in versions.glob("*.py"):
        assigned: dict[str, Any] = {}
        for each in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(each, ast.Assign | ast.AnnAssign) and isinstance(each.value, ast.Constant):
                target = each.targets[0] if isinstance(each, ast.Assign) else each.target
                assigned[ast.unparse(target)] = each.value.value
        revisions[str(assigned["revision"])] = assigned.get("down_revision")
    (head,) = revisions.keys() - {each for each in revisions.values() if each}
    return head


def without_additions(data: Any) -> Any:
    """The data without what the next release added, at any depth."""
    if isinstance(data, dict):
        return {name: without_additions(each) for name, each in data.items() if name != ADDED}
    return [without_additions(each) for each in data] if isinstance(data, list) else data


def main() -> None:
    """Writes the files below a folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--intolerant", action="store_true")
    given = parser.parse_args()
    for path, text in files(intolerant=given.intolerant).items():
        target = given.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
