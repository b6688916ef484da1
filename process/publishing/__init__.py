"""What this project publishes: the page of its results (`make results`), and the reference in docs/."""
