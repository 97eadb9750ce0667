"""A model folder, which is what an archive unpacks to: its card, its weights, its digest."""
