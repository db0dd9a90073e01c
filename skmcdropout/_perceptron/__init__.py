"""Dropout perceptrons in NumPy alone: what they are, their training and draws."""
