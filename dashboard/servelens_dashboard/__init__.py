"""The dashboard: what models see, in a browser. Asks a TorchServe through `servelens.client`."""
