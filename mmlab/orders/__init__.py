"""The order manager: pure, event in, commands out (see `mmlab.orders.manager`)."""

from mmlab.orders.manager import OrderManager
from mmlab.orders.settings import Limits, OrderSettings, RetryRule, Times
from mmlab.orders.venue import Costs, ErrorClass, QuotaRule, RateRule, VenueRules

__all__ = [
    "Costs", "ErrorClass", "Limits", "OrderManager", "OrderSettings", "QuotaRule", "RateRule", "RetryRule", "Times",
    "VenueRules",
]  # fmt: skip
