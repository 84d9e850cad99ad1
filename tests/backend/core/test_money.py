import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.core.money import MAX_MINOR, Money


class TestMoney:
    @pytest.mark.parametrize(
        ("amount", "currency", "minor"),
        [
            ("150.00", "USD", 15_000),
            ("150", "USD", 15_000),
            ("150", "JPY", 150),
            ("1.234", "KWD", 1234),
            ("0.01", "DZD", 1),
        ],
    )
    def test_reads_decimal_strings_in_the_currency_s_minor_unit(self, amount: str, currency: str, minor: int) -> None:
        assert Money.parse(amount, currency) == Money(minor, currency)

    @pytest.mark.parametrize(
        ("amount", "currency"),
        [
            ("1.234", "USD"),
            ("1.5", "JPY"),
            ("NaN", "USD"),
            ("Infinity", "USD"),
            ("", "USD"),
            ("1,5", "USD"),
            ("1e99", "USD"),
        ],
    )
    def test_refuses_what_the_currency_cannot_say(self, amount: str, currency: str) -> None:
        with pytest.raises(ValueError):
            Money.parse(amount, currency)

    @given(st.integers(-MAX_MINOR, MAX_MINOR), st.sampled_from(["USD", "JPY", "KWD", "DZD"]))
    def test_says_what_it_reads(self, minor: int, currency: str) -> None:
        money = Money(minor, currency)
        assert Money.parse(str(money), currency) == money
        assert money.out().amount == str(money)
