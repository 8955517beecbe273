"""Identity: who a person is and how sure we are. Accounts, sessions, verification, couriers; no word of cases or
money.
"""
