"""The chart's README describes every value, from the comments in values.yaml."""

import re

import pytest
import yaml

from deploy.helm.readme import README, VALUES, filled, undescribed, values
from tests.chart.chart import CHART, every

TEXT = VALUES.read_text()

EXAMPLE = """\
# -- A value with a description
# of two lines.
one: 1

# Not a description.
two: a|b

group:
  # -- Of a map that is a value.
  inner: {a: 1}
  silent: true

# -- Of a group.
told:
  # -- Of a value inside.
  deep: []

componentDefaults:
  # -- How many.
  replicas: 1
components:
  login:
    replicas: 2
"""


def test_comments_become_descriptions() -> None:
    found = {each.path: (each.default, each.description) for each in values(EXAMPLE)}
    assert found == {
        "one": ("1", "A value with a description of two lines."),
        "two": ('"a|b"', ""),
        "group.inner": ('{"a": 1}', "Of a map that is a value."),
        "group.silent": ("true", ""),
        "told": ("", "Of a group."),
        "told.deep": ("[]", "Of a value inside."),
        "componentDefaults.replicas": ("1", "How many."),
        "components.login.replicas": ("2", "How many."),
    }
    assert undescribed(EXAMPLE) == ["two", "group.silent"]


def test_only_the_tables_of_a_readme_are_written() -> None:
    readme = "before\n<!-- values: written by `make chart-readme` -->\nold\n<!-- end of values -->\nafter\n"
    new = filled(readme, EXAMPLE)
    assert new.startswith("before\n")
    assert new.endswith("after\n")
    assert "\nold\n" not in new
    assert '| `two` | `"a\\|b"` |' in new
    assert filled(new, EXAMPLE) == new


def test_every_value_is_described() -> None:
    assert undescribed(TEXT) == []


def test_every_value_is_in_the_readme() -> None:
    """Read back by another way than it was written."""
    listed = set(re.findall(r"^\| `([\w.]+)` \|", README.read_text(), re.MULTILINE))
    for path, value in every(yaml.safe_load(TEXT)):
        if not isinstance(value, dict | list) and "[" not in path:
            parts = path.removeprefix(".").split(".")
            assert any(".".join(parts[:length]) in listed for length in range(1, len(parts) + 1)), path


def test_the_readme_is_up_to_date() -> None:
    assert README.read_text() == filled(README.read_text(), TEXT), "`make chart-readme` generates it"


@pytest.mark.parametrize("file", sorted(each.name for each in CHART.glob("values*.yaml")))
def test_every_values_file_is_described(file: str) -> None:
    assert f"`{file}`" in README.read_text()


def test_files_that_the_readme_links_to_exist() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", README.read_text())
    assert links
    for link in links:
        assert (CHART / link).exists(), link
