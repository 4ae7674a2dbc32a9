"""The charts of the app and of reports: one idea each, drawn from the frames of reports.views in the tokens of a Look.

Amounts become floats here and nowhere before: a chart is drawn to the pixel, not to the cent.
"""

from reports.charts.ahead import added_up, cost_curves, coverage, outlook, placement
from reports.charts.asked import beside
from reports.charts.canvas import AMOUNT, MAX_CATEGORIES, Chart, grouped
from reports.charts.compared import places, tornado
from reports.charts.spend import amounts_by, budget_use, changes, spend_over_time
from reports.charts.tokens import Unit, bridge, bridge_start, mix_over_time, panel
from reports.charts.trust import invoices_grid
from reports.charts.unusual import anomaly

__all__ = [
    "AMOUNT", "MAX_CATEGORIES", "Chart", "Unit", "added_up", "amounts_by", "anomaly", "beside", "bridge",
    "bridge_start", "budget_use", "changes", "cost_curves", "coverage", "grouped", "invoices_grid", "mix_over_time",
    "outlook", "panel", "placement", "places", "spend_over_time", "tornado",
]  # fmt: skip
