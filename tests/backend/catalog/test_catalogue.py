"""Categories, services, providers and portfolios over the API."""

from collections.abc import Callable
from datetime import timedelta
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from pytest_django import DjangoAssertNumQueries

from backend.accounts import public as accounts
from backend.accounts.services.roles import deactivate_user
from backend.catalog import jobs, public
from backend.catalog.models import Category, PortfolioItem, Provider, Service
from backend.core.models import AuditRow
from backend.media.models import StoredFile
from tests.conftest import Moment
from tests.support.api import Api
from tests.support.jobs import run_jobs
from tests.support.people import Member

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("at")]

DZD = {"amount": "1500.00", "currency": "DZD"}
Make = Callable[..., Member]


@pytest.fixture
def manager(at: Moment, api: Api, member: Make) -> Api:
    return api.as_(member("manager"))


@pytest.fixture
def provider(at: Moment, member: Make) -> Member:
    return member("contractor", name="Amel Haddad", city="Algiers")


def category(manager: Api, name: str, parent: int | None = None) -> int:
    answer = manager.post("/categories/", {"name": name, "parent_id": parent})
    assert answer.status == 201, answer.body
    return int(answer.body["id"])


def titles(api: Api, **query: object) -> list[str]:
    return [service["title"] for service in api.get("/services/", **query).body["results"]]


class TestCategories:
    def test_make_a_tree_whose_depths_follow(self, manager: Api) -> None:
        home = category(manager, "Home")
        water = category(manager, "Water", home)
        taps = category(manager, "Taps", water)
        assert dict(Category.objects.values_list("pk", "depth")) == {home: 1, water: 2, taps: 3}
        assert manager.patch(f"/categories/{water}/", {"parent_id": None}).body["depth"] == 1
        assert dict(Category.objects.values_list("pk", "depth")) == {home: 1, water: 1, taps: 2}

    def test_refuse_cycles_and_a_fifth_level(self, manager: Api) -> None:
        """Without the foreign key of depths in the database, a category was put below itself."""
        ids = [category(manager, "1")]
        for name in "234":
            ids.append(category(manager, name, ids[-1]))
        for category_id, parent in ((ids[0], ids[3]), (ids[0], ids[0]), (ids[1], ids[2])):
            refused = manager.patch(f"/categories/{category_id}/", {"parent_id": parent})
            assert (refused.status, refused.fields) == (422, {"body.parent_id": "validation_failed"})
        assert manager.post("/categories/", {"name": "5", "parent_id": ids[3]}).status == 422
        assert list(Category.objects.order_by("pk").values_list("parent_id", flat=True)) == [None, *ids[:3]]

    def test_have_a_name_once_in_a_place(self, manager: Api) -> None:
        home = category(manager, "Home")
        category(manager, "Home", home)
        for parent in (None, home):
            answer = manager.post("/categories/", {"name": "Home", "parent_id": parent})
            assert (answer.status, answer.code) == (409, "category_exists")
        assert Category.objects.count() == 2

    def test_are_deleted_when_nothing_is_in_them(self, manager: Api, api: Api, provider: Member) -> None:
        home = category(manager, "Home")
        water = category(manager, "Water", home)
        service = api.as_(provider).post("/services/", {"title": "Tap", "price": DZD, "category": water}).body["id"]
        api.as_(provider).delete(f"/services/{service}/")
        for used in (home, water):
            answer = manager.delete(f"/categories/{used}/")
            assert (answer.status, answer.code) == (409, "category_in_use")
        assert manager.delete(f"/categories/{category(manager, 'Empty')}/").status == 204
        assert Category.objects.count() == 2

    def test_are_searched_by_their_new_names_once_the_job_ran(self, manager: Api, api: Api, provider: Member) -> None:
        home = category(manager, "Home")
        water = category(manager, "Water", home)
        api.as_(provider).post("/services/", {"title": "Tap", "price": DZD, "category": water})
        api.as_(provider).patch("/me/provider/", {"business_name": "Taps", "categories": [water]})
        assert titles(api, search="home") == titles(api, search="water") == ["Tap"]
        manager.patch(f"/categories/{home}/", {"name": "Maison"})
        for _ in range(2):
            run_jobs("catalog.renew_words")
            assert (titles(api, search="maison"), titles(api, search="home")) == (["Tap"], [])
            assert Provider.objects.get().category_words == Service.objects.get().category_words == "Water Maison"


class TestServices:
    def test_are_offered_read_changed_and_archived(self, api: Api, provider: Member, at: Moment) -> None:
        mine = api.as_(provider)
        made = mine.post("/services/", {"title": "Tap", "price": DZD})
        assert made.status == 201
        path = f"/services/{made.body['id']}/"
        shown = api.get(path)
        assert shown.headers["ETag"] == '"1"'
        assert (
            shown.body
            == made.body
            == {
                "id": made.body["id"],
                "title": "Tap",
                "description": "",
                "price": {"amount": "1500.00", "currency": "DZD"},
                "duration_minutes": 60,
                "category": None,
                "provider": {"id": provider.id, "name": "Amel Haddad", "average_rating": None, "total_reviews": 0},
                "distance_km": None,
                "created_at": "2030-05-15T09:30:00Z",
                "updated_at": "2030-05-15T09:30:00Z",
            }
        )
        assert mine.with_headers(If_Match='"1"').patch(path, {"duration_minutes": 90}).headers["ETag"] == '"2"'
        assert mine.with_headers(If_Match='"1"').patch(path, {"title": "X"}).status == 412
        replaced = mine.put(path, {"title": "Drain", "price": {"amount": "7", "currency": "JPY"}})
        assert (replaced.body["duration_minutes"], replaced.body["price"]["amount"]) == (60, "7")
        assert mine.delete(path).status == 204
        assert api.get(path).status == mine.delete(path).status == 404
        assert titles(api) == []
        view = public.bookable_service(made.body["id"])
        assert view == public.ServiceView(made.body["id"], provider.id, "Drain", 7, "JPY", 60, None, is_archived=True)

    def test_are_changed_by_their_provider_and_managers_alone(
        self, api: Api, provider: Member, manager: Api, member: Make
    ) -> None:
        path = f"/services/{api.as_(provider).post('/services/', {'title': 'Tap', 'price': DZD}).body['id']}/"
        other = api.as_(member("contractor"))
        assert [other.patch(path, {"title": "X"}).status, other.delete(path).status] == [403, 403]
        assert Service.objects.get().title == "Tap"
        assert manager.patch(path, {"title": "Tap mended"}).status == 200
        assert AuditRow.objects.filter(action="catalog.service_changed").count() == 1

    def test_refuse_what_cannot_be(self, api: Api, provider: Member) -> None:
        for wrong in (
            {"price": {"amount": "1.005", "currency": "DZD"}},
            {"category": 10**9},
            {"duration_minutes": 0},
            {"duration_minutes": 24 * 60 + 1},  # seen red: offered, and never to be booked
            {"title": " "},
            {"price": {"amount": "-1", "currency": "DZD"}},
        ):
            answer = api.as_(provider).post("/services/", {"title": "Tap", "price": DZD, **wrong})
            assert answer.status == 422, wrong
        assert not Service.objects.exists()

    def test_of_those_who_are_gone_are_not_shown(self, api: Api, provider: Member, member: Make, at: Moment) -> None:
        """Without the listener, services of a deactivated provider stayed in every list."""
        api.as_(provider).patch("/me/provider/", {"business_name": "Taps"})
        path = f"/services/{api.as_(provider).post('/services/', {'title': 'Tap', 'price': DZD}).body['id']}/"
        deactivate_user(actor=member("manager").actor, user_id=provider.id, now=at.now)
        assert titles(api) == api.get("/providers/").body["results"] == []
        assert api.get(path).status == api.get(f"/providers/{provider.id}/").status == 404


class TestProviders:
    def test_write_their_profile_and_are_complete_then(self, api: Api, provider: Member, manager: Api) -> None:
        mine = api.as_(provider)
        empty = mine.get("/me/provider/")
        assert (empty.status, empty.body["is_onboarded"], empty.headers["ETag"]) == (200, False, '"1"')
        assert not Provider.objects.exists()
        water = category(manager, "Water")
        profile = {
            "business_name": "Haddad & Sons",
            "business_description": "Plumbers since 1987",
            "years_of_experience": 12,
            "service_radius_km": 25,
            "hourly_rate": DZD,
            "categories": [water],
            "location": {"lat": 36.75, "lng": 3.05},
        }
        written = mine.with_headers(If_Match='"1"').put("/me/provider/", profile)
        assert (written.status, written.headers["ETag"]) == (200, '"2"')
        assert {name: written.body[name] for name in profile} == {
            **profile,
            "categories": [{"id": water, "name": "Water"}],
        }
        assert written.body["is_onboarded"] is True
        assert mine.patch("/me/provider/", {"location": None}).body["is_onboarded"] is False
        assert mine.with_headers(If_Match='"1"').patch("/me/provider/", {}).status == 412
        assert mine.patch("/me/provider/", {"categories": [10**9]}).fields == {"body.categories": "validation_failed"}
        assert mine.put("/me/provider/", {}).body["business_name"] == ""

    def test_show_how_they_are_reached_only_where_they_want(self, api: Api, provider: Member) -> None:
        """Seen red without the condition on `contact_public`."""
        path = f"/providers/{provider.id}/"
        assert (api.get(path).body["email"], api.get(path).body["phone_number"]) == (None, None)
        api.as_(provider).patch("/me/provider/", {"contact_public": True})
        assert api.get(path).body["email"] == provider.user.email

    def test_are_shown_whole_with_a_fixed_number_of_queries(
        self, api: Api, provider: Member, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        api.as_(provider).patch("/me/provider/", {"business_name": "Taps"})
        # One more where somebody has reviewed them: their names.
        with django_assert_num_queries(7):
            shown = api.get(f"/providers/{provider.id}/").body
        assert (shown["business_name"], shown["city"], shown["portfolio"], shown["reviews"]) == (
            "Taps",
            "Algiers",
            [],
            [],
        )

    def test_are_named_as_their_accounts(self, api: Api, provider: Member) -> None:
        mine = api.as_(provider)
        mine.patch("/me/provider/", {"years_of_experience": 3})
        mine.patch("/me/", {"name": "Amel Cherif", "city": "Oran"})
        row = Provider.objects.get()
        assert (row.name, row.city) == ("Amel Cherif", "Oran")
        assert public.provider_names([provider.id, 10**9]) == {provider.id: "Amel Cherif"}
        mine.patch("/me/provider/", {"business_name": "Taps"})
        assert public.provider_names([provider.id]) == {provider.id: "Taps"}

    def test_of_other_roles_are_no_providers(self, api: Api, member: Make) -> None:
        client = member("client")
        assert api.get(f"/providers/{client.id}/").status == 404
        assert api.get(f"/providers/{client.id}/reviews/").status == 404
        assert accounts.provider_of(client.id) is None


class TestPortfolio:
    def test_shows_a_whole_picture_in_two_sizes(
        self, api: Api, provider: Member, files_folder: Path, at: Moment
    ) -> None:
        raw = BytesIO()
        Image.new("RGB", (2000, 1000), "teal").save(raw, "PNG")
        mine = api.as_(provider)
        made = mine.upload(
            "POST", "/me/portfolio/", raw.getvalue(), part="image", title="A roof", completed_on="2030-05-01"
        )
        assert (made.status, made.body["completed_on"]) == (201, "2030-05-01")
        item = PortfolioItem.objects.get()
        sizes = [
            Image.open(BytesIO((files_folder / item.picture / f"{size}.webp").read_bytes())).size
            for size in (400, 1600)
        ]
        assert sizes == [(400, 200), (1600, 800)]
        assert mine.get("/me/portfolio/").body["results"] == [made.body]
        assert api.get(f"/providers/{provider.id}/").body["portfolio"] == [made.body]
        assert mine.patch(f"/me/portfolio/{item.pk}/", {"title": "Roof"}).body["title"] == "Roof"
        assert mine.delete(f"/me/portfolio/{item.pk}/").status == 204
        assert set(StoredFile.objects.values_list("purge_at", flat=True)) == {at.now}

    def test_refuses_work_of_the_day_after_tomorrow(self, api: Api, provider: Member, at: Moment) -> None:
        raw = BytesIO()
        Image.new("RGB", (9, 9)).save(raw, "PNG")
        ahead = (at.now + timedelta(days=2)).date().isoformat()
        made = api.as_(provider).upload(
            "POST", "/me/portfolio/", raw.getvalue(), part="image", title="A roof", completed_on=ahead
        )
        assert made.status == 422
        assert not PortfolioItem.objects.exists()


class TestReviews:
    def test_of_a_job_and_of_none_are_listed_with_their_authors(
        self, api: Api, provider: Member, member: Make, at: Moment, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        author, path = member("client", name="Nadia Belkacem"), f"/providers/{provider.id}/reviews/"
        public.record_finished_work(
            provider_id=provider.id, client_id=author.id, reference="booking:7", both_sides_review=True, now=at.now
        )
        client = api.as_(author)
        first = client.post(path, {"rating": 2, "comment": "Late"})
        assert (first.status, first.body["is_verified"], first.body["author"]["name"]) == (201, False, "Nadia Belkacem")
        hidden = client.post(path, {"rating": 5, "job": "booking:7"})
        assert (hidden.body["is_visible"], hidden.body["job"]) == (False, "booking:7")
        with django_assert_num_queries(4):
            listed = api.get(path).body
        assert [review["id"] for review in listed["results"]] == [first.body["id"]]
        assert client.post(path, {"rating": 5, "job": "booking:7"}).code == "already_rated"
        assert client.post(path, {"rating": 5, "job": "booking:8"}).code == "no_finished_work"
        assert client.post(path, {"rating": 5, "job": "nonsense"}).code == "unknown_reference"
        at.forward(days=14)
        for _ in range(2):
            jobs.reveal_reviews(now=at.now)
        assert [review["rating"] for review in api.get(path).body["results"]] == [5, 2]
        assert public.standings_of([provider.id])[provider.id].total_reviews == 2

    def test_are_replied_to_once_by_who_was_reviewed(self, api: Api, provider: Member, member: Make) -> None:
        author = api.as_(member("client"))
        review = author.post(f"/providers/{provider.id}/reviews/", {"rating": 2}).body["id"]
        assert author.post(f"/reviews/{review}/reply/", {"reply": "No"}).status == 403
        answers = [api.as_(provider).post(f"/reviews/{review}/reply/", {"reply": text}) for text in ("Sorry", "Bah")]
        assert [answer.status for answer in answers] == [201, 409]
        assert api.get(f"/providers/{provider.id}/reviews/").body["results"][0]["reply"] == "Sorry"

    def test_are_reported_once_and_removed_by_managers(
        self, api: Api, provider: Member, member: Make, manager: Api
    ) -> None:
        author = api.as_(member("client"))
        review = author.post(f"/providers/{provider.id}/reviews/", {"rating": 2}).body["id"]
        told = [api.as_(provider).post(f"/reviews/{review}/report/", {"reason": "Untrue"}).status for _ in range(2)]
        assert told == [204, 409]
        assert [manager.delete(f"/reviews/{review}/").status for _ in range(2)] == [204, 404]
        assert api.get(f"/providers/{provider.id}/reviews/").body["count"] == 0
        assert public.standings_of([provider.id])[provider.id] == public.Standing()
        assert author.post(f"/providers/{provider.id}/reviews/", {"rating": 1}).code == "already_rated"
        actions = AuditRow.objects.filter(reference=f"review:{review}").order_by("pk").values_list("action", flat=True)
        assert list(actions) == ["catalog.review_reported", "catalog.review_removed"]
