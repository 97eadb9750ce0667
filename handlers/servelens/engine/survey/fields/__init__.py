"""Theoretical receptive fields, followed through a network one ATen operation at a time."""
