"""Carriers: the port every carrier fills, and one adapter per carrier."""
