"""Tests of the papers slice."""
