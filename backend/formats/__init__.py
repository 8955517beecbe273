"""Written forms fixed by national standards: personal and organisation numbers, phones, names. Pure functions
below every slice.
"""
