"""The fidelity driver: is what a model computes still the same?"""
