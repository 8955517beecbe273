"""Stand-ins for every outside partner, each over its real wire protocol; shares no code with the product."""
