"""Outgoing connections: kept open by manage.py connect, and how they are."""
