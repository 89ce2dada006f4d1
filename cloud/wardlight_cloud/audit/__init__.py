"""Who did what with patients' data: requests are noted here, and written down in batches."""
