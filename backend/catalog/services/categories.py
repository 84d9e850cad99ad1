"""The tree of categories, kept by managers."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction

from backend.catalog.errors import CategoryExists, CategoryInUse, TooManyCategories
from backend.catalog.models import MAX_DEPTH, Category, Provider, ProviderCategory, Service
from backend.catalog.selectors.tree import Tree
from backend.core import audit
from backend.core.actor import Actor
from backend.core.errors import NotFound, invalid_field
from backend.core.hot import run
from backend.core.jobs import enqueue
from backend.core.references import make_reference

MOST_CATEGORIES = 1000
BATCH = 500
RENEW = "catalog.renew_words"


@transaction.atomic
def add_category(*, actor: Actor, values: Mapping[str, Any], now: datetime) -> Category:
    """Put a category into the tree. Raises CategoryExists, TooManyCategories, or a 422 for a parent that cannot be."""
    if Category.objects.count() >= MOST_CATEGORIES:
        raise TooManyCategories
    with _judged():
        category = Category.objects.create(**values, **_depth(values["parent_id"]), created_at=now, updated_at=now)
    _note(actor, "catalog.category_added", category, sorted(values), now)
    return category


@transaction.atomic
def change_category(
    *,
    actor: Actor,
    category_id: int,
    changes: Mapping[str, Any],
    now: datetime,
) -> Category:
    """Rename or move a category; what stands below it moves along, and is found by the new names soon after.

    Raises NotFound, CategoryExists, or a 422 for a parent that cannot be.
    """
    category = _lock(category_id)
    different = {name: value for name, value in changes.items() if getattr(category, name) != value}
    if not different:
        return category
    if "parent_id" in different:
        different |= _depth(different["parent_id"])
    with _judged():
        Category.objects.filter(pk=category_id).update(**different, version=category.version + 1, updated_at=now)
    _note(actor, "catalog.category_changed", category, sorted(changes), now)
    if not changes.keys().isdisjoint({"name", "parent_id"}):
        enqueue(RENEW, now=now, category_id=category_id)
    return Category.objects.get(pk=category_id)


@transaction.atomic
def delete_category(*, actor: Actor, category_id: int, now: datetime) -> None:
    """Take an empty category out of the tree. Raises NotFound, or CategoryInUse: it has categories below it, services
    (archived ones too) or providers.
    """
    category = Category.objects.select_for_update().filter(pk=category_id).first()
    if category is None:
        raise NotFound
    used = (
        Category.objects.filter(parent_id=category_id),
        Service.objects.filter(category_id=category_id),
        ProviderCategory.objects.filter(category_id=category_id),
    )
    if any(rows.exists() for rows in used):
        raise CategoryInUse
    _note(actor, "catalog.category_deleted", category, [], now)
    category.delete()


def hold_path(category_ids: Collection[int]) -> str:
    """The words of these categories, kept as they are until the end of the transaction.

    Whoever renames one waits, and renews the words of what was written meanwhile. Raises LookupError with the id that
    is not there.
    """
    tree = Tree()
    for category_id in category_ids:
        if category_id not in tree:
            raise LookupError(category_id)
    path = sorted({above for category_id in category_ids for above in tree.path(category_id)})
    run("SELECT 1 FROM catalog_category WHERE id = ANY(%s::bigint[]) ORDER BY id FOR SHARE", [path])
    after = Tree()  # whatever a rename that was waited for made of it
    for category_id in category_ids:
        if category_id not in after:
            raise LookupError(category_id)
    return after.words(category_ids)


def renew_words(*, category_id: int, now: datetime) -> None:
    """Let all that is in a category, and below it, be found by the names of now; a batch, and the rest by a job."""
    tree = Tree()
    below = tree.with_descendants([category_id])
    more = False
    for leaf in below:
        words = tree.words([leaf])
        stale = Service.objects.filter(category_id=leaf).exclude(category_words=words).order_by("pk")
        batch = list(stale.values_list("pk", flat=True)[:BATCH])
        more |= len(batch) == BATCH
        Service.objects.filter(pk__in=batch).update(category_words=words)
    more |= _renew_providers(tree, below)
    if more:
        enqueue(RENEW, now=now, category_id=category_id)


def _renew_providers(tree: Tree, category_ids: Collection[int]) -> bool:
    """The same for the providers; true when there may be more."""
    theirs: dict[int, set[int]] = {}
    concerned = ProviderCategory.objects.filter(category_id__in=category_ids).values("provider_id")
    for provider_id, category_id in ProviderCategory.objects.filter(provider_id__in=concerned).values_list(
        "provider_id", "category_id"
    ):
        theirs.setdefault(provider_id, set()).add(category_id)
    wanted = {provider_id: tree.words(categories) for provider_id, categories in theirs.items()}
    present = dict(Provider.objects.filter(pk__in=wanted).values_list("pk", "category_words"))
    stale = sorted(pk for pk, words in wanted.items() if present[pk] != words)
    for provider_id in stale[:BATCH]:
        Provider.objects.filter(pk=provider_id).update(category_words=wanted[provider_id])
    return len(stale) > BATCH


def _depth(parent_id: int | None) -> dict[str, int | None]:
    """What the foreign key of depths takes, the parent held. Raises a 422."""
    if parent_id is None:
        return {"parent_depth": None}
    parent = Category.objects.select_for_update(no_key=True).filter(pk=parent_id).first()
    if parent is None:
        raise invalid_field("body.parent_id", "there is no such category")
    return {"parent_depth": parent.depth}


@contextmanager
def _judged() -> Iterator[None]:
    """The database decides; its refusals in the words of the domain."""
    try:
        with transaction.atomic():
            yield
    except IntegrityError as error:
        refusal = str(error)
        if "category_name_once" in refusal:
            raise CategoryExists from None
        if "category_depth_bounded" in refusal or "category_parent" in refusal:
            raise invalid_field("body.parent_id", f"at most {MAX_DEPTH} levels, and never below itself") from None
        raise


def _lock(category_id: int) -> Category:
    category = Category.objects.select_for_update(no_key=True).filter(pk=category_id).first()
    if category is None:
        raise NotFound
    return category


def _note(actor: Actor, action: str, category: Category, fields: Collection[str], now: datetime) -> None:
    reference = make_reference("category", category.pk)
    audit.record(actor=actor, action=action, reference=reference, changes={"fields": list(fields)}, now=now)
