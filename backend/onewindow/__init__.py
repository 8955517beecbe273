"""一窗受理: how a case travels to the county's one-window platform and how news of it comes back (YCSL-REF v1)."""
