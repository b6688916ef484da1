"""`fmbench quality`: how good a model's vectors are for other tasks than retrieval, on any platform."""
