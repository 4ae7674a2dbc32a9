"""Files of LiteLLM: what they hold, told from their content, and their records one by one.

A record is a JSON object with its numbers as Decimal: an element of a JSON array or page, a JSON line, or a row of a
CSV or Parquet file. Lines and rows are read in batches, whatever the file's size; a JSON document is read whole.
"""

import gzip
import json
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from itertools import filterfalse, islice
from pathlib import Path
from typing import IO, Any, Final, cast

import polars as pl
from polars.io.plugins import register_io_source

from connectors import cells, files
from connectors.registry import METERED, RawPart
from finops.errors import ConfigError, InputError

SPEND_LOGS, LOG_FILES, DAILY_ACTIVITY = "spend logs", "log files", "daily activity"
LINES: Final = (".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz")
SUFFIXES: Final = (".json", ".json.gz", *LINES, *files.SUFFIXES)
COLUMNS: Final = (
    "request_id", "call_type", "api_key", "spend", "total_tokens", "prompt_tokens", "completion_tokens", "startTime",
    "model", "custom_llm_provider", "user", "metadata", "cache_hit", "request_tags", "team_id", "end_user", "status",
)  # fmt: skip
"""The columns of LiteLLM_SpendLogs that are read; a dump may write them in another case."""
NEEDED: Final = ("startTime", "model", "prompt_tokens", "completion_tokens", "spend")
CONTENT: Final = ("messages", "response", "proxy_server_request")
"""What was asked and answered: never read, and left out where a rejected row is kept."""
PROMPT: Final = "prompt_tokens"
"""The option of a source whose LiteLLM writes prompt_tokens without the cached ones, as its older versions did."""
BATCH_ROWS: Final = 20_000
_TAIL_BYTES: Final = 1 << 20
_SNIFFED_LINES: Final = 100
# NaN is no JSON, but Python reads it; as a Decimal it fails as a number and its row is rejected
_DECODER: Final = json.JSONDecoder(parse_float=Decimal, parse_constant=Decimal)

Json = Mapping[str, Any]
Row = dict[str, Any]


@dataclass(frozen=True)
class _Found:
    """What a file holds; of a page also its number, the last one's, and what may be on no other answer's page."""

    part: RawPart
    kind: str | None
    page: int = 1
    last: int = 1
    days: frozenset[str] = frozenset()
    first_call: str | None = None


# ------------------------------------------------------------------------------------------------- files of a source
def find_parts(path: Path, *, until: date, options: dict[str, str] | None, say: Callable[[str], None]) -> list[RawPart]:
    """The files at a path as parts of usage; says what they hold.

    Raises InputError that names the file for one that is damaged or nothing of LiteLLM, for a folder that holds two
    kinds (the same calls twice), for pages that are missing or come twice, and for a day in two folders.
    """
    parts = files.find_parts(path, until=until, options=options, suffixes=SUFFIXES)
    found = [_found(replace(part, holds="usage")) for part in parts]
    kinds = {f.kind: f.part.path for f in found if f.kind}
    if len(kinds) > 1:
        listed = ", ".join(f"{kind} ({file.name})" for kind, file in kinds.items())
        raise InputError(
            f"{path} holds {listed}: the same calls, counted twice",
            expected="one kind of LiteLLM's files a source",
            next_step="keep the kind that says most, spend logs or log files, and move the others away",
        )
    _refuse_twice(found)
    _refuse_gaps(found)
    say(f"LiteLLM: {len(found)} file(s) of {' and '.join(kinds) or 'nothing'}")
    return [f.part for f in found]


def kind_of(path: Path) -> str | None:
    """SPEND_LOGS, LOG_FILES or DAILY_ACTIVITY; None for a file without a record; raises InputError for another."""
    if path.name.endswith(files.SUFFIXES):
        return _kind_of_table(path)
    if not _is_lines(path):
        return _kind_of_document(path, document(path))
    _refuse_cut_off(path)
    first = next((r for r in islice(_lines(path), _SNIFFED_LINES) if not isinstance(r, str)), None)
    if first is None and path.stat().st_size:
        raise _alien(path, "no line that is a JSON object")
    return _kind_of_record(path, first)


def _found(part: RawPart) -> _Found:
    if not part.path.name.endswith((".json", ".json.gz")) or _is_lines(part.path):
        return _Found(part, kind_of(part.path))
    whole = document(part.path)
    kind = _kind_of_document(part.path, whole)
    if not isinstance(whole, dict):
        return _Found(part, kind)
    of_page = whole.get("metadata") if kind == DAILY_ACTIVITY else whole
    page, last = (_whole_number(of_page, name) for name in ("page", "total_pages"))
    days = frozenset(str(day["date"]) for day in whole["results"]) if kind == DAILY_ACTIVITY else frozenset()
    calls = whole.get("data") or [{}]
    return _Found(part, kind, page, last, days, calls[0].get("request_id") if isinstance(calls[0], dict) else None)


def _whole_number(holder: object, name: str) -> int:
    value = holder.get(name) if isinstance(holder, dict) else None
    return value if isinstance(value, int) else 1


def _refuse_twice(found: list[_Found]) -> None:
    """A day may go on over the pages of one answer, each with its own number; a page of calls comes once."""
    of_day: dict[str, list[_Found]] = {}
    of_call: dict[str, _Found] = {}
    for f in found:
        others = [other for day in f.days for other in of_day.get(day, ()) if not _is_one_answer(f, other)]
        if f.first_call is not None and of_call.setdefault(f.first_call, f) is not f:
            others.append(of_call[f.first_call])
        if others:
            raise InputError(
                f"{f.part.path} and {others[0].part.path} hold the same {'days' if f.days else 'calls'}",
                expected="each day and call in one answer: two would count it twice",
                next_step="keep one of the two (the users' or the teams' activity, the older or the newer)",
            )
        for day in f.days:
            of_day.setdefault(day, []).append(f)


def _is_one_answer(one: _Found, other: _Found) -> bool:
    same_folder = one.part.path.parent == other.part.path.parent
    return same_folder and one.page != other.page and min(one.last, other.last) > 1


def _refuse_gaps(found: list[_Found]) -> None:
    """In a folder each page but an answer's last has one after it, and each but its first one before it."""
    for folder in {f.part.path.parent: None for f in found}:
        pages = [f for f in found if f.part.path.parent == folder]
        held = Counter(f.page for f in pages)
        followed = Counter(f.page + 1 for f in pages if f.page < f.last)
        preceded = Counter(f.page - 1 for f in pages if f.page > 1)
        missing = sorted((followed | preceded) - held)
        if missing:
            raise InputError(
                f"{folder} lacks page {missing[0]} of an answer whose other pages it holds",
                expected="all pages of an answer in one folder",
                next_step="fetch the missing page, or all of them again",
            )


# ------------------------------------------------------------------------------------------------------------ records
def read(path: Path) -> Iterator[Json | str]:
    """The calls of a file in their order; a text is a line or element that is no JSON object."""
    if path.name.endswith(files.SUFFIXES):
        return _rows(path)
    if _is_lines(path):
        return _lines(path)
    whole = document(path)
    if isinstance(whole, dict):
        whole = whole.get("data", [whole])
    return iter([r if isinstance(r, dict) else as_json(r) for r in whole])


def document(path: Path) -> Any:
    """The whole of a JSON file; raises InputError where it is none."""
    try:
        with _open(path) as file:
            return loads(file.read())
    except (ValueError, RecursionError, OSError, EOFError) as error:
        raise InputError(
            f"{path} is cut off or no JSON: {error}",
            expected="one whole JSON document, or one JSON object a line",
            next_step="fetch the file again",
        ) from error


def frame(rows: Callable[[], Iterator[Row]]) -> pl.LazyFrame:
    """Rows with any of the columns METERED as a lazy frame, made batch by batch when it is read."""

    def batches(
        columns: list[str] | None, predicate: pl.Expr | None, limit: int | None, _: int | None
    ) -> Iterator[pl.DataFrame]:
        source = islice(rows(), limit)
        while batch := list(islice(source, BATCH_ROWS)):
            made = pl.DataFrame(batch, schema=METERED)
            kept = made if predicate is None else made.filter(predicate)
            yield kept if columns is None else kept.select(columns)

    return register_io_source(batches, schema=METERED, is_pure=True)


def is_prompt_whole(part: RawPart) -> bool:
    """Whether prompt_tokens include the cached ones, as they do unless the source's options say that they don't.

    Raises ConfigError for another option than `all` or `uncached`.
    """
    written = part.options.get(PROMPT, "all")
    if written not in ("all", "uncached"):
        raise ConfigError(
            f"the option {PROMPT} is {written!r}",
            expected="all (prompt_tokens include the cached ones, which is usual) or uncached",
            next_step="correct `options` of this source in finops.toml",
        )
    return written == "all"


def as_json(record: object) -> str:
    """The record as JSON text, without what was asked and answered."""
    if isinstance(record, Mapping):
        record = {name: value for name, value in record.items() if name not in CONTENT}
    return json.dumps(record, ensure_ascii=False, default=str)


def loads(text: str | bytes) -> Any:
    """The JSON value of a text; raises ValueError where it is none."""
    return _DECODER.decode(text if isinstance(text, str) else text.decode("utf-8-sig"))


def _open(path: Path) -> IO[bytes]:
    return cast(IO[bytes], gzip.open(path) if path.suffix == ".gz" else path.open("rb"))


def _is_lines(path: Path) -> bool:
    """Whether the file is JSON lines: by its name, else by a whole object on its first line and more after it."""
    if path.name.endswith(LINES):
        return True
    with files.readable(path), _open(path) as file:
        first = file.readline()
        try:
            return isinstance(loads(first), dict) and bool(file.readline().strip())
        except ValueError:
            return False


def _lines(path: Path) -> Iterator[Json | str]:
    try:
        with _open(path) as file:
            for line in filterfalse(bytes.isspace, file):
                try:
                    record = loads(line)
                except (ValueError, RecursionError):
                    record = None
                yield record if isinstance(record, dict) else line.decode("utf-8", errors="replace").strip()
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(
            f"{path} cannot be read: {error}",
            expected="a whole file, one JSON object a line",
            next_step="fetch the file again",
        ) from error


def _rows(path: Path) -> Iterator[Json]:
    names = {_plain(name): name for name in COLUMNS}
    rows = files.scan(path).drop(files.ROW_INDEX)
    for batch in rows.collect_batches(chunk_size=BATCH_ROWS):
        keys = [names.get(_plain(column), column) for column in batch.columns]
        for values in batch.iter_rows():
            yield {k: v for k, v in zip(keys, values, strict=True) if v is not None and v not in cells.NULL_WORDS}


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


# -------------------------------------------------------------------------------------------------------------- kinds
def _kind_of_table(path: Path) -> str:
    scanned = files.scan(path)
    with files.readable(path):
        columns = scanned.collect_schema().names()[1:]
    there = {_plain(column) for column in columns}
    missing = [name for name in NEEDED if _plain(name) not in there]
    if missing:
        raise _alien(path, f"no column {', '.join(missing)}")
    return SPEND_LOGS


def _kind_of_document(path: Path, whole: object) -> str | None:
    if isinstance(whole, dict):
        answer = whole.get("error", whole.get("detail"))
        if answer is not None:
            raise InputError(
                f"{path} is an error that LiteLLM answered, no usage: {as_json(answer)[:200]}",
                expected="a page of usage",
                next_step="delete the file and fetch its page again",
            )
        if isinstance(whole.get("results"), list):
            return _kind_of_days(path, whole["results"])
        whole = whole.get("data", [whole])
    if not isinstance(whole, list):
        raise _alien(path, "neither records nor days")
    first = next((record for record in whole if isinstance(record, dict)), None)
    if first is None and whole:
        raise _alien(path, "no record that is a JSON object")
    return _kind_of_record(path, first)


def _kind_of_days(path: Path, days: Iterable[object]) -> str:
    if not all(isinstance(day, dict) and {"date", "metrics", "breakdown"} <= set(day) for day in days):
        raise _alien(path, "results that are no days with metrics and a breakdown")
    return DAILY_ACTIVITY


def _kind_of_record(path: Path, record: Json | None) -> str | None:
    if record is None:
        return None
    if {"startTime", "prompt_tokens"} <= set(record):
        if "response_cost" in record:
            return LOG_FILES
        if "spend" in record:
            return SPEND_LOGS
    if {"startTime", "spend", "models"} <= set(record):
        raise InputError(
            f"{path} holds LiteLLM's spend by day without tokens",
            expected="one record a call",
            next_step="fetch /spend/logs with summarize=false, or /user/daily/activity",
        )
    raise _alien(path, f"records of {', '.join(list(record)[:12]) or 'nothing'}")


def _alien(path: Path, holds: str) -> InputError:
    return InputError(
        f"{path} is nothing that LiteLLM writes: it holds {holds}",
        expected=f"spend logs ({', '.join(NEEDED)}, ...), logging payloads, or pages of daily activity",
        next_step="name the right --connector for this file; any other gateway's log goes in as usage_csv",
    )


def _refuse_cut_off(path: Path) -> None:
    if path.suffix == ".gz":
        return
    with path.open("rb") as file:
        size = path.stat().st_size
        file.seek(max(0, size - _TAIL_BYTES))
        tail = file.read()
    last = tail.rsplit(b"\n", 1)[-1]
    if len(last) == len(tail) < size or not last.strip():
        return
    try:
        loads(last)
    except ValueError as error:
        raise InputError(
            f"{path} is cut off: its last line is no whole JSON object",
            expected="a whole file, one JSON object a line",
            next_step="fetch the file again",
        ) from error
