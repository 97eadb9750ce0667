"""What answers the browser; only wiring, what is drawn comes from `views`."""
