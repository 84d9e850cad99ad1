from math import cos, hypot, radians

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.core.geo import Point, haversine_m, project, projected_radius

PLACES = st.builds(Point, lat=st.floats(-80, 80), lng=st.floats(-179, 179))


class TestHaversine:
    def test_agrees_with_known_distances(self) -> None:
        algiers, oran = Point(36.7538, 3.0588), Point(35.6971, -0.6308)
        assert haversine_m(algiers, oran) == pytest.approx(352_500, rel=0.005)
        assert haversine_m(Point(0, 179.9), Point(0, -179.9)) == pytest.approx(22_239, rel=0.001)
        assert haversine_m(Point(90, 0), Point(-90, 0)) == pytest.approx(20_015_087, rel=0.0001)

    @given(PLACES, PLACES)
    def test_is_symmetric_and_zero_at_home(self, a: Point, b: Point) -> None:
        assert haversine_m(a, b) == haversine_m(b, a)
        assert haversine_m(a, a) == 0


class TestProjection:
    @given(PLACES, st.floats(-0.05, 0.05), st.floats(-0.05, 0.05))
    def test_keeps_distances_up_to_its_scale_around_any_place(self, place: Point, north: float, east: float) -> None:
        near = Point(place.lat + north, place.lng + east)
        (x1, y1), (x2, y2) = project(place), project(near)
        true = haversine_m(place, near)
        assert hypot(x2 - x1, y2 - y1) * cos(radians(place.lat)) == pytest.approx(true, rel=0.02, abs=0.01)

    @given(PLACES, st.floats(0, 360), st.floats(1, 50_000))
    def test_the_circle_holds_all_within_the_radius(self, place: Point, bearing: float, distance: float) -> None:
        north = distance * cos(radians(bearing)) / 111_195
        near = Point(place.lat + north, place.lng)
        (x1, y1), (x2, y2) = project(place), project(near)
        assert hypot(x2 - x1, y2 - y1) <= projected_radius(place, distance * 1.001) + 0.01
