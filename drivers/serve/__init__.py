"""`fmbench serve`: a reference server of embeddings, for every platform that fmbench has."""
