"""What a blob service keeps, and where."""
