from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.core.geo import Point, haversine_m
from backend.dispatch import rules
from backend.dispatch.rules import Rate
from backend.dispatch.states import MAY, OPEN, STEPS, Party, Status

LIGHT = Rate(base=1_500_00, per_km=50_00, minimum=1_500_00, currency="DZD", road_factor=Decimal("1.30"))


class TestPrice:
    @pytest.mark.parametrize(
        ("distance_m", "minor"),
        [
            (None, 1_500_00),
            (0, 1_500_00),
            (1, 1_500_05),
            (1_000, 1_550_00),
            (12_345, 2_117_25),
        ],
    )
    def test_is_base_and_kilometres(self, distance_m: int | None, minor: int) -> None:
        assert rules.price(LIGHT, distance_m) == minor

    def test_never_falls_below_the_minimum(self) -> None:
        rate = Rate(base=100, per_km=10, minimum=500, currency="EUR", road_factor=Decimal(1))
        assert rules.price(rate, 40_000) == 500
        assert rules.price(rate, 40_100) == 501

    @pytest.mark.parametrize(("distance_m", "minor"), [(99, 0), (499, 0), (500, 1), (1_499, 1), (1_500, 2)])
    def test_rounds_half_a_minor_unit_up(self, distance_m: int, minor: int) -> None:
        rate = Rate(base=0, per_km=1, minimum=0, currency="EUR", road_factor=Decimal(1))
        assert rules.price(rate, distance_m) == minor

    @given(st.integers(0, 10**7), st.integers(0, 10**9), st.integers(0, 10**9))
    def test_grows_with_the_way_and_stays_exact(self, distance_m: int, base: int, per_km: int) -> None:
        rate = Rate(base=base, per_km=per_km, minimum=0, currency="EUR", road_factor=Decimal(1))
        exact = Decimal(base) + Decimal(per_km) * distance_m / 1000
        assert abs(rules.price(rate, distance_m) - exact) <= Decimal("0.5")
        assert rules.price(rate, distance_m + 1) >= rules.price(rate, distance_m)

    def test_is_told_in_advance_but_for_repair(self) -> None:
        assert rules.price_in_advance("towing", LIGHT, 1_000) == 1_550_00
        assert rules.price_in_advance("repair", LIGHT, 1_000) is None


class TestDistances:
    def test_the_road_is_longer_by_the_factor(self) -> None:
        a, b = Point(36.0, 3.0), Point(36.0, 3.1)
        assert rules.road_distance_m(a, b, Decimal("1.30")) == round(haversine_m(a, b) * 1.3)
        assert rules.road_distance_m(a, a, Decimal("1.30")) == 0

    @pytest.mark.parametrize(("distance_m", "minutes"), [(0, 1), (100, 1), (1_000, 2), (10_000, 20), (20_000, 39)])
    def test_an_approach_takes_whole_minutes(self, distance_m: int, minutes: int) -> None:
        assert rules.approach_minutes(distance_m) == minutes

    @pytest.mark.parametrize(("wave", "radius"), [(1, 5), (2, 10), (3, 20), (4, 20), (30, 20)])
    def test_the_last_radius_repeats(self, wave: int, radius: float) -> None:
        assert rules.radius_of_wave_km([5, 10, 20], wave) == radius

    @given(st.floats(-90, 90), st.floats(-180, 180))
    def test_a_snapped_place_is_near_on_earth_and_stays_put(self, lat: float, lng: float) -> None:
        place = Point(lat, lng)
        snapped = rules.snapped(place)
        assert -90 <= snapped.lat <= 90
        assert -180 <= snapped.lng <= 180
        if abs(lat) < 89:
            assert haversine_m(place, snapped) < 400
            assert haversine_m(snapped, rules.snapped(snapped)) < 5

    @pytest.mark.parametrize(("metres", "km"), [(0, 0), (249, 0), (251, 0.5), (749, 0.5), (1_300, 1.5)])
    def test_kilometres_are_rounded_to_halves(self, metres: float, km: float) -> None:
        assert rules.rounded_km(metres) == km

    def test_a_path_is_as_long_as_its_legs(self) -> None:
        a, b, c = Point(36.0, 3.0), Point(36.1, 3.0), Point(36.1, 3.1)
        assert rules.path_length_m([a, b, c]) == haversine_m(a, b) + haversine_m(b, c)
        assert rules.path_length_m([a]) == rules.path_length_m([]) == 0


class TestStates:
    def test_nobody_may_do_what_the_life_cycle_has_not(self) -> None:
        for steps in MAY.values():
            for to, sources in steps.items():
                assert all(to in STEPS[source] for source in sources)

    def test_clients_may_only_cancel_and_the_end_is_the_end(self) -> None:
        assert MAY[Party.CLIENT] == {Status.CANCELED: OPEN}
        assert {status for status, steps in STEPS.items() if not steps} == set(Status) - OPEN
