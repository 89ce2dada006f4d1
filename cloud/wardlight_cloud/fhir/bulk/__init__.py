"""Bulk Data ``$export``: asking for it, making its files, handing them out."""
