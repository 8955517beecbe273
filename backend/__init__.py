"""The case system of the county: catalogue, people, cases, the one-window platform, delivery; worker and administrator commands."""
