"""The adapter to TorchServe: rows become requests, answers become replies. Only it imports ts."""
