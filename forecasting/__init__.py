"""Daily series in, dated quantiles out: the default method, its baselines, their backtest and their intervals.

Floats live inside this package; frames are Polars at its border.
"""
