"""Charts of a run: plain data in, a matplotlib Figure out; nothing here keeps state between calls.

`runbook.charts.drill` draws, `runbook.charts.display` shows in notebooks; this package itself imports
neither, so that the report may use its words and colours without loading matplotlib.
"""
