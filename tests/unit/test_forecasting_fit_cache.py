"""Unchanged series are not fitted again, and a kept fit is the one that fitting would give."""

from dataclasses import fields, replace
from datetime import date
from pathlib import Path as FilePath
from typing import Any

import numpy as np
import pytest

from forecasting import fits
from forecasting.backtest import backtest_task
from forecasting.events import Event
from forecasting.fit_cache import FitCache, fit_key, method_version
from forecasting.fits import Fitted, Task, fit_all, use
from forecasting.method import DEFAULT, Path
from forecasting.series import DailySeries, Floats

HORIZON = 14
PLAIN = Path(DEFAULT, 2.0, np.zeros(3), np.ones(3), np.full(3, 0.1), -1.0, 1.0)


def weekly(days: int, *, seed: int = 1) -> Floats:
    at = np.arange(days)
    values: Floats = np.where(at % 7 >= 5, 50.0, 100.0) * np.exp(np.random.default_rng(seed).normal(0, 0.05, days))
    return values


def series(values: Floats, **known: Any) -> DailySeries:
    return DailySeries("a", date(2026, 1, 1), values, **known)


@pytest.fixture
def file(tmp_path: FilePath) -> FilePath:
    return tmp_path / "cache" / "fits.npz"


def same(one: Path, other: Path) -> bool:
    return all(np.array_equal(getattr(one, f.name), getattr(other, f.name)) for f in fields(Path))


def run(file: FilePath | None, *tasks: Task) -> list[Fitted]:
    """All fits of some tasks and of a baseline that is in use then, with a cache in this file."""
    cache = None if file is None else FitCache(file)
    fitted, refused = fit_all(tasks, workers=1, cache=cache)
    assert not refused
    used = use(fitted, {one.series.name: "drift" for one in fitted}, workers=1, cache=cache)
    if cache is not None:
        cache.save()
    return used


def test_a_second_run_fits_nothing_and_gives_the_same(file: FilePath, monkeypatch: pytest.MonkeyPatch) -> None:
    """Default, baselines and the one in use, of a series and of a constant one that fell back; to the last bit."""
    monkeypatch.setattr("forecasting.baselines._statistical", lambda _, history, horizon: history[-horizon:])  # slow
    tasks = []
    for values in (weekly(115), np.full(115, 3.0)):
        past = backtest_task(series(values), horizon=HORIZON, origins=1)
        assert past is not None
        tasks.append(replace(past, cutoffs=(*past.cutoffs, 115)))
    without, first = run(None, *tasks), run(file, *tasks)

    def fails(*_: object, **__: object) -> Path:
        raise AssertionError("fitted again")

    monkeypatch.setattr(fits, "forecast_path", fails)
    monkeypatch.setattr(fits, "baseline_path", fails)
    for again in (run(file, *tasks), run(file, *tasks)):
        for expected, kept, found in zip(without, first, again, strict=True):
            assert found.model == expected.model
            assert {c: list(paths) for c, paths in found.paths.items()} == {
                c: list(paths) for c, paths in expected.paths.items()
            }
            for cutoff, paths in expected.paths.items():
                assert all(same(path, found.paths[cutoff][model]) for model, path in paths.items())
                assert all(same(path, kept.paths[cutoff][model]) for model, path in paths.items())


def test_a_digest_knows_every_field_that_a_fit_sees() -> None:
    """Another value, day, name, event, country, volume, horizon or model is another fit; a copy is the same."""
    values = weekly(60)
    known: dict[str, Any] = {
        "name": "b", "start": date(2026, 1, 2), "values": values + 1e-9, "vintages": (series(values),),
        "events": (Event("launch", "launch", date(2026, 2, 1)),), "countries": ("DE",), "volume": np.ones(60),
        "estimated": 2,
    }  # fmt: skip
    assert {field.name for field in fields(DailySeries)} <= set(known), "a new field: it must change the digest, too"
    base = series(values)
    variants = [base, *(replace(base, **{name: value}) for name, value in known.items())]
    variants.append(replace(base, events=(Event("launch", "launch", date(2026, 2, 2)),)))
    keys = [fit_key(one, horizon=7, model=DEFAULT) for one in variants]
    keys += [fit_key(base, horizon=8, model=DEFAULT), fit_key(base, horizon=7, model="drift")]
    assert len(set(keys)) == len(keys)
    assert fit_key(series(values.copy()), horizon=7, model=DEFAULT) == keys[0]


def test_other_code_is_another_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """The digest holds the method's own code."""
    before = fit_key(series(weekly(60)), horizon=7, model=DEFAULT)
    monkeypatch.setattr("forecasting.fit_cache.method_version", lambda: "next")
    assert fit_key(series(weekly(60)), horizon=7, model=DEFAULT) != before
    assert len(method_version()) == 64


def test_only_what_the_last_run_used_is_kept(file: FilePath) -> None:
    """What was neither read nor added since is gone."""
    keys = ["0" * 64, "1" * 64, "2" * 64]
    first = FitCache(file)
    first.put(keys[0], PLAIN)
    first.put(keys[1], replace(PLAIN, fixed=np.arange(6.0).reshape(2, 3)))
    first.save()
    second = FitCache(file)
    found = second.get(keys[1])
    assert found is not None
    assert found.fixed is not None
    assert found.fixed.tolist() == [[0, 1, 2], [3, 4, 5]]
    second.put(keys[2], PLAIN)
    second.save()
    third = FitCache(file)
    assert [third.get(key) is not None for key in keys] == [False, True, True]
    assert [one.name for one in file.parent.iterdir()] == [file.name], "nothing half written is left"


@pytest.mark.parametrize("damage", ["absent", "empty", "text", "cut", "flipped", "foreign", "folder"])
def test_a_file_that_cannot_be_read_counts_as_none(file: FilePath, damage: str) -> None:
    """Damaged, cut off or another program's: nothing is found in it, and saving puts it right (but for a folder)."""
    key = "0" * 64
    cache = FitCache(file)
    cache.put(key, PLAIN)
    cache.save()
    content = bytearray(file.read_bytes())
    if damage in ("absent", "folder"):
        file.unlink()
    if damage == "folder":
        file.mkdir()
    elif damage == "foreign":
        with file.open("wb") as stream:
            np.savez(stream, index=np.frombuffer(b'{"a": [1]}', np.uint8), values=np.ones(2))
    elif damage != "absent":
        content[content.index(b"center")] ^= 1
        file.write_bytes(bytes({"empty": b"", "text": b"hello", "cut": content[:200], "flipped": content}[damage]))
    again = FitCache(file)
    assert again.get(key) is None
    again.put(key, PLAIN)
    if damage == "folder":
        with pytest.raises(OSError, match=file.name):
            again.save()
    else:
        again.save()
        assert FitCache(file).get(key) is not None


def test_more_fits_than_are_kept_are_made_again(file: FilePath, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file does not grow without end."""
    monkeypatch.setattr("forecasting.fit_cache.MOST_FITS", 2)
    cache = FitCache(file)
    for k in range(3):
        cache.put(str(k) * 64, PLAIN)
    cache.save()
    kept = FitCache(file)
    assert [kept.get(str(k) * 64) is not None for k in range(3)] == [True, True, False]
