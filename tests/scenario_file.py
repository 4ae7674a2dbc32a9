"""A commented scenario file with a bit of everything that a form changes; nothing else depends on its figures."""

COMMITTEE = "            # the investment committee meets each quarter"
BANK = f"""# A bank whose data stays in the EU.
name = "bank"
currency = "USD"
start = "2027-01"
horizon_months = 36
discount_ratio_per_year = 0.08
purchase_every_months = 3{COMMITTEE}

# ---------------------------------------------------------------- load
[[load_blocks]]
name = "all"
hours_ratio = 1
demand_ratio = 1

[[workloads]]
name = "document-assistant"          # for case handlers
kind = "inference"
unit = "million_tokens"
demand_per_month = 30000
growth_ratio_per_year = 0.6
today = "own-h100"
max_latency_ms = 100
residency = ["EU"]
allowed_hosting = [
    "on_prem",   # ours
    "colo",
]
units_per_accelerator_hour = {{ "H100-80GB" = 7.5, "H200-141GB" = 10.4 }}

[[workloads]]
name = "fraud-scoring"
kind = "inference"
unit = "accelerator_hours"
reference_accelerator = "H100-80GB"
demand_per_month = 2_900
residency = ["EU"]

[[workloads]]
name = "risk-training"
kind = "training"
unit = "accelerator_hours"
reference_accelerator = "H100-80GB"
demand_per_month = 9000
growth_ratio_per_year = 0.25

# ------------------------------------------------- own servers and colo
[[sites]]
name = "frankfurt"
power_limit_kw = 250                 # at the meter, with cooling

[[sites]]
name = "dublin"
spare = 1

[[options]]
name = "own-h100"
kind = "on_prem"
utilisation_ceiling_ratio = 0.75
# 300,000 for the server and 12.5 % for network
price = {{ amount = 337500, source = "a quote, with \\"network\\"", date = 2026-07-10 }}

# what the rules exclude today, so that they can be priced
[[price_book]]
providers = ["aws", "gcp"]
accelerators = ["H100-80GB"]
utilisation_ceiling_ratio = 0.75

[[options]]
name = "gpt"
kind = "api"
price = {{ amount = 3.50, source = "price list", date = 2026-06-21 }}

[rules]
budget_per_year = [1_700_000, 2_900_000, 1_700_000]
capex_budget_per_year = [1_150_000, 1_950_000, 1_150_000]
warn_ratio = 0.25
"""
