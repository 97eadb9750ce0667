"""What people bring to the page Models: kept, looked at, built, and registered with the server."""
