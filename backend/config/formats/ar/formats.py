"""Arabic has no form of its own in Django for a day with a time, and would get the English one."""

DATETIME_FORMAT = "j F، Y · g:i A"
