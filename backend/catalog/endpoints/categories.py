"""The tree of categories."""

from typing import Any

from django.http import HttpRequest
from ninja import Query
from ninja.decorators import decorate_view
from ninja.responses import Status

from backend.catalog.endpoints.router import router
from backend.catalog.errors import CategoryExists, CategoryInUse, TooManyCategories
from backend.catalog.models import Category
from backend.catalog.schemas.listings import CategoriesIn, CategoryChangeIn, CategoryIn, CategoryOut
from backend.catalog.selectors import tree
from backend.catalog.services import categories
from backend.core import auth, clock
from backend.core.idempotency import idempotent
from backend.core.openapi import problems
from backend.core.pagination import paginate
from backend.core.schemas import Id, Page


@router.get("/categories/", response=Page[CategoryOut], auth=None, operation_id="listCategories")
def list_categories(request: HttpRequest, filters: Query[CategoriesIn]) -> dict[str, Any]:
    """The categories of what is offered, by name; `parent_id` and `depth` make the tree."""
    return paginate(request, tree.list_categories(parent_id=filters.parent_id), filters)


@router.post(
    "/categories/",
    response={201: CategoryOut},
    auth=auth.manager,
    operation_id="addCategory",
    openapi_extra=problems(CategoryExists, TooManyCategories),
)
@decorate_view(idempotent)
def add_category(request: HttpRequest, payload: CategoryIn) -> Status[Category]:
    """Put a category into the tree, four levels deep at most."""
    added = categories.add_category(actor=auth.actor(request), values=payload.model_dump(), now=clock.now())
    return Status(201, added)


@router.patch(
    "/categories/{category_id}/",
    response=CategoryOut,
    auth=auth.manager,
    operation_id="updateCategory",
    openapi_extra=problems(CategoryExists),
)
def update_category(request: HttpRequest, category_id: Id, payload: CategoryChangeIn) -> Category:
    """Rename or move a category. What stands below it moves along; searches know the new names within seconds."""
    return categories.change_category(
        actor=auth.actor(request),
        category_id=category_id,
        changes=payload.given(),
        now=clock.now(),
    )


@router.delete(
    "/categories/{category_id}/",
    response={204: None},
    auth=auth.manager,
    operation_id="deleteCategory",
    openapi_extra=problems(CategoryInUse),
)
def delete_category(request: HttpRequest, category_id: Id) -> Status[None]:
    """Delete an empty category: one with categories below it, services or providers is refused."""
    categories.delete_category(actor=auth.actor(request), category_id=category_id, now=clock.now())
    return Status(204, None)
