"""The catalogue: regions, departments, items with their versions and guides. Knows no person, no case and no bill."""
