"""The contract suite on legacy Cost and Usage Reports: two months whose columns differ, and one in snake case."""

from decimal import Decimal
from pathlib import Path

from tests.contract.connector import ConnectorContract
from tests.unit.test_aws import LEGACY, write_csv


class TestLegacy(ConnectorContract):
    name = "aws"
    rows = 7
    billed = {"USD": Decimal("100.0000000052"), "NOK": Decimal("10")}
    # the upfront fee of 100 is amortised: 0.06 used, 0.04 unused
    effective = {"USD": Decimal("0.1000000052"), "NOK": Decimal("10")}

    def sample(self, folder: Path) -> Path:
        bill = folder / "bill"
        reservation = {"reservation/ReservationARN": "arn:aws:ec2:us-east-1:1:reserved-instances/x"}
        write_csv(
            bill / "20231101-20231201" / "report-1.csv",
            LEGACY,
            {**LEGACY, "lineItem/LineItemType": "Fee", "lineItem/UnblendedCost": "100", **reservation},
            {**LEGACY, "lineItem/LineItemType": "DiscountedUsage", "lineItem/UnblendedCost": "0",
             "reservation/EffectiveCost": "6E-2", **reservation},
            {**LEGACY, "lineItem/LineItemType": "RIFee", "lineItem/UnblendedCost": "0",
             "reservation/UnusedAmortizedUpfrontFeeForBillingPeriod": "0.04", "reservation/UnusedRecurringFee": "0",
             **reservation},
            {**LEGACY, "lineItem/UnblendedCost": "n/a"},
        )  # fmt: skip
        december = {"bill/BillingPeriodStartDate": "2023-12-01 00:00:00.000"}
        kroner = {"lineItem/CurrencyCode": "NOK", "lineItem/UnblendedCost": "10", "pricing/publicOnDemandCost": "10"}
        write_csv(
            bill / "20231201-20240101" / "report-1.csv.gz",
            {**LEGACY, **december, **kroner, "resourceTags/user:app": "bot"},
        )
        snake = {
            "bill_billing_period_start_date": "2023-12-01 00:00:00.000", "line_item_line_item_type": "Usage",
            "line_item_usage_start_date": "2023-12-05 01:00:00.000",
            "line_item_usage_end_date": "2023-12-05 02:00:00.000",
            "line_item_currency_code": "USD", "line_item_unblended_cost": "0", "resource_tags_user_team": "search",
        }  # fmt: skip
        write_csv(bill / "20231201-20240101" / "report-2.csv", snake)
        return bill
