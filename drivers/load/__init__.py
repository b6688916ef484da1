"""`fmbench load`: what a service of embeddings does under load, and whether its vectors are still the right ones."""
