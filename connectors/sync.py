"""Pulls a source from its provider's API by calendar months; a month on disk is always one whole pull.

`<folder>/<endpoint>/<YYYY-MM>/0001.json` ... are the provider's answers, byte for byte. A month is pulled into a hidden
folder beside it and takes its place when it is whole. A month that was pulled `restated_days` after its end or later is
final. Requests run one after the other: limits are counted for the whole organization, and a month is a page or two.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

from filelock import FileLock, Timeout

from connectors.access import Access, Endpoint, NoPage, Window
from connectors.http import Client, Document, NoAnswer, Params, Patience
from finops.config import Pull, Source
from finops.errors import CallError, ConfigError, SourceUnreachable

Status = Literal["ok", "refused", "not offered", "unreachable"]

PULLED: Final = ".pulled.json"
ASKED: Final = ".asked.json"
LOCK: Final = ".pull.lock"
_RESUMED: Final = timedelta(hours=1)
LOCK_SECONDS: Final = 10.0
_USUAL: Final = Patience()
_PROBED: Final = Patience(attempts=2, total_s=20, answer_s=10)
_NOT_OFFERED: Final = (400, 404, 405)
_LOCAL: Final = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True)
class Pulled:
    """What a pull did: windows as `endpoint/YYYY-MM`, those kept because they are final, and endpoints left out."""

    windows: tuple[str, ...]
    final: tuple[str, ...]
    left_out: tuple[str, ...]
    pages: int
    requests: int
    retries: int


@dataclass(frozen=True)
class Probe:
    """Whether one endpoint can be read: what was found, and what to do where it cannot."""

    endpoint: str
    status: Status
    found: str
    next_step: str = ""


def windows(since: date, today: date) -> list[Window]:
    """The calendar months from since to today, each its own window; the first starts at since, the last after today."""
    found: list[Window] = []
    start, end = since, today + timedelta(days=1)
    while start < end:
        following = (start.replace(day=1) + timedelta(days=32)).replace(day=1)
        found.append(Window(start, min(following, end)))
        start = following
    return found


def unencrypted(url: str) -> str:
    """The host to which a secret would go by plain http; nothing for https, or a host that is this machine."""
    address = urlsplit(url)
    return address.hostname or "" if address.scheme == "http" and address.hostname not in _LOCAL else ""


def pull(
    source: Source,
    access: Access,
    folder: Path,
    *,
    key: str,
    today: date,
    say: Callable[[str], None],
    patience: Patience = _USUAL,
) -> Pulled:
    """Bring the folder up to today; each month is replaced whole or stays as it is.

    Raises SourceUnreachable when the provider does not answer, refuses the key or answers pages that cannot be
    followed, ConfigError when `url` or `since` cannot be meant, CallError while another process pulls the source.
    """
    settings, url = _settings(source, access)
    if settings.since > today:
        raise ConfigError(
            f"{source.id} is to be pulled since {settings.since}, which is still to come",
            expected=f"a day up to {today}",
            next_step="correct `pull.since` of the source in finops.toml",
        )
    if host := unencrypted(url):
        say(f"{source.id}: the key goes to {host} unencrypted; next: an https address as `pull.url`")
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with (
            FileLock(folder / LOCK, timeout=LOCK_SECONDS),
            _client(source, access, url, key, patience, say) as client,
        ):
            return _Run(source, access, settings, url, folder, client, key, today, say).run()
    except Timeout as error:
        raise CallError(
            f"another process has been pulling {source.id} for {LOCK_SECONDS:.0f} s",
            expected="one pull of a source at a time",
            next_step="wait for the other `finops` command to end, then repeat this one",
        ) from error


def probe(
    source: Source,
    access: Access,
    *,
    key: str,
    today: date,
    patience: Patience = _PROBED,
) -> list[Probe]:
    """One small request an endpoint, for yesterday; ends early where nothing answers at all.

    Raises ConfigError where the source has no `url` and the provider has none of its own.
    """
    _, url = _settings(source, access)
    yesterday = Window(today - timedelta(days=1), today)
    found: list[Probe] = []
    with _client(source, access, url, key, patience, lambda _: None) as client:
        for endpoint in access.endpoints(source.options):
            try:
                client.get(endpoint.path, {**endpoint.first(yesterday), **endpoint.least}, endpoint.headers)
            except NoAnswer as problem:
                error = _unreachable(problem, source, access, endpoint, key)
                found.append(Probe(endpoint.name, _status(problem, endpoint), error.found, error.next_step))
                if problem.status is None:
                    break
            else:
                found.append(Probe(endpoint.name, "ok", f"{access.provider} answers {endpoint.path}"))
    return found


@dataclass
class _Run:
    """One pull of a source."""

    source: Source
    access: Access
    settings: Pull
    url: str
    folder: Path
    client: Client
    key: str
    today: date
    say: Callable[[str], None]
    pages: int = 0

    def run(self) -> Pulled:
        done: list[str] = []
        final: list[str] = []
        left_out: list[str] = []
        for endpoint in self.access.endpoints(self.source.options):
            months = windows(self.settings.since, self.today)
            open_months = [w for w in months if not self._is_final(endpoint, w)]
            before = self.pages
            try:
                for window in open_months:
                    self._pull(endpoint, window)
            except NoAnswer as problem:
                if not (endpoint.optional and problem.status in _NOT_OFFERED):
                    raise _unreachable(problem, self.source, self.access, endpoint, self.key) from problem
                self.say(f"{self.source.id}: {endpoint.name} is not offered ({problem.found}) and left out")
                left_out.append(endpoint.name)
                continue
            done += [f"{endpoint.name}/{w.name}" for w in open_months]
            final += [f"{endpoint.name}/{w.name}" for w in months if w not in open_months]
            self.say(
                f"{self.source.id}: {endpoint.name}: {len(open_months)} month(s) pulled in "
                f"{self.pages - before} page(s), {len(months) - len(open_months)} final"
            )
        return Pulled(tuple(done), tuple(final), tuple(left_out), self.pages, self.client.requests, self.client.retries)

    def _is_final(self, endpoint: Endpoint, window: Window) -> bool:
        """A month that was asked in the same way and pulled when nothing was restated any more."""
        settled = window.end + timedelta(days=self.settings.restated_days)
        return is_final(self.folder / endpoint.name / window.name, asked=self._asked(endpoint, window), settled=settled)

    def _asked(self, endpoint: Endpoint, window: Window) -> str:
        """The first request, which also tells a pull that can be resumed from another one."""
        params = json.dumps(dict(endpoint.first(window)), sort_keys=True)
        return f"{self.url}{endpoint.path} {window.start}/{window.end} {params}"

    def _pull(self, endpoint: Endpoint, window: Window) -> None:
        target = self.folder / endpoint.name / window.name
        part = target.with_name(f".{window.name}.part")
        asked = self._asked(endpoint, window)
        start(part, asked)
        try:
            number = self._walk(endpoint, window, part)
        except NoAnswer as problem:
            if not problem.again:  # a cursor of a resumed pull may be one that is no longer known
                shutil.rmtree(part)
            raise
        except NoPage as why:
            shutil.rmtree(part)
            raise SourceUnreachable(
                f"{self.access.provider}'s {endpoint.name} of {window.name} cannot be read to its end: {why}",
                expected="pages that follow each other to the last one, each once",
                next_step=f"run `finops ingest {self.source.id}` again; what was pulled before stays as it is",
            ) from why
        self.pages += number
        write(part / PULLED, {"pulled_on": self.today.isoformat(), "pages": number, "asked": asked})
        replace(target, part)

    def _walk(self, endpoint: Endpoint, window: Window, part: Path) -> int:
        """Save page after page, those of an interrupted pull without asking again; returns how many there are."""
        params: Params | None = endpoint.first(window)
        requests: set[str] = set()
        contents: set[str] = set()
        missing = set(window.days)
        number = 0
        while params is not None:
            number += 1
            _add_new(requests, dict(params), f"page {number} is one that was asked for before")
            document = self._page(endpoint, part / f"{number:04}.json", params)
            rows = document.get(endpoint.rows)
            if not isinstance(rows, list):
                raise NoPage(f"page {number} has no list `{endpoint.rows}`")
            if rows:
                _add_new(contents, rows, f"page {number} holds what an earlier page held")
            missing -= _days(endpoint, rows, missing, f"page {number}")
            params = endpoint.following(document, params, window)
        days = ", ".join(str(day) for day in sorted(missing) if day < self.today)
        if endpoint.day and days:
            self.say(
                f"{self.source.id}: {endpoint.name} of {window.name} has no entry, not even an empty one, of {days}"
            )
        return number

    def _page(self, endpoint: Endpoint, file: Path, params: Params) -> Document:
        if file.exists():
            document: Document = json.loads(file.read_bytes(), parse_float=Decimal)
            return document
        answer = self.client.get(endpoint.path, params, endpoint.headers)
        write_bytes(file, answer.body)
        return answer.document


# ---------------------------------------------------------------------------------------------------------- on disk
def start(part: Path, asked: str) -> None:
    """An empty part, or what an interrupted pull that asked the same left, when it is younger than an hour."""
    now = datetime.now(UTC)
    left = stated(part / ASKED)
    if left.get("asked") == asked and now - datetime.fromisoformat(str(left["started"])) < _RESUMED:
        return
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    write(part / ASKED, {"asked": asked, "started": now.isoformat()})


def replace(target: Path, part: Path) -> None:
    """The part becomes the target; the old one stays on disk until then, and `recover` ends a swap cut off."""
    old = _old(target)
    if target.exists():
        target.rename(old)
    part.rename(target)
    (target / ASKED).unlink(missing_ok=True)
    shutil.rmtree(old, ignore_errors=True)


def is_final(target: Path, *, asked: str, settled: date) -> bool:
    """Whether a month's folder was pulled by what is asked now, on the day from which nothing is restated, or later."""
    recover(target)
    pulled = stated(target / PULLED)
    return pulled.get("asked") == asked and date.fromisoformat(str(pulled["pulled_on"])) >= settled


def recover(target: Path) -> None:
    """After a crash between the two renames the old month is put back; it is pulled again if it is not final."""
    old = _old(target)
    if old.exists() and not target.exists():
        old.rename(target)
    shutil.rmtree(old, ignore_errors=True)


def _old(target: Path) -> Path:
    return target.with_name(f".{target.name}.old")


def stated(file: Path) -> dict[str, object]:
    """What a small file of ours says; nothing where there is none or it was cut off."""
    try:
        found = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write(file: Path, content: Mapping[str, object]) -> None:
    """A small file of ours, there whole or not at all."""
    write_bytes(file, json.dumps(content).encode())


def write_bytes(file: Path, content: bytes) -> None:
    """The file is there whole or not at all."""
    new = file.with_name(f"{file.name}.new")
    new.write_bytes(content)
    new.replace(file)


def _days(endpoint: Endpoint, rows: list[Document], wanted: set[date], page: str) -> set[date]:
    """The days of a page's rows; raises NoPage for one that was not asked for or came before: it would count twice."""
    if endpoint.day is None:
        return set()
    try:
        days = [endpoint.day(row) for row in rows]
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise NoPage(f"{page} has an entry without a readable day") from error
    if len(set(days) & wanted) < len(days):
        raise NoPage(f"{page} holds a day twice, again, or that was not asked for")
    return set(days)


def _add_new(seen: set[str], content: object, otherwise: str) -> None:
    """Remember the content; raises NoPage with the words when it was seen before: the pages are in a loop."""
    digest = hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()
    if digest in seen:
        raise NoPage(otherwise)
    seen.add(digest)


# ----------------------------------------------------------------------------------------------------------- messages
def _settings(source: Source, access: Access) -> tuple[Pull, str]:
    if source.pull is None:
        raise ConfigError(
            f"{source.id} has no `pull`",
            expected="since and key of the API",
            next_step="add `pull` to the source in finops.toml",
        )
    url = source.pull.url or access.url
    if url is None or urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        raise ConfigError(
            f"{source.id} names no address of {access.provider}" if url is None else f"{source.id} has the url {url!r}",
            expected=f"the address of your {access.provider}, such as https://{access.provider.lower()}.example.com",
            next_step="set `pull.url` of the source in finops.toml",
        )
    return source.pull, url


def _client(
    source: Source, access: Access, url: str, key: str, patience: Patience, say: Callable[[str], None]
) -> Client:
    return Client(url, access.headers(key), secret=key, patience=patience, say=lambda text: say(f"{source.id}: {text}"))


def _status(problem: NoAnswer, endpoint: Endpoint) -> Status:
    if problem.status in (401, 403):
        return "refused"
    return "not offered" if endpoint.optional and problem.status in _NOT_OFFERED else "unreachable"


def _unreachable(problem: NoAnswer, source: Source, access: Access, endpoint: Endpoint, key: str) -> SourceUnreachable:
    """Found, expected and next step for an endpoint that gave no page."""
    verb = "refuses" if problem.status in (401, 403) else "does not answer"
    found = f"{access.provider} {verb} {endpoint.path}: {problem.found}"
    again = f"run `finops ingest {source.id}` again; what was pulled before stays as it is"
    if problem.status in (401, 403):
        other = not key.startswith(access.key_prefix)
        kind = f"; the one that was sent does not start with {access.key_prefix}" if other else ""
        return SourceUnreachable(
            found + kind,
            expected=f"{access.key}, allowed to {endpoint.needs}",
            next_step=f"make such a key and name it as `pull.key` of {source.id} in finops.toml",
        )
    if problem.wait_s is not None:
        again = f"in {problem.wait_s:.0f} s or later, {again}"
    elif not problem.again:
        again = f"check `pull.url` of {source.id} in finops.toml, then {again}"
    return SourceUnreachable(found, expected="a page of JSON", next_step=again)
