"""From trained weights to Monte-Carlo draws."""
