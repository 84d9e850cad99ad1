"""Django's PostgreSQL back end with a cheaper pool; `ENGINE` names this package."""
