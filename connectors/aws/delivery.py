"""What AWS delivered to a folder: the files of each bill that its manifest lists, or all where there is no manifest.

    <export>/data/BILLING_PERIOD=2026-10/[<execution>/]<export>-00001.snappy.parquet       Data Exports
    <export>/metadata/BILLING_PERIOD=2026-10/[<execution>/]<export>-Manifest.json
    <report>/20261001-20261101/[<assembly>/]<report>-1.csv.gz                              legacy reports
    <report>/20261001-20261101/[<assembly>/]<report>-Manifest.json

A bill is one export or report of one month. AWS writes its manifest after its files, and each refresh delivers the
whole month again; an export that keeps versions puts each in a folder of its own. A manifest's files are the bill;
other files of that month are older versions and are left out. Versions beside each other without one are refused.

Parts are named without the folder of their version, so that a refreshed month replaces itself.

Source: AWS Data Exports user guide, "Understanding export delivery"; Cost and Usage Reports user guide, "Report
versioning"; read 2026-11-21.
"""

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path, PurePosixPath
from typing import Final

import polars as pl

from connectors import files
from connectors.aws import discounts
from connectors.aws.columns import Layout
from connectors.aws.formats import open_bill
from connectors.registry import RawPart
from finops.errors import InputError

NAME: Final = "aws"
_MANIFEST: Final = "*Manifest.json"
_PERIOD: Final = re.compile(r"BILLING_PERIOD=\d{4}-\d{2}|\d{8}-\d{8}", re.IGNORECASE)


def find_parts(
    path: Path, *, until: date, options: dict[str, str] | None = None, say: Callable[[str], None] = lambda _: None
) -> list[RawPart]:
    """The files that make up a source's bills, each named stably; says what it leaves out and where discounts stand.

    Raises InputError where a manifest lists a file that is not there, or versions of a bill lie beside each other.
    """
    parts = files.find_parts(path, until=until, options=options)
    if path.is_dir():
        parts = _delivered(path, parts, say)
    return _with_discounts(parts, say)


# ----------------------------------------------------------------------------------------------------------- versions
@dataclass(frozen=True)
class _Manifest:
    """A manifest below the folder: where it lies, and the keys of the data files that it lists."""

    name: PurePosixPath
    keys: tuple[str, ...]


def _delivered(folder: Path, parts: list[RawPart], say: Callable[[str], None]) -> list[RawPart]:
    by_bill: dict[str, list[RawPart]] = defaultdict(list)
    for part in parts:
        by_bill[_bill(PurePosixPath(part.name))].append(part)
    manifests: dict[str, list[_Manifest]] = defaultdict(list)
    for path in sorted(folder.rglob(_MANIFEST)):
        if any(part.startswith(".") for part in path.relative_to(folder).parts):
            continue  # of a month that is still being fetched
        manifest = _read(path, folder)
        manifests[_bill(manifest.name)].append(manifest)
    kept = []
    for bill, found in sorted(by_bill.items()):
        kept += _whole(bill, found, manifests.pop(bill, []), say)
    for bill, orphans in manifests.items():
        for manifest in (m for m in orphans if m.keys):
            _refuse_missing(manifest, list(manifest.keys), bill)
    return kept


def _bill(name: PurePosixPath) -> str:
    """Export and month that a file belongs to; its folder, where no folder names a month."""
    for i, folder in enumerate(name.parts[:-1]):
        if _PERIOD.fullmatch(folder):
            above = name.parts[:i]
            root = above[:-1] if above and above[-1] in ("data", "metadata") else above
            return "/".join((*root, folder))
    return name.parent.as_posix()


def _read(path: Path, folder: Path) -> _Manifest:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise InputError(
            f"{path} is no whole manifest: {error}",
            expected="the JSON manifest that AWS writes after the files of an export",
            next_step="fetch the manifest again",
        ) from error
    keys = tuple(text for text in _texts(content) if text.endswith(files.SUFFIXES))
    return _Manifest(PurePosixPath(path.relative_to(folder).as_posix()), keys)


def _texts(content: object) -> Iterator[str]:
    if isinstance(content, str):
        yield content
    elif isinstance(content, dict):
        for value in content.values():
            yield from _texts(value)
    elif isinstance(content, list):
        for value in content:
            yield from _texts(value)


def _whole(bill: str, parts: list[RawPart], manifests: list[_Manifest], say: Callable[[str], None]) -> list[RawPart]:
    """The parts that the bill's newest manifest lists, or all where it has none and there is one version."""
    if not manifests:
        _refuse_versions(bill, parts)
        return [_named(part, bill) for part in parts]
    in_month = bool(_PERIOD.search(bill))
    listed = []
    for manifest in [_newest(bill, manifests)] if in_month else manifests:
        missing = [key for key in manifest.keys if not any(_same(key, part) for part in parts)]
        if missing or not manifest.keys:
            _refuse_missing(manifest, missing, bill)
        listed += [part for part in parts if any(_same(key, part) for key in manifest.keys)]
    left_out = [part.name for part in parts if part not in listed]
    if left_out:
        say(f"{NAME}: left out of {bill}, because its manifest does not list them: {', '.join(left_out)}")
    return [_named(part, bill) for part in listed]


def _newest(bill: str, manifests: list[_Manifest]) -> _Manifest:
    """The manifest of the month itself, else that of the last execution: their folders begin with a time."""
    top = min(len(m.name.parts) for m in manifests)
    highest = [m for m in manifests if len(m.name.parts) == top]
    timed = all(re.match(r"\d{4}-?\d{2}-?\d{2}T", m.name.parent.name) for m in highest)
    if len(highest) == 1 or timed:
        return max(highest, key=lambda m: m.name.parent.name)
    raise _versions(bill, [m.name.as_posix() for m in highest])


def _same(key: str, part: RawPart) -> bool:
    """Whether a manifest's key (a path in the bucket) is this part: one path ends with the other."""
    path = "/" + re.sub("^s3://[^/]+/", "", key)
    name = "/" + part.name
    return path.endswith(name) or name.endswith(path)


def _named(part: RawPart, bill: str) -> RawPart:
    """The part, named by its bill and file alone: the folder of a version is no part of it."""
    if not _PERIOD.search(bill):
        return part
    return replace(part, name=f"{bill}/{PurePosixPath(part.name).name}")


def _refuse_versions(bill: str, parts: list[RawPart]) -> None:
    folders = sorted({PurePosixPath(part.name).parent.as_posix() for part in parts})
    if len(folders) > 1 and _PERIOD.search(bill):
        raise _versions(bill, folders)


def _versions(bill: str, found: list[str]) -> InputError:
    return InputError(
        f"{bill} lies there in several versions: {', '.join(found)}",
        expected="one version of a month, or a manifest that says which files are the newest",
        next_step="fetch the export's manifest too, or keep the newest version only",
    )


def _refuse_missing(manifest: _Manifest, missing: list[str], bill: str) -> None:
    if not missing:
        raise InputError(
            f"{manifest.name} lists no file that ends in {', '.join(files.SUFFIXES)}",
            expected="an export as Parquet or gzipped CSV",
            next_step="change the compression of the report, or convert its files and leave its manifest away",
        )
    raise InputError(
        f"{manifest.name} lists {', '.join(missing[:3])}"
        + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
        + f", which {'is' if len(missing) == 1 else 'are'} not there",
        expected=f"every file of {bill} that its manifest lists",
        next_step="fetch the missing files, or wait until AWS has delivered the export",
    )


# ---------------------------------------------------------------------------------------------------------- discounts
def _with_discounts(parts: list[RawPart], say: Callable[[str], None]) -> list[RawPart]:
    """The parts, told where their bill keeps its discounts: one chunk may hold the rows, another the discounts."""
    reports: dict[str, list[tuple[pl.LazyFrame, Layout]]] = defaultdict(list)
    for part in parts:
        bill = open_bill(part.path)
        if bill.layout is not None:
            reports[_bill(PurePosixPath(part.name))].append((bill.raw, bill.layout))
    told = {}
    for name, opened in reports.items():
        how = discounts.basis(opened)
        told[name] = {discounts.OPTION: how}
        if how != "rows":
            say(f"{NAME}: {name}: {discounts.WORDS[how]}")
    return [replace(p, options=p.options | told.get(_bill(PurePosixPath(p.name)), {})) for p in parts]
