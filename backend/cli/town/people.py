"""Who lives in the demo's town, where, and how they speak of each other's work."""

FIRST_NAMES = (
    "Amina", "Yacine", "Lila", "Sofiane", "Nour", "Rachid", "Meriem", "Walid", "Zohra", "Anis", "Thiziri", "Massinissa",
    "Inès", "Hocine", "Salima", "Tarek", "Dounia", "Kenza", "Ferhat", "Lynda", "Camille", "Étienne", "Zoé", "María",
    "Andrés", "Lucía", "Ольга", "Семён", "Ayşe", "Çağlar", "王芳", "Nguyễn", "Åsa", "Søren", "Małgorzata",
    "سميرة", "يوسف", "هدى", "كريم", "ليلى",
)  # fmt: skip
LAST_NAMES = (
    "Haddad", "Bensalem", "Ait Ahmed", "Boudiaf", "Cherif", "Mansouri", "Zerrouki", "Khelifi", "Benkirane", "Ouali",
    "Hamidi", "Saïdi", "Lefèvre", "García", "Núñez", "Öztürk", "Алёхина", "Nowak", "Lindqvist", "مرابط", "زيتوني",
    "بن علي", "Touati", "Medjdoub", "Rahmani", "Brahimi", "Larbi", "Yahiaoui", "Slimani", "Amrani",
)  # fmt: skip
DISTRICTS = (
    ("Hydra", 36.7446, 3.0420), ("Bab El Oued", 36.7911, 3.0503), ("Kouba", 36.7278, 3.0866),
    ("El Biar", 36.7689, 3.0317), ("Hussein Dey", 36.7407, 3.0955), ("Bir Mourad Raïs", 36.7359, 3.0493),
    ("Ben Aknoun", 36.7616, 3.0105), ("Birkhadem", 36.7153, 3.0502), ("Bordj El Kiffan", 36.7488, 3.1922),
    ("Rouiba", 36.7383, 3.2806), ("Chéraga", 36.7671, 2.9594), ("Dély Ibrahim", 36.7551, 2.9841),
    ("Draria", 36.7194, 2.9919), ("Bab Ezzouar", 36.7236, 3.1840), ("El Harrach", 36.7205, 3.1313),
    ("Belouizdad", 36.7527, 3.0697), ("Sidi M'Hamed", 36.7602, 3.0563), ("Alger-Centre", 36.7731, 3.0586),
    ("Bouzaréah", 36.7897, 3.0178), ("Baraki", 36.6664, 3.0964),
)  # fmt: skip
ABOUT = (
    "Fifteen minutes late is late: we are on time. {district} and around.",
    "Travail soigné, devis gratuit, à {district} et dans les environs.",
    "خدمة سريعة وأسعار معقولة في {district} وما جاورها.",
    "A family business of {district}; ask the neighbours.",
    "Ponctuels, propres et de bonne humeur. Déplacement depuis {district}.",
    "Trabajo limpio y garantizado en {district}.",
    "Всё делаем сами, аккуратно и в срок. {district}.",
)
WORKS = (
    "Before lunch, and after", "Un chantier à {district}", "عمل منجز في {district}", "Our proudest day",
    "Fini en deux jours", "What the client asked for", "Livré à {district}", "Antes y después",
)  # fmt: skip
COMMENTS = {
    5: ("Quick, kind and clean. I will call again.", "Parfait, je recommande !", "ممتاز، شكرا جزيلا",
        "Exactly on time, fair price.", "Très professionnel, merci.", "Отлично, всё в срок!", "Excelente trabajo."),
    4: ("Good work, a little late.", "Bien, un peu cher.", "عمل جيد", "Friendly and careful.", "Muy bien, volveré."),
    3: ("It works now; two visits were needed.", "Correct sans plus.", "مقبول"),
    2: ("Left a mess behind.", "Deux heures de retard."),
    1: ("Did not come the first time.",),
}  # fmt: skip
