"""What nobody should send: values, whole bodies, texts in addresses and headers, and fields that are not theirs."""

DEEP = "[" * 25 + "]" * 25
VERY_DEEP = b"[" * 100_000

UNSTORABLE = {
    "NUL": r'"\u0000"',
    "NUL within": r'"a\u0000b"',
    "lone high surrogate": r'"\ud800"',
    "lone low surrogate": r'"x\udc00y"',
}
"""Texts that are JSON, but that PostgreSQL cannot keep: refused wherever they stand."""

NOT_JSON = {
    "NaN": "NaN",
    "Infinity": "Infinity",
    "minus Infinity": "-Infinity",
    "hexadecimal": "0x10",
    "leading zero": "01",
    "single quotes": "'x'",
    "undefined": "undefined",
    "duplicate names": '{"lat": 1, "lat": 2}',
    "25 levels": DEEP,
    "5,000 digits": "9" * 5000,
    "1,001 names": "{" + ",".join(f'"n{number}": 1' for number in range(1001)) + "}",
}
"""Refused wherever it stands, too."""

VALUES = {
    "null": "null",
    "true": "true",
    "false": "false",
    "zero": "0",
    "minus zero": "-0.0",
    "minus one": "-1",
    "2**31": str(2**31),
    "2**63": str(2**63),
    "-2**63-1": str(-(2**63) - 1),
    "10**30": str(10**30),
    "a half": "0.5",
    "1e30": "1e30",
    "1e400": "1e400",
    "-1e400": "-1e400",
    "9999": "9999",
    "empty": '""',
    "a space": '" "',
    "line feed": r'"a\nb"',
    "zero in quotes": '"0"',
    "true in quotes": '"true"',
    "nan in quotes": '"nan"',
    "1e400 in quotes": '"1e400"',
    "year 1": '"0001-01-01T00:00:00+14:00"',
    "year 9999": '"9999-12-31T23:59:59-14:00"',
    "first day": '"0001-01-01"',
    "last day": '"9999-12-31"',
    "no day": '"2030-02-30"',
    "no offset": '"2030-05-15T09:30:00"',
    "201 characters": f'"{"a" * 201}"',
    "5,000 characters": f'"{"é" * 5000}"',
    "100,000 characters": f'"{"a" * 100_000}"',
    "SQL": '"\'; DROP TABLE accounts_user; --"',
    "SQL or": "\"' OR '1'='1\"",
    "LIKE": r'"%_\\"',
    "percent zero": '"%00"',
    "path": '"../../../../etc/passwd"',
    "template": '"{{7*7}}${7*7}%s%n"',
    "script": '"<script>alert(1)</script>"',
    "right to left": r'"\u202egpj.exe"',
    "emoji": '"🚚👩‍🔧"',
    "noncharacter": r'"\uffff"',
    "Arabic digits": '"٣٤"',
    "list": "[]",
    "list of null": "[null]",
    "list of lists": "[[[]]]",
    "long list": "[" + ",".join(["1"] * 5000) + "]",
    "object": "{}",
    "prototype": '{"__proto__": {"roles": ["admin"]}, "constructor": 1}',
}

BODIES = {
    "nothing": b"",
    "a list": b"[]",
    "null": b"null",
    "a number": b"1",
    "a text": b'"x"',
    "a list around it": b"[{}]",
    "half an object": b'{"a": ',
    "two objects": b"{}{}",
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "byte order mark": b'\xef\xbb\xbf{"a": 1}',
    "not UTF-8": b'{"a": "\xff\xfe"}',
    "duplicate names": b'{"a": 1, "a": 2}',
    "very deep": VERY_DEEP,
    "300 KB": b'{"a": "' + b"a" * 300_000 + b'"}',
    "gzip": b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xab\xae\x05\x00\x43\xbf\xa6\xa3\x02\x00\x00\x00",
}

MEDIA_TYPES = (
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/xml",
    "application/problem+json",
    "",
)

TEXTS = {
    "empty": "",
    "space": "%20",
    "NUL": "%00",
    "not UTF-8": "%ff%fe",
    "overlong": "%c0%80",
    "lone surrogate": "%ed%a0%80",
    "minus one": "-1",
    "zero": "0",
    "2**31": str(2**31),
    "2**63": str(2**63),
    "20,000 digits": "9" * 5000,
    "half": "0.5",
    "1e400": "1e400",
    "nan": "nan",
    "quote": "%27",
    "SQL": "1%27%20OR%20%271%27=%271",
    "long": "a" * 3000,
    "Arabic digits": "%d9%a3",
    "list": "1,2,3",
    "brackets": "[1]",
}
"""As they stand in an address."""

HEADERS = {
    "Authorization": (
        "",
        "Bearer",
        "Bearer ",
        "Bearer \xff",
        "Bearer a.b.c",
        "Basic YTpi",
        "Bearer " + "a" * 9000,
        "x y z",
    ),
    "Idempotency-Key": ("", " ", "a b", "é", "x" * 256, "\x7f"),
    "If-Match": ('"1', "W/", '"' + "9" * 180 + '"', "x" * 201, "\xff"),
    "X-Request-ID": ("", "x" * 5000, "a b\tc", "é", "<script>"),
    "X-Forwarded-For": ("", "unknown", "1.2.3.4, 999.1.1.1", "::1%eth0", "\xff"),
    "Accept": ("", "text/html", "*/*;q=x"),
    "Accept-Language": ("", "x" * 5000, "zz-ZZ;q=nan"),
    "User-Agent": ("", "\xff" * 500, "x" * 8000),
    "Origin": ("null", "http://evil.example", "\xff"),
    "Host": ("evil.example", "a b", ""),
}

FORBIDDEN_FIELDS = """
    id pk role roles user_type is_staff is_superuser is_active is_admin is_verified verified email_verified
    phone_verified balance escrowed_balance status state price total_price amount fee currency rating average_rating
    total_reviews assistant assistant_id provider_id client client_id user user_id sender sender_id owner_id
    conversation_id created_at updated_at deleted_at accepted_at finished_at version stripe_account_id token_version
    password password_hash session_id permissions groups groups_id scope aud sub exp kid isStaff isAdmin userId
    createdAt __class__ __proto__ constructor _state $set location__lat password__startswith
""".split()
"""What an attacker would like to write along with what may be written."""

QUERIES = (
    "q=%00",
    "q=1",
    "ordering=password",
    "user__password__startswith=a",
    "page[]=1",
    "%00=1",
    "=",
    "_=1",
)
"""What no operation knows."""
