"""What a row asks beside maps and activations, and what takes passes of its own."""
