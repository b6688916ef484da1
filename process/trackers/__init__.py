"""`process --report_to`: driver runs to experiment trackers."""
