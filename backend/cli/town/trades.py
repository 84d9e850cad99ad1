"""What is offered in the demo's town: eight fields of four trades each, every trade with five services.

A service: title, price in DZD, minutes. A trade's signs are what its shops are called by, in French, English and
Arabic.
"""

from dataclasses import dataclass

Offer = tuple[str, int, int]


@dataclass(frozen=True, slots=True)
class Trade:
    """One line of work, as a category."""

    name: str
    signs: tuple[str, str, str]
    offers: tuple[Offer, ...]


@dataclass(frozen=True, slots=True)
class Field:
    """A category with its trades below it."""

    name: str
    about: str
    trades: tuple[Trade, ...]


FIELDS = (
    Field("Home repairs", "Whatever drips, sticks or will not close.", (
        Trade("Plumbing", ("Plomberie", "Plumbing", "سباكة"), (
            ("Réparation d'une fuite d'eau", 2500, 60), ("Leaking tap repaired", 1800, 45),
            ("Débouchage de canalisation", 3500, 90), ("تركيب سخان الماء", 6000, 150),
            ("New bathroom, planned and fitted", 180000, 480))),
        Trade("Electricity", ("Électricité", "Electrics", "كهرباء"), (
            ("Dépannage électrique à domicile", 3000, 60), ("Light fittings installed", 1500, 45),
            ("Mise aux normes du tableau", 12000, 240), ("إصلاح الأعطال الكهربائية", 2800, 60),
            ("Wall box for an electric car", 45000, 300))),
        Trade("Locksmiths", ("Serrurerie", "Locks", "أقفال"), (
            ("Ouverture de porte claquée", 3500, 30), ("Lock changed the same day", 5500, 60),
            ("Blindage d'une porte", 38000, 240), ("فتح الأبواب", 3200, 30), ("Spare keys cut", 600, 15))),
        Trade("Painting", ("Peinture", "Painting", "دهان"), (
            ("Peinture d'une chambre", 15000, 480), ("Two coats for a living room", 24000, 480),
            ("Enduit et ponçage", 9000, 300), ("دهان الجدران", 14000, 420), ("Graffiti removed", 4000, 120))))),
    Field("Cleaning", "Clean rooms, clean windows, clean clothes.", (
        Trade("Homes cleaned", ("Ménage", "Home cleaning", "تنظيف المنازل"), (
            ("Ménage de trois heures", 2700, 180), ("Spring cleaning", 8000, 420),
            ("Nettoyage après travaux", 12000, 480), ("تنظيف شامل للمنزل", 7500, 360),
            ("Limpieza de cocina", 2500, 120))),
        Trade("Windows cleaned", ("Vitrerie propre", "Windows", "نوافذ"), (
            ("Nettoyage de vitres", 2000, 90), ("Shop window, weekly", 1500, 45),
            ("Vérandas et verrières", 4500, 150), ("تنظيف الزجاج", 1900, 90), ("Solar panels washed", 5000, 120))),
        Trade("Carpets and sofas", ("Tapis et canapés", "Carpets", "سجاد"), (
            ("Shampouinage d'un canapé", 4500, 120), ("Carpet taken, washed, brought back", 3500, 60),
            ("Détachage express", 1800, 45), ("غسيل السجاد", 3000, 60), ("Mattress freshened up", 2800, 60))),
        Trade("Ironing and laundry", ("Pressing", "Laundry", "مصبغة"), (
            ("Repassage au panier", 1200, 60), ("Suit cleaned in a day", 1600, 15),
            ("Robe de mariée nettoyée", 6000, 30), ("غسيل وكي", 1400, 60), ("Curtains washed and hung", 3800, 90))))),
    Field("Hair and beauty", "Cuts, colours and a quiet hour.", (
        Trade("Barbers", ("Barbier", "Barber", "حلاق"), (
            ("Coupe homme", 800, 30), ("Haircut and beard", 1200, 45), ("Barbe à l'ancienne", 700, 30),
            ("حلاقة وتصفيف", 900, 30), ("Children's haircut", 500, 20))),
        Trade("Hairdressers", ("Coiffure", "Hair studio", "تصفيف الشعر"), (
            ("Coupe et brushing", 2200, 60), ("Colour and highlights", 6500, 150), ("Chignon de mariée", 12000, 120),
            ("تسريحة عروس", 11000, 120), ("Corte y peinado", 2000, 60))),
        Trade("Nails", ("Onglerie", "Nails", "أظافر"), (
            ("Pose de vernis semi-permanent", 2500, 60), ("Classic manicure", 1800, 45), ("Beauté des pieds", 2800, 60),
            ("عناية بالأظافر", 1700, 45), ("Gel nails refilled", 3000, 75))),
        Trade("Massage", ("Massage", "Massage", "تدليك"), (
            ("Massage relaxant", 5000, 60), ("Deep tissue massage", 6000, 60), ("Massage du dos", 3000, 30),
            ("تدليك علاجي", 5500, 60), ("Masaje deportivo", 5800, 60))))),
    Field("Cars", "Kept running, kept shining.", (
        Trade("Car repair", ("Mécanique auto", "Car repair", "ميكانيك السيارات"), (
            ("Vidange et filtres", 6500, 60), ("Brake pads replaced", 9000, 120), ("Diagnostic électronique", 3000, 45),
            ("تغيير زيت المحرك", 6000, 45), ("Timing belt replaced", 28000, 300))),
        Trade("Tyres", ("Pneus", "Tyres", "إطارات"), (
            ("Permutation de quatre pneus", 2000, 45), ("Puncture mended at your door", 1500, 30),
            ("Équilibrage et géométrie", 4000, 60), ("تبديل الإطارات", 2200, 45), ("Winter tyres stored", 5000, 30))),
        Trade("Car wash", ("Lavage auto", "Car wash", "غسيل السيارات"), (
            ("Lavage intérieur et extérieur", 1200, 45), ("Full detailing", 9000, 240),
            ("Lustrage carrosserie", 5500, 150),
            ("غسيل سيارة بالبخار", 1500, 40), ("Engine bay cleaned", 2500, 60))),
        Trade("Driving lessons", ("Auto-école", "Driving school", "مدرسة السياقة"), (
            ("Leçon de conduite", 1500, 60), ("Motorway practice", 2500, 120), ("Préparation à l'examen", 4000, 120),
            ("دروس السياقة", 1400, 60), ("Night driving lesson", 2000, 60))))),
    Field("Garden and outdoors", "Green, trimmed, watered.", (
        Trade("Gardening", ("Jardinage", "Gardening", "بستنة"), (
            ("Tonte de pelouse", 2000, 60), ("Hedge trimmed", 3000, 120), ("Taille d'oliviers", 4500, 180),
            ("العناية بالحدائق", 2500, 120), ("Roof garden planned", 30000, 240))),
        Trade("Pools", ("Piscines", "Pools", "مسابح"), (
            ("Entretien de piscine", 4000, 90), ("Pool opened for the summer", 15000, 240),
            ("Réparation de pompe", 8000, 120),
            ("تنظيف المسابح", 3800, 90), ("Water tested", 1500, 30))),
        Trade("Pest control", ("Désinsectisation", "Pest control", "مكافحة الحشرات"), (
            ("Traitement contre les cafards", 4500, 60), ("Wasp nest removed", 5000, 45),
            ("Dératisation de cave", 6000, 90),
            ("إبادة الحشرات", 4200, 60), ("Termite inspection", 3500, 60))),
        Trade("Solar panels", ("Solaire", "Solar", "طاقة شمسية"), (
            ("Étude solaire", 5000, 90), ("Panels fitted to a roof", 160000, 480), ("Chauffe-eau solaire", 75000, 360),
            ("تركيب الألواح الشمسية", 150000, 480), ("Inverter checked", 4000, 60))))),
    Field("Lessons", "Something new every week.", (
        Trade("Languages", ("Cours de langues", "Language lessons", "دروس اللغات"), (
            ("Cours de français", 1500, 60), ("English conversation", 1600, 60), ("Clases de español", 1600, 60),
            ("دروس اللغة العربية", 1400, 60), ("Русский для начинающих", 1800, 60))),
        Trade("Mathematics", ("Soutien en maths", "Maths tutoring", "دروس الرياضيات"), (
            ("Maths pour le bac", 2000, 90), ("Statistics for students", 2500, 90), ("Maths au collège", 1500, 60),
            ("دروس دعم في الرياضيات", 1600, 90), ("Olympiad training", 3000, 120))),
        Trade("Music", ("École de musique", "Music lessons", "دروس الموسيقى"), (
            ("Cours de guitare", 1800, 60), ("Piano for beginners", 2000, 45), ("Cours de violon", 2200, 60),
            ("تعليم العود", 2000, 60), ("Singing lesson", 2400, 60))),
        Trade("Sports coaching", ("Coaching sportif", "Personal training", "تدريب رياضي"), (
            ("Coaching à domicile", 2500, 60), ("Running technique", 2000, 60), ("Natation adultes", 1800, 45),
            ("تدريب شخصي", 2300, 60), ("Boxing for beginners", 2200, 60))))),
    Field("Events", "Weddings, birthdays, Friday nights.", (
        Trade("Photography", ("Studio photo", "Photography", "تصوير"), (
            ("Reportage de mariage", 45000, 480), ("Portraits outdoors", 8000, 90), ("Photos d'identité", 600, 15),
            ("تصوير الحفلات", 40000, 420), ("Product photos", 12000, 180))),
        Trade("Catering", ("Traiteur", "Catering", "إطعام"), (
            ("Couscous pour vingt personnes", 24000, 240), ("Buffet for fifty", 65000, 360),
            ("Pâtisseries orientales", 9000, 120),
            ("حلويات تقليدية", 8500, 120), ("Chef for one evening", 20000, 240))),
        Trade("Music for parties", ("DJ et orchestre", "Party music", "فرق موسيقية"), (
            ("DJ pour une soirée", 25000, 300), ("Chaabi trio", 40000, 180), ("Sonorisation de salle", 18000, 300),
            ("فرقة أندلسية", 60000, 180), ("Children's disco", 12000, 120))),
        Trade("Decoration", ("Décoration", "Decoration", "ديكور"), (
            ("Décoration de salle", 30000, 300), ("Balloon arch", 7000, 120), ("Fleurs de mariage", 22000, 180),
            ("تزيين قاعات الأفراح", 28000, 300), ("Table settings for ten", 5000, 90))))),
    Field("Computers and phones", "Mended, set up, explained.", (
        Trade("Phones repaired", ("Réparation mobile", "Phone repair", "تصليح الهواتف"), (
            ("Remplacement d'écran", 8500, 60), ("New battery in half an hour", 4500, 30), ("Désoxydation", 3500, 120),
            ("إصلاح الهواتف", 3000, 60), ("Data saved from a broken phone", 6000, 120))),
        Trade("Computers repaired", ("Dépannage informatique", "Computer repair", "صيانة الحواسيب"), (
            ("Dépannage à domicile", 3000, 60), ("Laptop made fast again", 4000, 90),
            ("Récupération de données", 9000, 240),
            ("صيانة الحاسوب", 2800, 60), ("Ремонт ноутбуков", 5000, 120))),
        Trade("Networks", ("Réseaux", "Networks", "شبكات"), (
            ("Installation Wi-Fi", 3500, 90), ("Cameras fitted", 15000, 240), ("Câblage de bureau", 22000, 360),
            ("تركيب كاميرات المراقبة", 14000, 240), ("Printer made to obey", 2000, 45))),
        Trade("Web sites", ("Sites web", "Web design", "تصميم المواقع"), (
            ("Site vitrine", 60000, 480), ("Web shop, first version", 120000, 480), ("Refonte de site", 80000, 480),
            ("تصميم موقع", 55000, 480), ("Photos and texts put online", 9000, 180))))),
)  # fmt: skip
