"""Pure PyTorch: what a model computes, recorded and explained; it knows no server."""
