"""Pictures of results. Imports matplotlib."""
