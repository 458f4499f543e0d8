"""Sequential drift detection: how surprising counts are, over spans of windows, under a budget."""
