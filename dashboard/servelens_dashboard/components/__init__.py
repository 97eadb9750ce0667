"""Pieces that pages are put together of: data in, Dash components out."""
