"""The retrieval driver: encodes, searches, evaluates and mines on one platform, and prints FMWORK lines."""
