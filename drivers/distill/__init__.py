"""The distillation driver: a small query encoder beside a large passage encoder."""
