"""Delivery (送达): prices, parcels, booking with a carrier, tracking, and handing the result to its owner against a code.

Others use `service`, `queries`, `couriers`, `assignment`, `desk`, `reviews`, `booking` and `tracking`; the states and the
words people read are written down in docs/delivery.md.
"""
