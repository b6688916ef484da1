"""What is measured, one workload a file: its lines, rows, tables and pictures."""
