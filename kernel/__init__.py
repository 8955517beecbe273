"""The shared floor under every package: database, outbox, crypto, HTTP, logs. It knows no word of government services."""
