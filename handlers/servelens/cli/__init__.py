"""The `servelens` command, over the client and the builder; one file a command."""
