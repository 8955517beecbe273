"""Performance measured against yardsticks in the same run: `python -m bench`. Nothing of the product imports this package."""
