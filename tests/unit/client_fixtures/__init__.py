"""A loopback server that behaves as badly as it is told to, and documents as one sends them."""
