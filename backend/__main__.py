"""`python -m backend …`: the worker and every administrator's command."""

import sys

from backend.commands import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
