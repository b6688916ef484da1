"""`make results`: the page of the published runs."""
