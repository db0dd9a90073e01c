"""From arrays to trained weights."""
