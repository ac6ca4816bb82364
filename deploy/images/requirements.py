"""Writes what each image installs: one requirements file an extra of pyproject.toml, and `base` for all of them."""

import os
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

OWN_EXTRAS = re.compile(r"zhiyin\[([a-z,-]+)\]")


def requirements(extras: Mapping[str, Sequence[str]], extra: str) -> Iterator[str]:
    """The requirements of an extra, those of the extras that it names among them."""
    for requirement in extras[extra]:
        if own := OWN_EXTRAS.fullmatch(requirement):
            for name in own[1].split(","):
                yield from requirements(extras, name)
        else:
            yield requirement


def main(project_file: Path, folder: Path) -> None:
    """Writes the files; unchanged requirements give the very same file, so that a builder's cache knows it again."""
    project = tomllib.loads(project_file.read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    folder.mkdir(parents=True, exist_ok=True)
    lists = {"base": project["dependencies"]} | {extra: list(requirements(extras, extra)) for extra in extras}
    for name, lines in lists.items():
        path = folder / f"{name}.txt"
        path.write_text("\n".join(sorted(set(lines))) + "\n", encoding="utf-8")
        os.utime(path, (0, 0))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
