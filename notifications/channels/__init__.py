"""One module per way of reaching a person, behind one port (`base`). Only these modules know a channel's words and limits."""
