"""Pure rules of the catalogue."""

from decimal import ROUND_HALF_UP, Decimal


def average_rating(*, rating_sum: int, rating_count: int, unverified_sum: int, unverified_count: int) -> Decimal | None:
    """The average of the verified reviews; of the unverified ones where there are no others; None without any.

    Two decimals, halves up.
    """
    total, count = (rating_sum, rating_count) if rating_count else (unverified_sum, unverified_count)
    return (Decimal(total) / count).quantize(Decimal("0.01"), ROUND_HALF_UP) if count else None
