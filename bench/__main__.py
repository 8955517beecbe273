"""`python -m bench` (also `make bench`), `python -m bench reconcile` and `python -m bench campaign`."""

import sys

from bench import campaign, reconcile, run

if __name__ == "__main__":
    if sys.argv[1:2] == ["reconcile"]:
        sys.exit(reconcile.main(sys.argv[2:]))
    if sys.argv[1:2] == ["campaign"]:
        sys.exit(campaign.main(sys.argv[2:]))
    sys.exit(run.main(sys.argv[1:]))
