"""An export of Cost Management as Azure delivers it to Blob storage, for `connectors.deliveries` to fetch.

A month is `<export>/20261001-20261031/`; of its runs the one whose manifest was submitted last counts, whole, and a run
without a manifest is under way and left alone. The address may also be that of a folder above: the exports below it
(actual and amortized cost of one subscription) are fetched side by side.

Source: connectors/azure/delivery.py; `blobs` of a manifest name blobs by their path in the container, with bytes and
rows of each.
"""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from pathlib import Path, PurePosixPath
from typing import Final

from connectors import deliveries, sync
from connectors.azure.delivery import MANIFEST, Blob, Manifest, read_manifest
from connectors.azure.session import Place, Session, place
from connectors.deliveries import FILES_AT_A_TIME, Delivery, Export, Fetched, Incomplete, Listing, Stored, Version
from connectors.files import SUFFIXES
from connectors.http import Patience
from finops.config import Azure, Source
from finops.errors import SourceUnreachable

_USUAL: Final = Patience()
_PROBED: Final = Patience(attempts=2, total_s=20, answer_s=10)
_MONTH: Final = r"(?:[^/.][^/]*/)*?(\d{8})-(\d{8})"


def pull(
    source: Source,
    folder: Path,
    *,
    home: Path,
    today: date,
    say: Callable[[str], None],
    patience: Patience = _USUAL,
) -> Fetched:
    """Bring the folder up to what the container has; raises as `deliveries.pull` and `read_key` do."""
    since = _settings(source).since
    return deliveries.pull(
        source, folder, lambda: _export(source, home, patience, say), since=since, today=today, say=say
    )


def probe(source: Source, *, home: Path, patience: Patience = _PROBED) -> list[sync.Probe]:
    """Who asks, whether the container can be listed, and the newest manifest and its files; ends where one fails."""
    return deliveries.probe(source, lambda: _export(source, home, patience, lambda _: None), place="container")


def _settings(source: Source) -> Azure:
    assert source.azure is not None, "the caller asked"
    return source.azure


def _export(source: Source, home: Path, patience: Patience, say: Callable[[str], None]) -> "_Delivered":
    azure = _settings(source)
    assert azure.export is not None, "the caller asked"
    where = place(source, azure.export)
    session = Session(source, azure, where, home, patience=patience, say=say)
    return _Delivered(source, session, azure.export, where.prefix, azure.since, where)


@dataclass(frozen=True)
class _Delivered(Export):
    """An export in its container."""

    where: Place
    provider = "Azure"

    def versions(self, listing: Listing) -> dict[str, Version]:
        pattern = re.compile(rf"{re.escape(self.prefix)}({_MONTH})/(?:[^/]+/)*{re.escape(MANIFEST)}")
        found: dict[str, list[Stored]] = {}
        for key in sorted(listing):
            if match := pattern.fullmatch(key):
                found.setdefault(match[1], []).append(listing[key])
        if not found:
            raise self._not_found(listing)
        first = {folder: _days(folder)[1] for folder in found}
        return {
            folder: Version(f"{first[folder][:4]}-{first[folder][4:6]}", folder, tuple(found[folder]))
            for folder in found
        }

    def delivery(self, version: Version, listing: Listing) -> Delivery:
        self._refuse_overlap(version, listing)
        with ThreadPoolExecutor(FILES_AT_A_TIME) as pool:
            contents = dict(zip(version.manifests, pool.map(self.store.read, version.manifests), strict=True))
        told = {stored: _read(stored, content) for stored, content in contents.items()}
        newest = max(told, key=lambda stored: told[stored].age)
        manifest, below = told[newest], f"{self.prefix}{version.folder}/"
        if manifest.blob_count != len(manifest.blobs):
            raise Incomplete(f"{newest.key} lists {len(manifest.blobs)} of {manifest.blob_count} blobs")
        files: dict[str, Stored] = {}
        rows: dict[str, int] = {}
        for blob in manifest.blobs:
            stored = self._blob(blob, manifest, below, listing)
            path = stored.key.removeprefix(below)
            if path in files:
                raise Incomplete(f"{newest.key} lists {blob.name} twice")
            files[path] = stored
            if blob.rows is not None:
                rows[path] = blob.rows
        return Delivery(newest, contents[newest], newest.key.removeprefix(below), files, rows)

    def name_of(self, folder: str) -> str:
        return folder if re.fullmatch(_MONTH, folder) else ""

    def _blob(self, blob: Blob, manifest: Manifest, below: str, listing: Listing) -> Stored:
        """The blob that a manifest lists: by its path in the container, or beside the manifest by its bare name."""
        key = blob.name.lstrip("/")
        if "/" not in key:
            key = (manifest.name.parent / key).as_posix()
        stored = listing.get(key)
        if stored is None or ".." in PurePosixPath(key).parts:
            raise Incomplete(f"its manifest lists {key}, which is not there")
        if not key.startswith(below):
            raise Incomplete(f"its manifest lists {key}, which does not lie in the folder of its month")
        if not key.endswith(SUFFIXES):
            raise Incomplete(
                f"{key} does not end in {', '.join(SUFFIXES)}: export costs as CSV, gzipped CSV or Parquet"
            )
        if not stored.size:
            raise Incomplete(f"{key} is empty (0 bytes)")
        # of compressed files it is not documented whether the bytes before or after compression are told
        if key.endswith(".csv") and blob.size not in (None, stored.size):
            raise Incomplete(f"{key} has {stored.size:,} bytes where its manifest says {blob.size:,}")
        return stored

    def _refuse_overlap(self, version: Version, listing: Listing) -> None:
        """Raises Incomplete where the export has another folder for some of the same days: both would be counted."""
        export, first, last = _days(version.folder)
        for folder in self.versions(listing).keys() - {version.folder}:
            other, other_first, other_last = _days(folder)
            if other == export and first <= other_last and other_first <= last:
                raise Incomplete(f"it has days that {folder} of the same export has too: delete one of them")

    def _not_found(self, listing: Listing) -> SourceUnreachable:
        where = self.where
        blobs = f"{len(listing)} other blob(s) below {where.prefix} in container {where.container}"
        return SourceUnreachable(
            f"{self.source.id}: there is no export {self.address}: no {MANIFEST} of any month, {blobs}",
            expected="container, directory and name of an export that Azure has delivered with its manifest, as "
            "https://account.blob.core.windows.net/container/directory/export-name",
            next_step="correct `azure.export` of the source in finops.toml, or run the export once in Cost Management; "
            "files of an export that writes no manifest are loaded from a `path`",
        )


def _days(folder: str) -> tuple[str, str, str]:
    """Export, first and last day of a month's folder."""
    export, _, days = folder.rpartition("/")
    first, _, last = days.partition("-")
    return export, first, last


def _read(stored: Stored, content: bytes) -> Manifest:
    try:
        return read_manifest(content, PurePosixPath(stored.key))
    except ValueError as error:
        raise Incomplete(f"{stored.key} is no whole manifest: {error}") from error
