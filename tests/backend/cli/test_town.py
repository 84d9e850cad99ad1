"""The demo's town: what is in it, and that all that must hold of real data holds of it."""

from collections import Counter
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from backend.accounts import public as accounts
from backend.catalog.models import Category, FinishedWork, PortfolioItem, Provider, Review, Service
from backend.catalog.selectors import words
from backend.cli.demo_accounts import BARBER, PASSWORD
from backend.cli.town.building import build, draw_works
from backend.cli.town.pictures import SIZES, draw
from backend.cli.town.plan import CITY, plan
from backend.core import clock
from backend.core.proof import prove
from backend.scheduling.models import Booking
from backend.scheduling.services import resources
from tests.support.api import Api


class TestPlan:
    def test_is_the_same_every_time_and_as_large_as_a_town(self) -> None:
        neighbours, shops = plan()
        assert plan() == (neighbours, shops)
        assert (len(neighbours), len(shops), sum(len(shop.offers) for shop in shops)) == (60, 300, 1000)
        assert len({shop.owner.name for shop in shops} | {one.name for one in neighbours}) == 360
        assert sum(len(shop.works) for shop in shops) == 450
        assert min(Counter(shop.category for shop in shops).values()) >= 9


class TestPictures:
    def test_are_small_different_and_always_the_same(self) -> None:
        drawn = [draw(field, seed) for field in range(8) for seed in (1, 2)]
        assert draw(0, 1) == drawn[0]
        assert len({picture[1600] for picture in drawn}) == len(drawn)
        for picture in drawn:
            assert {name: Image.open(BytesIO(content)).size for name, content in picture.items()} == SIZES
            assert all(300 < len(content) < 12_000 for content in picture.values())


@pytest.fixture
def fresh_words() -> Iterator[None]:
    """A process works for a minute with the words that it read: these are no other test's."""
    words.forget_vocabulary()
    yield
    words.forget_vocabulary()


@pytest.mark.django_db
@pytest.mark.usefixtures("fresh_words")
class TestTown:
    def test_is_built_and_keeps_all_promises(self, api: Api, files_folder: Path) -> None:
        now = clock.now()
        works = draw_works(now=now)
        (barber,) = accounts.register_demo_people(
            people=[accounts.DemoPerson(BARBER[0], BARBER[2], BARBER[1], CITY)], password=PASSWORD, now=now
        )
        resources.resources_of(provider_id=barber.id, now=now)
        built = build(works, barber_id=barber.id, password=PASSWORD, time_zone="Africa/Algiers", now=now)
        assert built.startswith("300 shops with 1000 services, ")
        counts = [model.objects.count() for model in (Category, Provider, Service, PortfolioItem)]
        assert counts == [40, 300, 1000, 450]
        assert Booking.objects.count() == FinishedWork.objects.count() > Review.objects.count() > 400
        broken = [finding.invariant.name for finding in prove(now=now, patience_s=30) if not finding.holds]
        assert broken == []
        (folder, *_) = works[0]
        assert Image.open(BytesIO((files_folder / folder / "1600.webp").read_bytes())).size == SIZES[1600]
        found = api.get("/services/", search="haricut", near="36.7538,3.0588", ordering="-rating").body
        assert found["count"] > 5
        best = found["results"][0]
        assert (best["provider"]["average_rating"], best["price"]["currency"]) == ("5.00", "DZD")
        slots = api.get(f"/providers/{best['provider']['id']}/slots/", service=best["id"]).body["slots"]
        assert len(slots) > 10
        shown = api.get(f"/providers/{best['provider']['id']}/").body
        assert (len(shown["portfolio"]) > 0, shown["is_onboarded"], len(shown["reviews"]) > 0) == (True, True, True)
