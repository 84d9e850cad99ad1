"""Money: integers of the currency's minor unit inside, decimal strings with the currency outside."""

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from shared_contracts.events import Money as MoneyOut

MAX_MINOR = 10**15
"""No single amount is larger: a bound for sums in 64 bits."""

_ZERO_DECIMALS = frozenset("BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF".split())
_THREE_DECIMALS = frozenset("BHD IQD JOD KWD LYD OMR TND".split())


def exponent(currency: str) -> int:
    """How many decimals a currency has (ISO 4217, table A.1)."""
    if currency in _ZERO_DECIMALS:
        return 0
    return 3 if currency in _THREE_DECIMALS else 2


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in minor units (centimes) of a currency."""

    minor: int
    currency: str

    @classmethod
    def parse(cls, amount: str, currency: str) -> "Money":
        """Read a decimal string. Raises ValueError for more decimals than the currency has, or no number at all."""
        try:
            minor = Decimal(amount).scaleb(exponent(currency))
        except InvalidOperation:
            raise ValueError("a decimal string such as 150.00 is wanted") from None
        if not minor.is_finite() or minor != minor.to_integral_value():
            raise ValueError(f"{currency} has {exponent(currency)} decimals")
        if abs(minor) > MAX_MINOR:
            raise ValueError("the amount is too large")
        return cls(int(minor), currency)

    def __str__(self) -> str:
        return f"{Decimal(self.minor).scaleb(-exponent(self.currency)):f}"

    def out(self) -> MoneyOut:
        return MoneyOut(amount=str(self), currency=self.currency)
