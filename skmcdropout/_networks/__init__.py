"""What a network is, in plain values, and how Keras builds it."""
