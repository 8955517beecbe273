"""Cases (办件): from the draft to the certificate. The one-window platform, money and parcels are slices of their own."""
