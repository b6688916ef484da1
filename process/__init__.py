"""FMWORK lines in; JSON, tables, pictures and a store of results out. Imports no torch."""
