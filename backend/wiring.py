"""Puts the product together for a process: which tables exist, who subscribes to what, and which partner answers where."""

# Label of each slice → the modules that hold its tables. Migrations live beside them.
APPS: dict[str, list[str]] = {
    "kernel": ["kernel.models"],
    "payments": ["payments.models"],
    "notifications": ["notifications.models"],
    "catalog": ["backend.catalog.models"],
    "identity": ["backend.identity.models"],
    "cases": ["backend.cases.models"],
    "onewindow": ["backend.onewindow.models"],
    "delivery": ["backend.delivery.models"],
}
