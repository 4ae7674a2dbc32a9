"""A slice of the benchmark of landings: probabilities of passing a budget agree with how often it is passed."""

import polars as pl

from benchmarks import landing


def test_landing_probabilities_agree_with_what_came() -> None:
    """Over the kinds of series together: overall frequency, thirds of the predictions, and the 80 % band."""
    found = landing.measure(1, each=1, days=420, workers=1).filter(basis="forecast_paths")
    assert found["scope_month"].n_unique() >= 120
    assert set(found["kind"]) == set(landing.KINDS)
    assert abs(found["probability"].mean() - found["over"].mean()) < 0.08  # type: ignore[operator]
    thirds = found.group_by(pl.col("probability").is_between(0.2, 0.8)).agg(
        (pl.col("over").mean() - pl.col("probability").mean()).abs().alias("off"), pl.len()
    )
    assert thirds["off"].max() < 0.15  # type: ignore[operator]
    likely = ((pl.col("probability") > 0.5) == pl.col("over")).mean()
    assert found.select(likely).item() > 0.75
    inside = pl.col("position").is_between(0.1, 0.9).mean()
    assert 0.65 < found.select(inside).item() < 0.95
