"""How the product is put on machines: nginx, systemd, environment example, and the one-command local run."""
