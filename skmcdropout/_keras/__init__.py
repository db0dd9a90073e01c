"""All that needs keras, tensorflow or scikeras; `door` is its entrance."""
