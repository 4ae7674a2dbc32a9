"""What Azure delivered to a folder: the files of each month's newest run, as its manifest lists them.

    <directory>/<export>/20261001-20261031/[<time of the run>/]<run id>/part_0_0001.csv.gz (or .parquet, .csv)
    <directory>/<export>/20261001-20261031/[<time of the run>/]<run id>/manifest.json

A run delivers its month whole, so runs are never added: of the manifests of a month the one submitted last counts, and
other files of that month are older runs and are left out. A month that lies there in several runs without a manifest is
refused. Older exports have no manifest and no folder of a run: <export>/20261001-20261031/<export>_<run id>.csv.

Parts are named without the folder of their run, so that a refreshed month replaces itself.

Source: Microsoft Cost Management, "Create and manage exports" (file partitioning, manifest), read 2026-11-21.
"""

import json
import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path, PurePosixPath
from typing import Any, Final

from connectors import files
from connectors.azure import views
from connectors.registry import RawPart
from finops.errors import InputError

NAME: Final = "azure"
MANIFEST: Final = "manifest.json"
PERIOD: Final = re.compile(r"\d{8}-\d{8}")
_GUID: Final = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}", re.IGNORECASE)


@dataclass(frozen=True)
class Blob:
    """A blob as a manifest lists it, with its bytes and rows where it says so."""

    name: str
    size: int | None
    rows: int | None


@dataclass(frozen=True)
class Manifest:
    """A manifest: where it lies, when its run was submitted, what it holds, which blobs and how many it says."""

    name: PurePosixPath
    submitted: str
    type: str
    blobs: tuple[Blob, ...]
    blob_count: int

    @property
    def age(self) -> tuple[str, str]:
        """What orders the manifests of one month; the newest counts."""
        return self.submitted, self.name.as_posix()


def find_parts(
    path: Path, *, until: date, options: dict[str, str] | None = None, say: Callable[[str], None] = lambda _: None
) -> list[RawPart]:
    """The files that make up a source's bills, each named stably; says what it leaves out and combines.

    Raises InputError where a manifest lists a file that is not there, runs of a month lie beside each other without a
    manifest, or a bill is there twice.
    """
    parts = files.find_parts(path, until=until, options=options)
    told: dict[str, str] = {}
    if path.is_dir():
        parts, told = _delivered(path, parts, say)
    return views.combined(parts, told, lambda part: _export(PurePosixPath(part.name)), say)


def _delivered(folder: Path, parts: list[RawPart], say: Callable[[str], None]) -> tuple[list[RawPart], dict[str, str]]:
    """The parts that count, and the type of each export whose manifest tells it."""
    found = [p for p in sorted(folder.rglob(MANIFEST)) if not _is_hidden(p.relative_to(folder))]
    manifests: dict[str, list[Manifest]] = defaultdict(list)
    for path in found:
        manifest = _read(path, folder)
        manifests[_month(manifest.name)].append(manifest)
    by_month: dict[str, list[RawPart]] = defaultdict(list)
    for part in parts:
        by_month[_month(PurePosixPath(part.name))].append(part)
    kept: list[RawPart] = []
    told: dict[str, str] = {}
    for month in sorted(by_month.keys() | manifests.keys()):
        if month in manifests:
            newest = max(manifests[month], key=lambda m: m.age)
            listed = _listed(newest, by_month[month], month, say)
            told |= {_export(PurePosixPath(part.name)): newest.type for part in listed}
        else:
            listed = by_month[month]
            _refuse_runs(month, listed)
            listed = [_named(part, month) for part in listed]
        kept += listed
    return kept, told


def _is_hidden(path: Path) -> bool:
    return any(part.startswith((".", "_")) for part in path.parts)


def _month(name: PurePosixPath) -> str:
    """Export and month that a file or manifest belongs to; its folder, where no folder names a month."""
    for i, folder in enumerate(name.parts[:-1]):
        if PERIOD.fullmatch(folder):
            return "/".join(name.parts[: i + 1])
    return name.parent.as_posix()


def _export(name: PurePosixPath) -> str:
    """The export that a part belongs to; of a loose file, its name without what numbers the parts of one."""
    month = PurePosixPath(_month(name))
    if PERIOD.fullmatch(month.name):
        return month.parent.as_posix() if len(month.parts) > 1 else month.name
    stem = _GUID.sub("", name.name.split(".", 1)[0])
    return (name.parent / (re.sub(r"[\W_\d]+$", "", stem) or stem)).as_posix()


def read_manifest(content: bytes, name: PurePosixPath) -> Manifest:
    """What a manifest says; raises ValueError, in words, for one that is not whole or is none."""
    try:
        told: Any = json.loads(content.decode("utf-8-sig"))
        blobs = [
            Blob(blob["blobName"].strip(), blob.get("byteCount"), blob.get("dataRowCount")) for blob in told["blobs"]
        ]
        return Manifest(
            name,
            str(told.get("runInfo", {}).get("submittedTime", "")),
            str(told.get("exportConfig", {}).get("type", "")),
            tuple(blobs),
            int(told.get("blobCount", len(blobs))),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error


def _read(path: Path, folder: Path) -> Manifest:
    try:
        return read_manifest(path.read_bytes(), PurePosixPath(path.relative_to(folder).as_posix()))
    except (ValueError, OSError) as error:
        raise InputError(
            f"{path} is no whole manifest: {error}",
            expected="the manifest.json that Cost Management writes beside the files of a run, with `blobs`",
            next_step="fetch the manifest again",
        ) from error


def _listed(manifest: Manifest, parts: list[RawPart], month: str, say: Callable[[str], None]) -> list[RawPart]:
    """The parts that a run's manifest lists."""
    run = manifest.name.parent
    listed = []
    missing = []
    for blob in manifest.blobs:
        part = next((p for p in parts if _is_blob(blob.name, p, run)), None)
        if part is None:
            missing.append(blob.name)
        else:
            listed.append(part)
    if missing:
        raise InputError(
            f"{manifest.name} lists {', '.join(missing[:3])}"
            + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
            + f", which {'is' if len(missing) == 1 else 'are'} not there",
            expected=f"every file of {month} that its manifest lists, as .csv, .csv.gz or .parquet",
            next_step="fetch the missing files, or wait until the export has run",
        )
    left_out = [part.name for part in parts if part not in listed]
    if left_out:
        say(f"{NAME}: left out of {month}, because its newest manifest does not list them: {', '.join(left_out)}")
    return [_named(part, month) for part in listed]


def _is_blob(blob: str, part: RawPart, run: PurePosixPath) -> bool:
    """Whether a manifest's blob (a path in the container) is this part; a bare name lies beside the manifest."""
    name, wanted = "/" + part.name, "/" + blob.lstrip("/")
    if "/" not in blob.strip("/"):
        return part.name == (run / blob).as_posix()
    return name == wanted or name.endswith(wanted) or wanted.endswith(name)


def _named(part: RawPart, month: str) -> RawPart:
    """The part, named by its export, month and file alone: folder and id of a run are no part of it."""
    if not PERIOD.search(month):
        return part
    file = re.sub(rf"_{_GUID.pattern}(?=\.)", "", PurePosixPath(part.name).name, flags=re.IGNORECASE)
    return replace(part, name=f"{month}/{file}")


def _refuse_runs(month: str, parts: list[RawPart]) -> None:
    """Raises InputError where a month without a manifest holds more than one run."""
    if not PERIOD.search(month):
        return
    runs = {(PurePosixPath(p.name).parent.as_posix(), *_GUID.findall(PurePosixPath(p.name).name)) for p in parts}
    if len(runs) > 1:
        raise InputError(
            f"{month} lies there in {len(runs)} runs of its export: {', '.join(sorted(p.name for p in parts)[:4])}",
            expected="one run of a month, or the manifest.json that says which files are the newest",
            next_step="fetch the manifest too, keep the newest run only, or let the export overwrite its data",
        )
