"""Frames for people: the one source of the figures that the app, the CSV files and the commands show.

Every view is a pure function over lazy frames of the lake; only what is billed is summed, amounts stay exact decimals,
and two currencies are never added.
"""
