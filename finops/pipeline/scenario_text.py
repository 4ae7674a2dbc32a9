"""A scenario's TOML text with single values changed: comments, all other keys and their order stay as they are."""

import copy
import itertools
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from finops.errors import CallError

Key = tuple[str | int, ...]
"""Where a value is: ("workloads", 0, "growth_ratio_per_year")."""

_TOKEN = re.compile(
    r'"""(?:\\.|[^\\])*?"""|\'\'\'.*?\'\'\'|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\'|#[^\n]*|[\[{]|[\]}]|\n|[^\S\n]+|[^\s#"\'\[\]{}]+',
    re.DOTALL,
)
_PART = re.compile(r'"(?:\\.|[^"\\])*"|\'[^\']*\'|[A-Za-z0-9_-]+')
_BARE = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True)
class _Statement:
    """A header or a key with its value: where it starts and ends, and for a key where its value does."""

    path: Key
    is_header: bool
    start: int
    end: int
    value_start: int


def edited(text: str, changes: Mapping[Key, Any]) -> str:
    """The text with the values changed; None takes a key or table away, a key that is not there is added to its table.

    Values are str, bool, int, Decimal, date, and lists and dicts of them. What is read from the result is exactly what
    was read from the text with these changes. Raises CallError for a layout in which that cannot be had.
    """
    wanted = tomllib.loads(text, parse_float=Decimal)
    for key, value in changes.items():
        _put(wanted, key, value)
        text = _with(text, key, value)
    try:
        if tomllib.loads(text, parse_float=Decimal) == wanted:
            return text
    except tomllib.TOMLDecodeError:
        pass
    names = ", ".join(".".join(map(str, key)) for key in changes)
    raise CallError(
        f"{names} cannot be changed in this file",
        expected="a layout with one value for each key, under its [table] or [[table]]",
        next_step="change the file by hand, or state these keys in the usual layout",
    )


def written(value: Any) -> str:
    """A value as TOML."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            escaped = "".join(_escape(c) for c in value)
            return f'"{escaped}"'
        case Decimal():
            plain = format(value, "f")
            return plain.rstrip("0").rstrip(".") if "." in plain else plain
        case int():
            return str(value)
        case date():
            return value.isoformat()
        case dict():
            return "{ " + ", ".join(f"{_name(k)} = {written(v)}" for k, v in value.items()) + " }" if value else "{}"
        case _:
            return "[" + ", ".join(map(written, value)) + "]"


def _escape(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    return character if character.isprintable() else f"\\U{ord(character):08x}"


def _name(key: str) -> str:
    return key if _BARE.fullmatch(key) else written(key)


def _put(document: Any, key: Key, value: Any) -> None:
    for part in key[:-1]:
        if isinstance(part, str) and part not in document:
            if value is None:
                return
            document[part] = {}
        document = document[part]
    if value is not None:
        document[key[-1]] = copy.deepcopy(value)
    else:
        document.pop(key[-1], None)


def _with(text: str, key: Key, value: Any) -> str:
    statements = list(_statements(text))
    for number, found in enumerate(statements):
        if found.is_header:
            if found.path == key and value is None:
                rest = statements[number + 1 :]
                last = [found, *itertools.takewhile(lambda s: not s.is_header, rest)][-1]
                return text[: found.start] + text[_line_end(text, last.end) :]
            continue
        if found.path == key:
            if value is None:
                return text[: found.start] + text[_line_end(text, found.end) :]
            return text[: found.value_start] + written(value) + text[found.end :]
        if found.path == key[: len(found.path)] and text[found.value_start] == "{":
            # an inline table is written anew; it can hold no comments
            held = tomllib.loads("v = " + text[found.value_start : found.end], parse_float=Decimal)
            _put(held, ("v", *key[len(found.path) :]), value)
            return text[: found.value_start] + written(held["v"]) + text[found.end :]
    return text if value is None else _added(text, statements, key, value)


def _added(text: str, statements: list[_Statement], key: Key, value: Any) -> str:
    """The text with a new key after the last one of its table; a table that is missing comes at the end."""
    headers = [h.path for h in statements if h.is_header]
    table = next((key[:n] for n in range(len(key) - 1, 0, -1) if key[:n] in headers), ())
    line = ".".join(_name(str(part)) for part in key[len(table) :]) + f" = {written(value)}\n"
    if not table and len(key) > 1:
        name = ".".join(_name(str(part)) for part in key[:-1])
        line = f"{_name(str(key[-1]))} = {written(value)}\n"
        return text.rstrip("\n") + f"\n\n[{name}]\n{line}"
    at, inside = 0, not table
    for found in statements:
        if found.is_header:
            inside = found.path == table
        if inside:
            at = _line_end(text, found.end)
    if at and not text[:at].endswith("\n"):
        line = "\n" + line
    return text[:at] + line + text[at:]


def _line_end(text: str, at: int) -> int:
    """The start of the line after the one that `at` is on."""
    end = text.find("\n", at)
    return len(text) if end < 0 else end + 1


def _statements(text: str) -> Iterator[_Statement]:
    """Headers and keys in their order, with the number of each entry of an array of tables in their paths."""
    at = 0
    table: Key = ()
    counts: dict[Key, int] = {}
    while at < len(text):
        line = re.compile(r"[^\S\n]*(#[^\n]*)?(\n|\Z)").match(text, at)
        if line and (line.end() > at):
            at = line.end()
            continue
        start = at
        at += len(text[at:]) - len(text[at:].lstrip(" \t"))
        if text[at] == "[":
            is_entry = text.startswith("[[", at)
            end = _line_end(text, at)
            names = _names(text[at:end].split("#")[0] if '"' not in text[at:end] else text[at:end])
            table = _numbered(names, counts, is_entry=is_entry)
            yield _Statement(table, True, start, end - 1 if text[end - 1 : end] == "\n" else end, end)
            at = end
            continue
        equals = _equals(text, at)
        value_start = equals + 1 + len(text[equals + 1 :]) - len(text[equals + 1 :].lstrip(" \t"))
        end = _value_end(text, value_start)
        yield _Statement((*table, *_names(text[at:equals])), False, start, end, value_start)
        at = _line_end(text, end)


def _equals(text: str, at: int) -> int:
    """Where the key that starts at `at` has its equals sign; a quoted part of the key may hold another one."""
    while text[at] != "=":
        quoted = _PART.match(text, at)
        at = quoted.end() if quoted else at + 1
    return at


def _names(written_key: str) -> tuple[str, ...]:
    """The parts of a dotted key or header."""
    parts = _PART.findall(written_key)
    return tuple(str(tomllib.loads(f"v = {p}")["v"]) if p[0] in "\"'" else p for p in parts)


def _numbered(names: tuple[str, ...], counts: dict[Key, int], *, is_entry: bool) -> Key:
    path: Key = ()
    for place, name in enumerate(names):
        path = (*path, name)
        if is_entry and place == len(names) - 1:
            counts[path] = counts.get(path, -1) + 1
        if path in counts:
            path = (*path, counts[path])
    return path


def _value_end(text: str, at: int) -> int:
    """The end of the value that starts at `at`, before what follows it on its line."""
    depth, end = 0, at
    for token in _TOKEN.finditer(text, at):
        piece = token.group()
        if depth == 0 and (piece == "\n" or piece[0] == "#"):
            break
        depth += piece in "[{" and len(piece) == 1
        depth -= piece in "]}" and len(piece) == 1
        if not piece.isspace():
            end = token.end()
    return end
