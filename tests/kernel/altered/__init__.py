"""A small product whose second version alters a table that has an index, a trigger and children."""
