"""Secrets that stand in an assistant's files: keys, passwords and tokens belong to the installation, by name."""

import re
from collections.abc import Iterator, Mapping

__all__ = ["secrets_in"]

FORMS = (
    ("a private key", re.compile(r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----")),
    ("an access key of AWS", re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b")),
    ("a token of GitHub", re.compile(r"\bgh[pousr]_[0-9A-Za-z]{36}|\bgithub_pat_\w{50}")),
    ("a token of GitLab", re.compile(r"\bglpat-[\w-]{20}")),
    ("a token of Slack", re.compile(r"\bxox[abprs]-[\w-]{10}")),
    ("a key of Google", re.compile(r"\bAIza[\w-]{35}\b")),
    ("an API key", re.compile(r"\bsk-(?:[a-z]+-)?[0-9A-Za-z_-]{20}")),
    ("a signed token", re.compile(r"\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,}")),
    ("a bearer token", re.compile(r"\b(?:Bearer|Basic) +(?=[A-Za-z._~+/=-]*[0-9])[\w.~+/=-]{8,}")),
    ("a password in an address", re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s/:@'\"]+:[^\s/@'\"{}$]+@")),
)
FIELD = re.compile(
    r"""(?ix) (?: ^ | [\s{,"'-] ) (?P<name> [\w-]* (?: pass(?:word|wd|phrase) | secret | api[_-]?key | private[_-]?key
        | access[_-]?key | authorization | auth[_-]?token | access[_-]?token | refresh[_-]?token | token ) ) ["']?
        \s* [:=] \s* (?P<quote> ["']?) (?P<value> [^\s"',{}\[\]|>&*\#]+ ) (?P=quote) (?= \s* (?: [,}\]\#] | $ ) )"""
)
EXPRESSION = re.compile(r"[A-Za-z_]\w*(?:[.(\[?+]\S*)|[$#`].*")
SETTINGS = (".yml", ".yaml", ".json", ".jsonc", ".toml", ".ini", ".env", ".cfg", ".conf", ".properties")
SHORTEST = 8
"""Of what stands in a field with such a name and is no password; a password is one however short it is."""


def secrets_in(files: Mapping[str, bytes]) -> list[str]:
    """A sentence with file and line for each line that has a secret in it; the secret itself is not repeated."""
    return [
        f"{name}:{number}: this looks like {what}; keep it in the installation and name it under `auth`"
        for name, content in sorted(files.items())
        for number, what in _found(content.decode("utf-8", "replace"), fields=name.lower().endswith(SETTINGS))
    ]


def _found(text: str, *, fields: bool) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.splitlines(), 1):
        what = next((what for what, form in FORMS if form.search(line)), "")
        if not what and fields and len(line) < 1000 and (field := FIELD.search(line)):
            what = _kind(field["name"].lower(), field["value"])
        if what:
            yield number, what


def _kind(name: str, value: str) -> str:
    """What a field holds, if it is a secret: no expression, no name of one, and nothing that schemas say."""
    if EXPRESSION.fullmatch(value) or value.lower() in ("true", "false", "null", "~", "text", "string", "number"):
        return ""
    if "pass" in name:
        return "a password"
    varied = any(each.isdigit() for each in value) and any(each.isalpha() for each in value)
    return "a secret" if varied and len(value) >= SHORTEST and not re.fullmatch(r"[a-z][a-z0-9_]*", value) else ""
