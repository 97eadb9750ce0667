"""What the contract tests share: the front end's side of a worker, and requests to send it."""
