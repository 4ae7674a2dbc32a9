"""Daily series in, dated quantiles out; what they come to, how far they can be relied on, and what was unusual.

What goes in: series, files (CSV), hours (rows finer than a day), events and drivers (what is known beside the past).
One series: method, out of calendar, level, trend and bursts; baselines, which it has to beat.
A portfolio: forecast, out of fits (fanned out; fit_cache keeps them), intervals, reconciliation on coherence, paths.
Proof: backtest, metrics, selection, trust.
Decisions: odds (of budgets), what_if on levers.
Anomalies: anomalies, out of daily_tests or load_tests; incidents (one cause, one record).

Floats live inside this package; frames are Polars at its border.
"""
