"""Writes the tables of values in the chart's README from the comments in its values.yaml.

`python -m deploy.helm.readme`, or `make chart-readme`. A comment that begins with `# --` above a value is its
description, up to the value. A map with described values inside is a group, one without is a value like any other.
What `components` sets of `componentDefaults` is described there.
"""

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

__all__ = ["README", "VALUES", "Value", "filled", "undescribed", "values"]

CHART = Path(__file__).parent / "zhiyin"
VALUES = CHART / "values.yaml"
README = CHART / "README.md"
BEGIN, END = "<!-- values: written by `make chart-readme` -->\n", "<!-- end of values -->\n"
DEFAULTS = "componentDefaults"


@dataclass(frozen=True)
class Value:
    """One value: its path, its default as JSON (empty for a group), and what its comment says."""

    path: str
    default: str
    description: str

    @property
    def group(self) -> str:
        """The top-level key that it belongs to; empty for a top-level value that is no map of described ones."""
        head, *rest = self.path.split(".")
        return head if rest or not self.default else ""


def description_above(lines: list[str], key: yaml.Node) -> str:
    """The text of the comment that ends just above a key's line and begins with `# --`; empty when there is none."""
    text: list[str] = []
    if lines[key.start_mark.line][: key.start_mark.column].strip():
        return ""  # A key of a map that is written in one line; the comment is the map's.
    for each in reversed(lines[: key.start_mark.line]):
        comment = re.fullmatch(r"\s*# ?(-- )?(.*)", each)
        if comment is None:
            return ""
        text.insert(0, comment[2])
        if comment[1]:
            return " ".join(text)
    return ""


def walk(lines: list[str], node: yaml.MappingNode, path: str, defaults: dict[str, str]) -> Iterator[Value]:
    """The values below a map in their order; a description may be empty.

    `defaults` has the descriptions of `componentDefaults`, for what a component sets instead of them.
    """
    for key, value in node.value:
        own = f"{path}.{key.value}" if path else str(key.value)
        component = re.fullmatch(r"components\.\w+\.(.+)", own)
        inherited = defaults.get(component[1], "") if component else ""
        description = description_above(lines, key) or inherited
        inner = [] if inherited or not isinstance(value, yaml.MappingNode) else list(walk(lines, value, own, defaults))
        if inner and (not description or any(each.description for each in inner)):
            if description:
                yield Value(own, "", description)
            yield from inner
        else:
            yield Value(own, json.dumps(yaml.safe_load(yaml.serialize(value)), ensure_ascii=False), description)


def values(text: str) -> list[Value]:
    """Every value of a values.yaml."""
    root = yaml.compose(text, yaml.SafeLoader)
    assert isinstance(root, yaml.MappingNode)
    lines = text.splitlines()
    found = walk(lines, root, "", {})
    defaults = {each.path.removeprefix(f"{DEFAULTS}."): each.description for each in found}
    return list(walk(lines, root, "", defaults))


def undescribed(text: str) -> list[str]:
    """Paths of values that have no comment, and whose maps have none either."""
    return [each.path for each in values(text) if not each.description]


def tables(text: str) -> str:
    """The values as Markdown, a table a group."""
    groups: dict[str, list[Value]] = {"": []}
    for each in values(text):
        groups.setdefault(each.group, []).append(each)
    parts = []
    for name, members in groups.items():
        parts.append(f"### {f'`{name}`' if name else 'Of the whole'}\n")
        if members[0].path == name:
            parts.append(f"{members.pop(0).description}\n")
        parts.append("| value | default | what it is |\n| --- | --- | --- |")
        parts.extend(f"| `{each.path}` | {cell(each.default)} | {escaped(each.description)} |" for each in members)
        parts.append("")
    return "\n".join(parts)


def cell(default: str) -> str:
    """A default as a cell; a group inside a group has none."""
    return f"`{escaped(default)}`" if default else ""


def escaped(text: str) -> str:
    """Text that does not end its cell."""
    return text.replace("|", "\\|")


def filled(readme: str, text: str) -> str:
    """The README with the tables of these values between its two marks."""
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{tables(text)}\n{END}{after}"


def main() -> int:
    """Writes the README; fails and names the values when some are not described."""
    text = VALUES.read_text()
    missing = undescribed(text)
    if missing:
        sys.stderr.write(f"values.yaml does not say what these are: {', '.join(missing)}\n")
        return 1
    README.write_text(filled(README.read_text(), text))
    return 0


if __name__ == "__main__":
    sys.exit(main())
