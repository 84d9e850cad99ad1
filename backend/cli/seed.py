"""Demo data: a tariff, a client, six assistants around Algiers, a barbershop, a manager, what some said, and a town."""

import argparse
from collections.abc import Sequence
from datetime import date, datetime

from django.core.files.base import ContentFile
from django.db import transaction

from backend.accounts import public as accounts
from backend.cli.demo_accounts import ASSISTANTS, BARBER, CLIENT, MANAGER, PASSWORD, SAMPLE_PDF, SKILLS
from backend.cli.errors import UserError
from backend.cli.town.building import build, draw_works
from backend.cli.town.plan import CITY
from backend.core import clock
from backend.core.actor import Actor
from backend.core.environment import environment
from backend.dispatch import public as dispatch
from backend.media import public as media
from backend.messaging import public as messaging
from backend.scheduling import public as scheduling

LICENCES_EXPIRE_ON = date(2039, 12, 31)


def run_seed(args: argparse.Namespace) -> int:
    """Write the demo data once. Production has no demo accounts."""
    if environment().environment == "production":
        raise UserError("Demo accounts have a password that everybody knows: they are not made in production.")
    if accounts.is_email_known(CLIENT[1]):
        print("The demo data are there already.")
        return 0
    if args.if_empty and accounts.has_people():
        return 0
    licences = [media.keep_pdf(ContentFile(SAMPLE_PDF), now=clock.now()) for _ in ASSISTANTS]
    works = draw_works(now=clock.now())
    with transaction.atomic():
        barber_id = seed(licences)
        town = build(works, barber_id=barber_id, password=PASSWORD, time_zone=BARBER[3], now=clock.now())
    people = len(ASSISTANTS) + 3
    print(f"Demo data written: {people} people, a tariff, a barbershop, three conversations; {town}.")
    return 0


def seed(licences: Sequence[media.Kept]) -> int:
    """The rows themselves; of these files each assistant shows one as a driving licence, approved by the manager.

    Returns the barber's id.
    """
    now = clock.now()
    dispatch.ensure_demo_tariffs(now=now)
    client = accounts.register_user(roles=[CLIENT[0]], name=CLIENT[2], email=CLIENT[1], password=PASSWORD, now=now)
    barber = accounts.DemoPerson(role=BARBER[0], name=BARBER[2], email=BARBER[1], city=CITY)
    (shop,) = accounts.register_demo_people(people=[barber], password=PASSWORD, now=now)
    scheduling.open_demo_shop(provider_id=shop.id, client_id=client.id, time_zone=BARBER[3], now=now)
    skills = accounts.ensure_skills(names=[name for names in SKILLS.values() for name in names], now=now)
    manager = accounts.create_manager(email=MANAGER[1], name=MANAGER[2], password=PASSWORD, now=now)
    assistants = []
    for licence, (email, name, service_type, vehicle_class, category, (lat, lng)) in zip(
        licences, ASSISTANTS, strict=True
    ):
        person = accounts.register_user(
            roles=["assistant"],
            name=name,
            email=email,
            password=PASSWORD,
            assistant=accounts.AssistantFields(
                service_type=service_type,
                vehicle_type="Tow truck" if service_type == "towing" else "Workshop van",
                vehicle_class=vehicle_class,
                driving_license=accounts.DrivingLicense(
                    category=category,
                    number=f"DEMO-{email.partition('@')[0].upper()}",
                    expires_on=LICENCES_EXPIRE_ON,
                ),
                vehicle_registration_number="00042-116-16",
            ),
            now=now,
        )
        accounts.set_skills(
            actor=Actor(id=person.id, roles=frozenset(), session_id=0),
            skill_ids=[skills[name] for name in SKILLS[email]],
            now=now,
        )
        media.approve_licence(
            user_id=person.id, reviewer_id=manager.id, kept=licence, expires_on=LICENCES_EXPIRE_ON, now=now
        )
        dispatch.put_on_duty(user_id=person.id, lat=lat, lng=lng, now=now)
        assistants.append(person)
    _let_them_talk(client.id, [person.id for person in assistants], now=now)
    return shop.id


def _let_them_talk(client_id: int, assistant_ids: Sequence[int], *, now: datetime) -> None:
    """Two conversations of two and a group; nobody has read anything yet."""
    for title, people, said in (
        (
            "",
            [client_id, assistant_ids[0]],
            [(0, "Thank you for yesterday!"), (1, "Any time. Mind the left front tyre.")],
        ),
        (
            "Winter tyres",
            [client_id, assistant_ids[2]],
            [(0, "Do you also change tyres?"), (1, "I do, at your place.")],
        ),
        (
            "Night shift",
            assistant_ids[:3],
            [(0, "Who is on duty tonight?"), (1, "Me, until two."), (2, "I take over from two.")],
        ),
    ):
        actors = [Actor(id=user_id, roles=frozenset(), session_id=0) for user_id in people]
        talk = messaging.open_conversation(actor=actors[0], subject=None, title=title, user_ids=people, now=now)
        for who, content in said:
            messaging.send_message(actor=actors[who], conversation_id=talk.id, content=content, now=now)
