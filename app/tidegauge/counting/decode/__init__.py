"""Reading events: JSON by the native decoder or by Python, column batches by pyarrow. Pure."""
