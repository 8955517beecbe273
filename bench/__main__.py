"""`python -m bench` (also `make bench`), and `python -m bench reconcile`."""

import sys

from bench import reconcile, run

if __name__ == "__main__":
    if sys.argv[1:2] == ["reconcile"]:
        sys.exit(reconcile.main(sys.argv[2:]))
    sys.exit(run.main(sys.argv[1:]))
