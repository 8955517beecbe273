"""The whole product on one machine for a first look: sandbox partners, API, worker, and a played journey."""
