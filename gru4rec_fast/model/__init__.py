"""A model's parameters, and the file that keeps them."""
