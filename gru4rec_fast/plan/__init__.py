"""Training steps planned ahead: lanes, negatives, merged rows."""
