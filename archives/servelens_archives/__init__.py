"""How models become TorchServe archives: recipes, preflight, build, and the demo models."""
