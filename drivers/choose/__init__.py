"""`fmbench choose`: which set-up of a model to run on this machine."""
