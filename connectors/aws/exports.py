"""Fetches the months of a data export, or of a legacy Cost and Usage Report, from S3; a month on disk is always whole.

A month is exactly the files that its newest manifest lists, `<folder>/BILLING_PERIOD=2026-10/` or, as legacy reports
name it, `<folder>/20261001-20261101/`, each where it lies below that folder in the bucket. It is fetched into a hidden
folder beside it and takes its place when all files are there, whole, and the manifest is still the same. A month whose
manifest did not change is not fetched again; one that the bucket no longer has is kept.

AWS writes the manifest after the files that it lists, so a file that is newer than the manifest belongs to a delivery
that is not complete yet.

Source: connectors/aws/delivery.py; in manifests of data exports `dataFiles` lists s3:// addresses, in those of legacy
reports `reportKeys` lists keys.
"""

import gzip
import json
import re
import shutil
import zlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path, PurePosixPath
from threading import Lock
from typing import Final

from filelock import FileLock, Timeout

from connectors import sync
from connectors.aws.refusals import again
from connectors.aws.session import FILES_AT_A_TIME, Changed, Session, Stored, Tries
from connectors.files import SUFFIXES
from finops.config import Aws, Source
from finops.errors import CallError, ConfigError, FinopsError, SourceUnreachable

Listing = Mapping[str, Stored]

_USUAL: Final = Tries()
_PROBED: Final = Tries(sdk=2, attempts=1, answer_s=10)
_MONTH: Final = r"BILLING_PERIOD=(\d{4}-\d{2})|(\d{6})\d{2}-\d{8}"
_RESTARTS: Final = 3
_DELIVERY: Final = timedelta(hours=6)
"""So long after its last file a delivery without a new manifest is taken for under way, then for abandoned."""
_PIECE_BYTES: Final = 1 << 20
_PARQUET: Final = b"PAR1"


@dataclass(frozen=True)
class Fetched:
    """What a fetch did: months brought, not changed, and kept though the bucket has them no more."""

    months: tuple[str, ...]
    unchanged: tuple[str, ...]
    kept: tuple[str, ...]
    files: int
    size_bytes: int


@dataclass(frozen=True)
class Version:
    """The newest delivery of a month: the folder that the bucket keeps it in, and its manifest."""

    month: str
    folder: str
    manifest: Stored


class Incomplete(Exception):
    """Why a delivery is no whole month, in words."""


def pull(source: Source, folder: Path, *, today: date, say: Callable[[str], None], tries: Tries = _USUAL) -> Fetched:
    """Bring the folder up to what the bucket has; each month is replaced whole or stays as it is.

    Raises SourceUnreachable when the bucket cannot be read or a month in it is incomplete (after all others were
    brought), ConfigError when `since` is still to come, CallError while another process fetches the source.
    """
    aws = _settings(source)
    if aws.since > today:
        raise ConfigError(
            f"{source.id} is to be fetched since {aws.since}, which is still to come",
            expected=f"a day up to {today}",
            next_step="correct `aws.since` of the source in finops.toml",
        )
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / sync.LOCK, timeout=sync.LOCK_SECONDS):
            return _Run(source, aws, Session(source, aws, tries=tries, say=say), folder, say).run()
    except Timeout as error:
        raise CallError(
            f"another process has been fetching {source.id} for {sync.LOCK_SECONDS:.0f} s",
            expected="one fetch of a source at a time",
            next_step="wait for the other `finops` command to end, then repeat this one",
        ) from error


def probe(source: Source, *, tries: Tries = _PROBED) -> list[sync.Probe]:
    """Who asks, whether the bucket can be listed, and the newest manifest and its files; ends where one fails."""
    aws = _settings(source)
    found: list[sync.Probe] = []
    step = "credentials"
    try:
        session = Session(source, aws, tries=tries, say=lambda _: None)
        found.append(sync.Probe(step, "ok", f"AWS knows {session.identity()}"))
        step = "bucket"
        listing = session.listed(aws.prefix)
        newest = max(_versions(source, aws, listing).values(), key=lambda version: version.month)
        found.append(sync.Probe(step, "ok", f"{aws.export} is there, its newest month is {newest.month}"))
        step = "manifest"
        files = _files(session.read(newest.manifest), newest, listing)
        size = sum(stored.size for stored in files.values())
        found.append(sync.Probe(step, "ok", f"{newest.month} has {len(files)} file(s), {size:,} bytes"))
    except FinopsError as error:
        found.append(sync.Probe(step, "unreachable", error.found.removeprefix(f"{source.id}: "), error.next_step))
    except (Incomplete, Changed) as why:
        found.append(sync.Probe(step, "unreachable", f"export incomplete: {why}", "repeat after the next delivery"))
    return found


def _settings(source: Source) -> Aws:
    assert source.aws is not None, "the caller asked"
    return source.aws


@dataclass
class _Run:
    """One fetch of a source."""

    source: Source
    aws: Aws
    session: Session
    folder: Path
    say: Callable[[str], None]
    files: int = 0
    size_bytes: int = 0
    noting: Lock = field(default_factory=Lock)

    def run(self) -> Fetched:
        listing = self.session.listed(self.aws.prefix)
        versions = self._wanted(listing)
        incomplete: dict[str, Incomplete] = {}
        brought: list[str] = []
        for month in sorted(versions):
            try:
                if self._month(month, listing):
                    brought.append(month)
            except Incomplete as why:
                incomplete[month] = why
        if incomplete:
            raise self._incomplete(incomplete)
        unchanged = [month for month in sorted(versions) if month not in brought]
        kept = sorted(_on_disk(self.folder) - set(versions))
        self.say(
            f"{self.source.id}: {len(brought)} month(s) fetched in {self.files} file(s), {self.size_bytes:,} bytes; "
            f"{len(unchanged)} had not changed"
        )
        if kept:
            self.say(
                f"{self.source.id}: {', '.join(kept)} kept, which the export has no more or `aws.since` leaves out"
            )
        return Fetched(tuple(brought), tuple(unchanged), tuple(kept), self.files, self.size_bytes)

    def _wanted(self, listing: Listing) -> dict[str, Version]:
        first = f"{self.aws.since:%Y-%m}"
        versions = _versions(self.source, self.aws, listing)
        wanted = {month: version for month, version in versions.items() if month >= first}
        if not wanted:
            raise SourceUnreachable(
                f"{self.source.id}: {self.aws.export} has no month since {first}; its newest is {max(versions)}",
                expected="a month that is delivered",
                next_step="correct `aws.since` of the source, or wait: AWS delivers a new month within 24 hours",
            )
        return wanted

    def _month(self, month: str, listing: Listing) -> bool:
        """Bring a month, anew when AWS delivers it meanwhile; False where it had not changed."""
        for _ in range(_RESTARTS):
            version = self._wanted(listing).get(month)
            if version is None:
                raise Incomplete("its manifest was taken away while it was read")
            try:
                return self._version(version, listing)
            except Changed as why:
                self.say(f"{self.source.id}: {month} was delivered anew while it was read ({why}); started again")
                listing = self.session.listed(self.aws.prefix)
        raise Incomplete(f"it changed {_RESTARTS} times while it was read")

    def _version(self, version: Version, listing: Listing) -> bool:
        target = self.folder / version.folder
        sync.recover(target)
        manifest = _stamp(self.aws, version.manifest)
        if _is_there(target, manifest):
            self._drop_others(version)
            return False
        content = self.session.read(version.manifest)
        wanted = _files(content, version, listing)
        part = target.with_name(f".{version.folder}.part")
        done = _resumed(part, wanted)
        self._fetch(part, {path: stored for path, stored in wanted.items() if path not in done}, done)
        if self.session.listed(version.manifest.key).get(version.manifest.key) != version.manifest:
            raise Changed("its manifest is another one now")
        sizes = {path: stored.size for path, stored in wanted.items()}
        sync.write(part / sync.PULLED, {"manifest": manifest, "sizes": sizes})
        (part / PurePosixPath(version.manifest.key).name).write_bytes(content)
        sync.replace(target, part)
        self._drop_others(version)
        return True

    def _fetch(self, part: Path, wanted: Mapping[str, Stored], done: dict[str, str]) -> None:
        """Download several files at a time; those that are whole are noted, so that they are not fetched twice."""
        pool = ThreadPoolExecutor(FILES_AT_A_TIME)
        try:
            fetches = [pool.submit(self._file, part, path, stored, done) for path, stored in wanted.items()]
            for fetch in fetches:
                fetch.result()
        finally:
            pool.shutdown(cancel_futures=True)

    def _file(self, part: Path, path: str, stored: Stored, done: dict[str, str]) -> None:
        self.session.save(stored, part / path)
        _refuse_cut_off(part / path, stored.key)
        with self.noting:
            self.files += 1
            self.size_bytes += stored.size
            done[path] = stored.etag
            sync.write(part / sync.ASKED, {"done": done})

    def _drop_others(self, version: Version) -> None:
        """Remove what another kind of export left of the same month: it would count twice."""
        for other in self.folder.iterdir():
            if other.is_dir() and other.name != version.folder and _month_of(other.name) == version.month:
                shutil.rmtree(other)

    def _incomplete(self, months: Mapping[str, Incomplete]) -> SourceUnreachable:
        why = "; ".join(f"{month}: {reason}" for month, reason in months.items())
        return SourceUnreachable(
            f"{self.source.id}: export incomplete: {self.aws.export}: {why}",
            expected="every file that the newest manifest of a month lists, whole",
            next_step=f"after AWS's next delivery (it refreshes an export at least once a day), {again(self.source)}. "
            "If old files were deleted from the bucket, begin `aws.since` of the source after them",
        )


# ------------------------------------------------------------------------------------------------------ in the bucket
def _versions(source: Source, aws: Aws, listing: Listing) -> dict[str, Version]:
    """The newest manifest of each month; raises SourceUnreachable where there is none at all."""
    name = re.escape(aws.name)
    pattern = re.compile(rf"{re.escape(aws.prefix)}(?:metadata/)?({_MONTH})/(?:[^/]+/)?{name}-Manifest\.json", re.I)
    found: dict[str, list[Version]] = {}
    for key, stored in listing.items():
        if match := pattern.fullmatch(key):
            month = _month_of(match[1])
            found.setdefault(month, []).append(Version(month, match[1], stored))
    if not found:
        raise _not_found(source, aws, listing)
    return {month: max(versions, key=_age) for month, versions in found.items()}


def _age(version: Version) -> tuple[datetime, int, str]:
    """What orders manifests of one month; of those of one second the one above the others, then the last execution."""
    return version.manifest.modified, -version.manifest.key.count("/"), version.manifest.key


def _not_found(source: Source, aws: Aws, listing: Listing) -> SourceUnreachable:
    pattern = re.compile(rf"(.+?)/(?:metadata/)?(?:{_MONTH})/(?:[^/]+/)?[^/]+-Manifest\.json", re.I)
    others = sorted({f"s3://{aws.bucket}/{match[1]}" for key in listing if (match := pattern.fullmatch(key))})
    below = f"exports below it: {', '.join(others)}" if others else f"{len(listing)} other object(s) there"
    return SourceUnreachable(
        f"{source.id}: there is no export {aws.export}: no {aws.name}-Manifest.json of any month, {below}",
        expected="bucket, prefix and name of an export that AWS has delivered, as s3://bucket/prefix/name",
        next_step="correct `aws.export` of the source in finops.toml; a new export is delivered within 24 hours",
    )


def _files(content: bytes, version: Version, listing: Listing) -> dict[str, Stored]:
    """The files that a manifest lists, by where they lie below the month; raises Incomplete."""
    try:
        manifest = json.loads(content)
        keys = [re.sub("^s3://[^/]+/", "", key) for key in manifest.get("dataFiles") or manifest["reportKeys"]]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Incomplete(f"{version.manifest.key} does not list its files as dataFiles or reportKeys") from error
    if not keys:
        raise Incomplete(f"{version.manifest.key} lists no file")
    for key in keys:
        _refuse_unready(key, version, listing)
    files = {key.partition(f"/{version.folder}/")[2] or key: listing[key] for key in keys}
    if len(files) < len(keys):
        raise Incomplete(f"{version.manifest.key} lists a file twice")
    return files


def _refuse_unready(key: str, version: Version, listing: Listing) -> None:
    stored = listing.get(key)
    if stored is None or ".." in PurePosixPath(key).parts:
        raise Incomplete(f"its manifest lists {key}, which is not there")
    if not key.endswith(SUFFIXES):
        raise Incomplete(f"{key} does not end in {', '.join(SUFFIXES)}: let AWS write GZIP or Parquet")
    if not stored.size:
        raise Incomplete(f"{key} is empty (0 bytes)")
    if version.manifest.modified < stored.modified and datetime.now(UTC) - stored.modified < _DELIVERY:
        raise Incomplete(f"{key} is newer than the manifest that lists it, so a delivery is under way")


# ------------------------------------------------------------------------------------------------------------ on disk
def _is_there(target: Path, manifest: str) -> bool:
    """Whether the folder holds the version that a manifest names, and nobody took a file of it away."""
    pulled = sync.stated(target / sync.PULLED)
    sizes = pulled.get("sizes")
    return (
        pulled.get("manifest") == manifest
        and isinstance(sizes, dict)
        and all(_size(target / path) == size for path, size in sizes.items())
    )


def _resumed(part: Path, wanted: Mapping[str, Stored]) -> dict[str, str]:
    """What a fetch that was cut off left whole of the same versions; everything else in the folder is removed."""
    part.mkdir(parents=True, exist_ok=True)
    noted = sync.stated(part / sync.ASKED).get("done")
    done = {
        path: stored.etag
        for path, stored in wanted.items()
        if isinstance(noted, dict) and noted.get(path) == stored.etag and _size(part / path) == stored.size
    }
    for file in part.rglob("*"):
        if file.is_file() and file.relative_to(part).as_posix() not in done:
            file.unlink()
    sync.write(part / sync.ASKED, {"done": done})
    return done


def _size(file: Path) -> int | None:
    return file.stat().st_size if file.is_file() else None


def _refuse_cut_off(file: Path, key: str) -> None:
    """Raises Incomplete for a Parquet or gzip file without its end: AWS had written no more of it."""
    whole = {".parquet": _is_whole_parquet, ".gz": _is_whole_gzip}.get(file.suffix, Path.is_file)
    if not whole(file):
        raise Incomplete(f"{key} is cut off or damaged")


def _is_whole_parquet(file: Path) -> bool:
    """Whether it begins and ends as Parquet does: a file is written from head to foot."""
    with file.open("rb") as opened:
        head = opened.read(len(_PARQUET))
        opened.seek(-min(len(_PARQUET), file.stat().st_size), 2)
        return head == opened.read() == _PARQUET


def _is_whole_gzip(file: Path) -> bool:
    try:
        with gzip.open(file) as opened:
            while opened.read(_PIECE_BYTES):
                pass
    except (EOFError, gzip.BadGzipFile, zlib.error):
        return False
    return True


def _stamp(aws: Aws, manifest: Stored) -> str:
    """What tells a version of a month from all others; an overwritten manifest may have the same content again."""
    return f"s3://{aws.bucket}/{manifest.key} {manifest.etag} {manifest.modified.isoformat()}"


def _on_disk(folder: Path) -> set[str]:
    return {_month_of(path.name) for path in folder.iterdir()} - {""}


def _month_of(name: str) -> str:
    """The month of a folder, as 2026-10; nothing where its name is that of no month."""
    match = re.fullmatch(_MONTH, name, re.I)
    if match is None:
        return ""
    return match[1] or f"{match[2][:4]}-{match[2][4:]}"
