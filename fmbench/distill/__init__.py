"""Training a small query encoder beside a large passage encoder: students, losses, pseudo-queries, the loop."""
