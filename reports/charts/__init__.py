"""The charts of the app and of reports: one idea each, drawn from the frames of reports.views in the tokens of a Look.

Amounts become floats here and nowhere before: a chart is drawn to the pixel, not to the cent.
"""

from reports.charts.ahead import cost_curves, outlook, placement
from reports.charts.canvas import AMOUNT, MAX_CATEGORIES, Chart, grouped
from reports.charts.compared import places, tornado
from reports.charts.spend import amounts_by, budget_use, changes, spend_over_time
from reports.charts.tokens import Unit, bridge, bridge_start, mix_over_time, panel
from reports.charts.trust import invoices_grid
from reports.charts.unusual import anomaly

__all__ = [
    "AMOUNT", "MAX_CATEGORIES", "Chart", "Unit", "amounts_by", "anomaly", "bridge", "bridge_start", "budget_use",
    "changes", "cost_curves", "grouped", "invoices_grid", "mix_over_time", "outlook", "panel", "placement", "places",
    "spend_over_time", "tornado",
]  # fmt: skip
