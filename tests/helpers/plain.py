"""Parameters that leave training as Keras's textbook has it."""

#: A perceptron without normalization, trained at one rate, its logits as they are.
PLAIN = {
    "batch_normalization": False,
    "learning_rate": 1e-3,
    "learning_rate_schedule": "constant",
    "batch_size": 32,
    "temperature": 1.0,
}
