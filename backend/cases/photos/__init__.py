"""Checking and re-encoding of photos in a child process that can be killed; storing them is not here."""
