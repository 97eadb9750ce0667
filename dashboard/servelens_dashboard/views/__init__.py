"""Pages: a view and what the server says in, a page's components out."""
