"""Mutated messages against what must hold for all: `make fuzz`, and a part of it in every run."""
