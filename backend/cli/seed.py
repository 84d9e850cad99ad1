"""Demo data: a tariff, a client, six assistants around Algiers, and a manager."""

import argparse
from datetime import date

from django.db import transaction

from backend.accounts import public as accounts
from backend.cli.demo_accounts import ASSISTANTS, CLIENT, MANAGER, PASSWORD
from backend.cli.errors import UserError
from backend.core import clock
from backend.core.environment import environment
from backend.dispatch import public as dispatch


def run_seed(args: argparse.Namespace) -> int:
    """Write the demo data once. Production has no demo accounts."""
    if environment().environment == "production":
        raise UserError("Demo accounts have a password that everybody knows: they are not made in production.")
    if accounts.is_email_known(CLIENT[1]):
        print("The demo data are there already.")
        return 0
    if args.if_empty and accounts.has_people():
        return 0
    with transaction.atomic():
        seed()
    print(f"Demo data written: {len(ASSISTANTS) + 2} people, a tariff.")
    return 0


def seed() -> None:
    """The rows themselves."""
    now = clock.now()
    dispatch.ensure_demo_tariffs(now=now)
    accounts.register_user(roles=[CLIENT[0]], name=CLIENT[2], email=CLIENT[1], password=PASSWORD, now=now)
    accounts.create_manager(email=MANAGER[1], name=MANAGER[2], password=PASSWORD, now=now)
    for email, name, service_type, vehicle_class, category, (lat, lng) in ASSISTANTS:
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
                    expires_on=date(2039, 12, 31),
                ),
                vehicle_registration_number="00042-116-16",
            ),
            now=now,
        )
        dispatch.put_on_duty(user_id=person.id, lat=lat, lng=lng, now=now)
