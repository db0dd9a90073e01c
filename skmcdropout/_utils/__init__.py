"""Tools that know nothing of Monte-Carlo dropout."""
