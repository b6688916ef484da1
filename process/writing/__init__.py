"""Results out: formats, tables, gauges."""
