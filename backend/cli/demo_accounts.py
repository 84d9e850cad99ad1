"""Who is in the demo data: plain values, so that `up` can print them without loading the backend."""

PASSWORD = "demo-callout-2030"
CLIENT = ("client", "nadia@callout.example", "Nadia Belkacem")
MANAGER = ("manager", "manager@callout.example", "Malik Saadi")
ASSISTANTS = (
    ("amel@callout.example", "Amel Hamdi", "towing", "light", "b", (36.7600, 3.0550)),
    ("bachir@callout.example", "Bachir Kaci", "towing", "heavy", "c", (36.7420, 3.0800)),
    ("chafia@callout.example", "Chafia Meziane", "repair", "light", "b", (36.7700, 3.0300)),
    ("djamel@callout.example", "Djamel Ould Ali", "towing", "light", "b", (36.6890, 3.0900)),
    ("elias@callout.example", "Elias Ferhat", "repair", "light", "b", (36.7300, 3.0900)),
    ("farida@callout.example", "Farida Aït Saïd", "towing", "heavy", "c", (36.7900, 3.0500)),
)
SIGN_INS = [
    ("client", CLIENT[1], PASSWORD),
    ("assistant", ASSISTANTS[0][0], PASSWORD),
    ("assistant", ASSISTANTS[1][0], PASSWORD),
    ("manager", MANAGER[1], PASSWORD),
]
"""Role, e-mail address, password: what `up` prints."""
