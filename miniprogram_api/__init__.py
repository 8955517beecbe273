"""HTTP for phones and the raw partner callbacks: parse, one service call, present. No business rule lives here."""
