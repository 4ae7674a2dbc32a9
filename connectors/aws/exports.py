"""A data export, or a legacy Cost and Usage Report, as AWS delivers it to S3, for `connectors.deliveries` to fetch.

A month is `<folder>/BILLING_PERIOD=2026-10/` or, as legacy reports name it, `<folder>/20261001-20261101/`, each where
it lies below that folder in the bucket.

AWS writes the manifest after the files that it lists, so a file that is newer than the manifest belongs to a delivery
that is not complete yet.

Source: connectors/aws/delivery.py; in manifests of data exports `dataFiles` lists s3:// addresses, in those of legacy
reports `reportKeys` lists keys.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Final

from connectors import deliveries, sync
from connectors.aws.session import Session, Tries
from connectors.deliveries import Delivery, Export, Fetched, Incomplete, Listing, Stored, Version
from connectors.files import SUFFIXES
from finops.config import Aws, Source
from finops.errors import SourceUnreachable

_USUAL: Final = Tries()
_PROBED: Final = Tries(sdk=2, attempts=1, answer_s=10)
_MONTH: Final = r"BILLING_PERIOD=(\d{4}-\d{2})|(\d{6})\d{2}-\d{8}"
_DELIVERY: Final = timedelta(hours=6)
"""So long after its last file a delivery without a new manifest is taken for under way, then for abandoned."""


def pull(source: Source, folder: Path, *, today: date, say: Callable[[str], None], tries: Tries = _USUAL) -> Fetched:
    """Bring the folder up to what the bucket has; raises as `deliveries.pull` does."""
    aws = _settings(source)
    return deliveries.pull(source, folder, lambda: _export(source, tries, say), since=aws.since, today=today, say=say)


def probe(source: Source, *, tries: Tries = _PROBED) -> list[sync.Probe]:
    """Who asks, whether the bucket can be listed, and the newest manifest and its files; ends where one fails."""
    return deliveries.probe(source, lambda: _export(source, tries, lambda _: None), place="bucket")


def _settings(source: Source) -> Aws:
    assert source.aws is not None, "the caller asked"
    return source.aws


def _export(source: Source, tries: Tries, say: Callable[[str], None]) -> "_Delivered":
    aws = _settings(source)
    return _Delivered(source, Session(source, aws, tries=tries, say=say), aws.export, aws.prefix, aws.since, aws)


@dataclass(frozen=True)
class _Delivered(Export):
    """An export in its bucket."""

    aws: Aws
    provider = "AWS"

    def versions(self, listing: Listing) -> dict[str, Version]:
        name = re.escape(self.aws.name)
        pattern = re.compile(
            rf"{re.escape(self.prefix)}(?:metadata/)?({_MONTH})/(?:[^/]+/)?{name}-Manifest\.json", re.I
        )
        found: dict[str, list[tuple[Stored, str]]] = {}
        for key, stored in listing.items():
            if match := pattern.fullmatch(key):
                found.setdefault(self.name_of(match[1]), []).append((stored, match[1]))
        if not found:
            raise _not_found(self.source, self.aws, listing)
        newest = {month: max(manifests, key=lambda one: _age(one[0])) for month, manifests in found.items()}
        return {month: Version(month, folder, (manifest,)) for month, (manifest, folder) in newest.items()}

    def delivery(self, version: Version, listing: Listing) -> Delivery:
        (manifest,) = version.manifests
        content = self.store.read(manifest)
        files = _files(content, manifest, version.folder, listing)
        return Delivery(manifest, content, PurePosixPath(manifest.key).name, files)

    def name_of(self, folder: str) -> str:
        match = re.fullmatch(_MONTH, folder, re.I)
        if match is None:
            return ""
        return match[1] or f"{match[2][:4]}-{match[2][4:]}"


def _age(manifest: Stored) -> tuple[datetime, int, str]:
    """What orders manifests of one month; of those of one second the one above the others, then the last execution."""
    return manifest.modified, -manifest.key.count("/"), manifest.key


def _not_found(source: Source, aws: Aws, listing: Listing) -> SourceUnreachable:
    pattern = re.compile(rf"(.+?)/(?:metadata/)?(?:{_MONTH})/(?:[^/]+/)?[^/]+-Manifest\.json", re.I)
    others = sorted({f"s3://{aws.bucket}/{match[1]}" for key in listing if (match := pattern.fullmatch(key))})
    below = f"exports below it: {', '.join(others)}" if others else f"{len(listing)} other object(s) there"
    return SourceUnreachable(
        f"{source.id}: there is no export {aws.export}: no {aws.name}-Manifest.json of any month, {below}",
        expected="bucket, prefix and name of an export that AWS has delivered, as s3://bucket/prefix/name",
        next_step="correct `aws.export` of the source in finops.toml; a new export is delivered within 24 hours",
    )


def _files(content: bytes, manifest: Stored, folder: str, listing: Listing) -> dict[str, Stored]:
    """The files that a manifest lists, by where they lie below the month; raises Incomplete."""
    try:
        told = json.loads(content)
        keys = [re.sub("^s3://[^/]+/", "", key) for key in told.get("dataFiles") or told["reportKeys"]]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Incomplete(f"{manifest.key} does not list its files as dataFiles or reportKeys") from error
    if not keys:
        raise Incomplete(f"{manifest.key} lists no file")
    for key in keys:
        _refuse_unready(key, manifest, listing)
    files = {key.partition(f"/{folder}/")[2] or key: listing[key] for key in keys}
    if len(files) < len(keys):
        raise Incomplete(f"{manifest.key} lists a file twice")
    return files


def _refuse_unready(key: str, manifest: Stored, listing: Listing) -> None:
    stored = listing.get(key)
    if stored is None or ".." in PurePosixPath(key).parts:
        raise Incomplete(f"its manifest lists {key}, which is not there")
    if not key.endswith(SUFFIXES):
        raise Incomplete(f"{key} does not end in {', '.join(SUFFIXES)}: let AWS write GZIP or Parquet")
    if not stored.size:
        raise Incomplete(f"{key} is empty (0 bytes)")
    if manifest.modified < stored.modified and datetime.now(UTC) - stored.modified < _DELIVERY:
        raise Incomplete(f"{key} is newer than the manifest that lists it, so a delivery is under way")
