"""The tree of categories. It is small (`MOST_CATEGORIES`), so that whoever asks of paths reads it whole."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from django.db.models import QuerySet

from backend.catalog.models import Category
from backend.core.errors import NotFound
from backend.core.hot import HotQuery


@dataclass(frozen=True, slots=True)
class Node:
    """A category and the one above it."""

    id: int
    name: str
    parent_id: int | None


_ALL = HotQuery(lambda: Category.objects.order_by("pk").values_list("pk", "name", "parent_id"))


class Tree:
    """All categories, as they were read with one query."""

    def __init__(self) -> None:
        self._nodes = {pk: Node(pk, name, parent) for pk, name, parent in _ALL.rows()}
        self._children: dict[int | None, list[int]] = {}
        for node in self._nodes.values():
            self._children.setdefault(node.parent_id, []).append(node.id)

    def __contains__(self, category_id: object) -> bool:
        return category_id in self._nodes

    def name(self, category_id: int) -> str:
        return self._nodes[category_id].name

    def path(self, category_id: int) -> list[int]:
        """The category and those above it, the root last."""
        found, at = [], self._nodes.get(category_id)
        while at is not None:
            found.append(at.id)
            at = self._nodes[at.parent_id] if at.parent_id else None
        return found

    def words(self, category_ids: Collection[int]) -> str:
        """The names of these categories and of those above them, each once."""
        names = {above: self.name(above) for category in sorted(category_ids) for above in self.path(category)}
        return " ".join(dict.fromkeys(names.values()))

    def with_descendants(self, category_ids: Collection[int]) -> list[int]:
        """These categories and all below them; those that are not there have none."""
        return sorted({below for category in category_ids for below in self._below(category)})

    def _below(self, category_id: int) -> Iterator[int]:
        if category_id in self._nodes:
            yield category_id
            for child in self._children.get(category_id, ()):
                yield from self._below(child)


def list_categories(*, parent_id: int | None) -> QuerySet[Category]:
    """All categories, or those right below one, by name."""
    categories = Category.objects.order_by("name", "pk")
    return categories if parent_id is None else categories.filter(parent_id=parent_id)


def is_category(category_id: int) -> bool:
    """Whether there is such a category. One query."""
    return Category.objects.filter(pk=category_id).exists()


def get_category(category_id: int) -> Category:
    """Raises NotFound. One query."""
    category = Category.objects.filter(pk=category_id).first()
    if category is None:
        raise NotFound
    return category
