"""Brings the months of an export from an object store; a month on disk is always whole.

A month is exactly the files that its newest manifest lists. It is fetched into a hidden folder beside it and takes its
place when all files are there, whole, and the manifest is still the same. A month whose manifests did not change is not
fetched again; one that the store no longer has is kept. What a listing and a manifest mean, each provider's `Export`
says.
"""

import gzip
import shutil
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from threading import Lock
from typing import ClassVar, Final, Protocol

import polars as pl
from filelock import FileLock, Timeout

from connectors import files, sync
from finops.config import Source
from finops.errors import CallError, ConfigError, FinopsError, InputError, SourceUnreachable

FILES_AT_A_TIME: Final = 4
RESTARTS: Final = 3
_PIECE_BYTES: Final = 1 << 20
_PARQUET: Final = b"PAR1"


@dataclass(frozen=True)
class Stored:
    """An object as a listing tells it; md5 of its content where the store knows it, in hex."""

    key: str
    size: int
    etag: str
    modified: datetime
    md5: str = ""


Listing = Mapping[str, Stored]


@dataclass(frozen=True)
class Version:
    """What is there of a month: its folder, and the manifests of which the newest counts."""

    month: str
    folder: str
    manifests: tuple[Stored, ...]


@dataclass(frozen=True)
class Delivery:
    """What a manifest lists: files and itself by where they lie below the month's folder, and rows where it says so."""

    manifest: Stored
    content: bytes
    path: str
    files: Mapping[str, Stored]
    rows: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Fetched:
    """What a fetch did: months brought, not changed, and kept though the store has them no more."""

    months: tuple[str, ...]
    unchanged: tuple[str, ...]
    kept: tuple[str, ...]
    files: int
    size_bytes: int


class Changed(Exception):
    """An object is no longer the one that was listed: it is gone, or was written anew."""


class BrokenBody(Exception):
    """A body that is not what was announced: too short, or another object's."""


class Incomplete(Exception):
    """Why a delivery is no whole month, in words."""


class Store(Protocol):
    """Objects by key. All raise SourceUnreachable that says what is missing; what reads an object raises Changed."""

    def identity(self) -> str:
        """As whom the store is asked, as a sentence."""

    def listed(self, prefix: str) -> dict[str, Stored]:
        """The objects whose keys begin with the prefix, by key."""

    def read(self, stored: Stored) -> bytes:
        """The content of a small object."""

    def save(self, stored: Stored, path: Path) -> None:
        """Write an object to a file, which is there whole or not at all."""


@dataclass(frozen=True)
class Export(ABC):
    """An export as its provider lays it out; address: as finops.toml names it, prefix: of the keys of its objects."""

    source: Source
    store: Store
    address: str
    prefix: str
    since: date
    provider: ClassVar[str]

    @abstractmethod
    def versions(self, listing: Listing) -> dict[str, Version]:
        """The months that are there, each by its name; raises SourceUnreachable where there is none at all."""

    @abstractmethod
    def delivery(self, version: Version, listing: Listing) -> Delivery:
        """The month's newest delivery; raises Incomplete where it cannot be a whole month."""

    @abstractmethod
    def name_of(self, folder: str) -> str:
        """The name of the month that a folder on disk holds; nothing where it is that of no month."""


def again(source: Source) -> str:
    """The command that fetches a source once more."""
    return f"run `finops ingest {source.id}` again; what was fetched before stays as it is"


def pull(
    source: Source,
    folder: Path,
    connect: Callable[[], Export],
    *,
    since: date,
    today: date,
    say: Callable[[str], None],
) -> Fetched:
    """Bring the folder up to what the store has; each month is replaced whole or stays as it is.

    Raises SourceUnreachable when the store cannot be read or a month in it is incomplete (after all others were
    brought), ConfigError when `since` is still to come, CallError while another process fetches the source.
    """
    if since > today:
        raise ConfigError(
            f"{source.id} is to be fetched since {since}, which is still to come",
            expected=f"a day up to {today}",
            next_step=f"correct `{source.connector}.since` of the source in finops.toml",
        )
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / sync.LOCK, timeout=sync.LOCK_SECONDS):
            return _Run(connect(), folder, say).run()
    except Timeout as error:
        raise CallError(
            f"another process has been fetching {source.id} for {sync.LOCK_SECONDS:.0f} s",
            expected="one fetch of a source at a time",
            next_step="wait for the other `finops` command to end, then repeat this one",
        ) from error


def probe(source: Source, connect: Callable[[], Export], *, place: str) -> list[sync.Probe]:
    """Who asks, whether the place can be listed, and the newest manifest and its files; ends where one fails."""
    found: list[sync.Probe] = []
    step = "credentials"
    try:
        export = connect()
        found.append(sync.Probe(step, "ok", export.store.identity()))
        step = place
        listing = export.store.listed(export.prefix)
        newest = max(export.versions(listing).values(), key=lambda version: version.month)
        found.append(sync.Probe(step, "ok", f"{export.address} is there, its newest month is {newest.month}"))
        step = "manifest"
        delivered = export.delivery(newest, listing).files.values()
        size = sum(stored.size for stored in delivered)
        found.append(sync.Probe(step, "ok", f"{newest.month} has {len(delivered)} file(s), {size:,} bytes"))
    except FinopsError as error:
        found.append(sync.Probe(step, "unreachable", error.found.removeprefix(f"{source.id}: "), error.next_step))
    except (Incomplete, Changed) as why:
        found.append(sync.Probe(step, "unreachable", f"export incomplete: {why}", "repeat after the next delivery"))
    return found


@dataclass
class _Run:
    """One fetch of an export."""

    export: Export
    folder: Path
    say: Callable[[str], None]
    files: int = 0
    size_bytes: int = 0
    noting: Lock = field(default_factory=Lock)

    def run(self) -> Fetched:
        listing = self.export.store.listed(self.export.prefix)
        versions = self._wanted(listing)
        incomplete: dict[str, Incomplete] = {}
        brought: list[str] = []
        for name in sorted(versions):
            try:
                if self._month(name, listing):
                    brought.append(name)
            except Incomplete as why:
                incomplete[name] = why
        if incomplete:
            raise self._incomplete(incomplete)
        unchanged = [name for name in sorted(versions) if name not in brought]
        kept = sorted({name for _, name in self._on_disk()} - set(versions))
        source = self.export.source
        self.say(
            f"{source.id}: {len(brought)} month(s) fetched in {self.files} file(s), {self.size_bytes:,} bytes; "
            f"{len(unchanged)} had not changed"
        )
        if kept:
            setting = f"`{source.connector}.since`"
            self.say(f"{source.id}: {', '.join(kept)} kept, which the export has no more or {setting} leaves out")
        return Fetched(tuple(brought), tuple(unchanged), tuple(kept), self.files, self.size_bytes)

    def _wanted(self, listing: Listing) -> dict[str, Version]:
        export = self.export
        first = f"{export.since:%Y-%m}"
        versions = export.versions(listing)
        wanted = {name: version for name, version in versions.items() if version.month >= first}
        if not wanted:
            newest = max(version.month for version in versions.values())
            raise SourceUnreachable(
                f"{export.source.id}: {export.address} has no month since {first}; its newest is {newest}",
                expected="a month that is delivered",
                next_step=f"correct `{export.source.connector}.since` of the source, or wait: {export.provider} "
                "delivers a new month within 24 hours",
            )
        return wanted

    def _month(self, name: str, listing: Listing) -> bool:
        """Bring a month, anew when it is delivered meanwhile; False where it had not changed."""
        for _ in range(RESTARTS):
            version = self._wanted(listing).get(name)
            if version is None:
                raise Incomplete("its manifest was taken away while it was read")
            try:
                return self._version(name, version, listing)
            except Changed as why:
                source = self.export.source.id
                self.say(f"{source}: {name} was delivered anew while it was read ({why}); started again")
                listing = self.export.store.listed(self.export.prefix)
        raise Incomplete(f"it changed {RESTARTS} times while it was read")

    def _version(self, name: str, version: Version, listing: Listing) -> bool:
        target = self.folder / version.folder
        sync.recover(target)
        stamp = _stamp(self.export, version)
        if _is_there(target, stamp):
            self._drop_others(name, version)
            return False
        delivery = self.export.delivery(version, listing)
        part = target.with_name(f".{target.name}.part")
        done = _resumed(part, delivery.files)
        self._fetch(part, delivery, done)
        manifest = delivery.manifest
        if self.export.store.listed(manifest.key).get(manifest.key) != manifest:
            raise Changed("its manifest is another one now")
        sizes = {path: stored.size for path, stored in delivery.files.items()}
        sync.write(part / sync.PULLED, {"manifest": stamp, "sizes": sizes})
        (part / delivery.path).parent.mkdir(parents=True, exist_ok=True)
        (part / delivery.path).write_bytes(delivery.content)
        sync.replace(target, part)
        self._drop_others(name, version)
        return True

    def _fetch(self, part: Path, delivery: Delivery, done: dict[str, str]) -> None:
        """Download several files at a time; those that are whole are noted, so that they are not fetched twice."""
        pool = ThreadPoolExecutor(FILES_AT_A_TIME)
        try:
            missing = [path for path in delivery.files if path not in done]
            fetches = [pool.submit(self._file, part, path, delivery, done) for path in missing]
            for fetch in fetches:
                fetch.result()
        finally:
            pool.shutdown(cancel_futures=True)

    def _file(self, part: Path, path: str, delivery: Delivery, done: dict[str, str]) -> None:
        stored = delivery.files[path]
        self.export.store.save(stored, part / path)
        _refuse_cut_off(part / path, stored.key)
        _refuse_other_rows(part / path, stored.key, delivery.rows.get(path))
        with self.noting:
            self.files += 1
            self.size_bytes += stored.size
            done[path] = stored.etag
            sync.write(part / sync.ASKED, {"done": done})

    def _drop_others(self, name: str, version: Version) -> None:
        """Remove what another kind of export left of the same month: it would count twice."""
        for folder, other in list(self._on_disk()):
            if other == name and folder != version.folder:
                shutil.rmtree(self.folder / folder)

    def _on_disk(self) -> list[tuple[str, str]]:
        """The folders of months, and the name of each."""
        below = [path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*") if path.is_dir()]
        return [(folder, name) for folder in below if (name := self.export.name_of(folder))]

    def _incomplete(self, months: Mapping[str, Incomplete]) -> SourceUnreachable:
        export = self.export
        why = "; ".join(f"{name}: {reason}" for name, reason in months.items())
        return SourceUnreachable(
            f"{export.source.id}: export incomplete: {export.address}: {why}",
            expected="every file that the newest manifest of a month lists, whole",
            next_step=f"after {export.provider}'s next delivery (it refreshes an export at least once a day), "
            f"{again(export.source)}. If old files were deleted there, begin `{export.source.connector}.since` of the "
            "source after them",
        )


# ------------------------------------------------------------------------------------------------------------ on disk
def _stamp(export: Export, version: Version) -> str:
    """What tells a version of a month from all others; an overwritten manifest may have the same content again."""
    manifests = (f"{stored.key} {stored.etag} {stored.modified.isoformat()}" for stored in version.manifests)
    return "\n".join((export.address, *manifests))


def _is_there(target: Path, stamp: str) -> bool:
    """Whether the folder holds the version with that stamp, and nobody took a file of it away."""
    pulled = sync.stated(target / sync.PULLED)
    sizes = pulled.get("sizes")
    return (
        pulled.get("manifest") == stamp
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
    """Raises Incomplete for a Parquet or gzip file without its end: the provider had written no more of it."""
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


def _refuse_other_rows(file: Path, key: str, stated: int | None) -> None:
    """Raises Incomplete for a file that has not as many rows as its manifest says, or cannot be read to its end."""
    if stated is None:
        return
    try:
        frame = files.scan(file)
        with files.readable(file):
            found: int = frame.select(pl.len()).collect(engine="streaming").item()
    except InputError as error:
        raise Incomplete(f"{key} is no whole file: {error.found}") from error
    if found != stated:
        raise Incomplete(f"{key} has {found:,} row(s) where its manifest says {stated:,}")
