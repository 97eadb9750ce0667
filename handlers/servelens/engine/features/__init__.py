"""What can be read off recorded activations."""
