"""What people can do: the platform's list of skills, and who has which."""

from collections.abc import Collection
from datetime import datetime

from django.db import transaction
from django.db.models.functions import Lower

from backend.accounts.models import Skill, UserSkill
from backend.accounts.selectors import SkillView, skills_of
from backend.accounts.services.profile import lock_active
from backend.core import audit
from backend.core.actor import Actor
from backend.core.errors import invalid_field
from backend.core.references import make_reference

MOST = 50
"""Of one person."""


def ensure_skills(*, names: Collection[str], now: datetime) -> dict[str, int]:
    """Have skills of these names, which are the same in capitals and small letters; their ids by the given names."""
    small = {name.lower(): name for name in names}
    # One that somebody else adds meanwhile is waited for, and kept.
    Skill.objects.bulk_create([Skill(name=name, created_at=now) for name in small.values()], ignore_conflicts=True)
    rows = Skill.objects.alias(small=Lower("name")).filter(small__in=small).values_list("name", "pk")
    ids = {name.lower(): pk for name, pk in rows}
    return {name: ids[name.lower()] for name in names}


@transaction.atomic
def set_skills(*, actor: Actor, skill_ids: Collection[int], now: datetime) -> list[SkillView]:
    """Say that one has these skills and no others. Raises NotFound, or a 422 for an unknown one or more than fifty."""
    user = lock_active(actor.id)
    wanted = set(skill_ids)
    if len(wanted) > MOST:
        raise invalid_field("body.skills", f"{MOST} skills at most")
    if Skill.objects.filter(pk__in=wanted).count() < len(wanted):
        raise invalid_field("body.skills", "one of these skills is not on the list")
    mine = UserSkill.objects.filter(user=user)
    had = set(mine.values_list("skill_id", flat=True))
    if had != wanted:
        mine.exclude(skill_id__in=wanted).delete()
        UserSkill.objects.bulk_create(
            UserSkill(user=user, skill_id=skill_id, created_at=now) for skill_id in sorted(wanted - had)
        )
        audit.record(
            actor=actor,
            action="accounts.skills_changed",
            reference=make_reference("user", user.pk),
            changes={"added": sorted(wanted - had), "removed": sorted(had - wanted)},
            now=now,
        )
    return skills_of([user.pk]).get(user.pk, [])
