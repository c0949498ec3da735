"""The order manager: pure, event in, commands out (see `mmlab.orders.manager`)."""

from mmlab.exchange import Costs, ErrorClass, QuotaRule, RateRule, VenueRules
from mmlab.orders.manager import OrderManager
from mmlab.orders.settings import Limits, OrderSettings, RetryRule, Times

__all__ = [
    "Costs", "ErrorClass", "Limits", "OrderManager", "OrderSettings", "QuotaRule", "RateRule", "RetryRule", "Times",
    "VenueRules",
]  # fmt: skip
