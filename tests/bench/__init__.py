"""Benchmarks: unlike things are never compared, and every ratio is of runs made in turn."""
