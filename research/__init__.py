"""How what the project ships was made; no part of a wheel."""
