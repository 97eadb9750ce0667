"""ServeLens: see inside the CNN image models that you already serve with TorchServe."""

__version__ = "0.1.0"
