"""The registry of what modules hold of a person."""

from datetime import UTC, datetime

import pytest

from backend.core import personal_data
from backend.core.personal_data import Obstacle, Part

NOW = datetime(2030, 5, 15, 9, 30, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(personal_data, "_holders", {})


class TestPersonalData:
    def test_asks_every_module_what_stands_in_the_way(self) -> None:
        job, debt = Obstacle("open_assistance", "Finish the job first."), Obstacle("debt", "Pay first.")
        personal_data.holds("dispatch", obstacles=lambda user_id: [job] if user_id == 7 else [])
        personal_data.holds("payments", obstacles=lambda user_id: [debt])
        personal_data.holds("catalog")
        assert personal_data.obstacles_of(7) == [job, debt]
        assert personal_data.obstacles_of(8) == [debt]

    def test_collects_the_parts_of_every_module_in_order(self) -> None:
        personal_data.holds(
            "accounts", export=lambda user_id: [Part(name="accounts/profile.json", rows=[{"id": user_id}])]
        )
        personal_data.holds("media", export=lambda user_id: [Part(name="media/licence.pdf", file="documents/1.pdf")])
        names = [(part.name, part.rows, part.file) for part in personal_data.parts_of(7)]
        assert names == [("accounts/profile.json", [{"id": 7}], None), ("media/licence.pdf", None, "documents/1.pdf")]

    def test_forgets_from_the_top_to_the_bottom(self) -> None:
        forgotten: list[tuple[str, int, datetime]] = []

        def hold(name: str) -> None:
            def erase(*, user_id: int, now: datetime) -> None:
                forgotten.append((name, user_id, now))

            personal_data.holds(name, erase=erase)

        hold("accounts")
        hold("dispatch")
        personal_data.erase(user_id=7, now=NOW)
        assert forgotten == [("dispatch", 7, NOW), ("accounts", 7, NOW)]

    def test_keeps_one_entry_of_a_module(self) -> None:
        personal_data.holds("dispatch", obstacles=lambda user_id: [Obstacle("a", "A.")])
        personal_data.holds("dispatch", obstacles=lambda user_id: [Obstacle("b", "B.")])
        assert personal_data.obstacles_of(7) == [Obstacle("b", "B.")]
        assert personal_data.holders() == {"dispatch"}

    @pytest.mark.parametrize("given", [{}, {"rows": [], "file": "documents/1.pdf"}])
    def test_wants_rows_or_a_file(self, given: dict[str, object]) -> None:
        with pytest.raises(ValueError, match="one of the two"):
            Part(name="media/thing.json", **given)  # type: ignore[arg-type]
