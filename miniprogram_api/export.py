"""`python -m miniprogram_api.export`: prints the OpenAPI document, which is checked in as docs/openapi.json. Needs no configuration."""

import sys

from miniprogram_api import operations
from miniprogram_api.app import load_endpoints


def main() -> int:
    """Writes the document to standard output, byte for byte what `GET /openapi.json` serves, with a final newline."""
    load_endpoints()
    sys.stdout.buffer.write(operations.description() + b"\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
