"""Who is in the demo data: plain values, so that `up` can print them without loading the backend."""

PASSWORD = "demo-callout-2030"
CLIENT = ("client", "nadia@callout.example", "Nadia Belkacem")
BARBER = ("contractor", "karim@callout.example", "Karim Benali", "Africa/Algiers", "Karim's Barbershop")
MANAGER = ("manager", "manager@callout.example", "Malik Saadi")
ASSISTANTS = (
    ("amel@callout.example", "Amel Hamdi", "towing", "light", "b", (36.7600, 3.0550)),
    ("bachir@callout.example", "Bachir Kaci", "towing", "heavy", "c", (36.7420, 3.0800)),
    ("chafia@callout.example", "Chafia Meziane", "repair", "light", "b", (36.7700, 3.0300)),
    ("djamel@callout.example", "Djamel Ould Ali", "towing", "light", "b", (36.6890, 3.0900)),
    ("elias@callout.example", "Elias Ferhat", "repair", "light", "b", (36.7300, 3.0900)),
    ("farida@callout.example", "Farida Aït Saïd", "towing", "heavy", "c", (36.7900, 3.0500)),
)
SKILLS = {
    "amel@callout.example": ("Towing", "Battery jump start", "Lockout"),
    "bachir@callout.example": ("Towing", "Heavy recovery"),
    "chafia@callout.example": ("Engine diagnosis", "Battery jump start", "Tyre change"),
    "djamel@callout.example": ("Towing", "Tyre change"),
    "elias@callout.example": ("Engine diagnosis", "Car electrics"),
    "farida@callout.example": ("Towing", "Heavy recovery", "Off-road recovery"),
}
SAMPLE_PDF = (
    b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
    b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 243 153]>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
)
"""A blank card, for a driving licence."""
SIGN_INS = [
    ("client", CLIENT[1], PASSWORD),
    ("barber", BARBER[1], PASSWORD),
    ("assistant", ASSISTANTS[0][0], PASSWORD),
    ("assistant", ASSISTANTS[1][0], PASSWORD),
    ("manager", MANAGER[1], PASSWORD),
]
"""Role, e-mail address, password: what `up` prints."""
