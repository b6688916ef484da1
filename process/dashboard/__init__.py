"""`process --dashboard FILE.html`: results as one page that opens from disk, without a network."""
