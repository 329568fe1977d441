"""A database backend: Django's SQLite with its writers in line."""
