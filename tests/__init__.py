"""The tests mirror the packages; journeys, wire, rows, reliability, architecture and docs stand beside them."""
