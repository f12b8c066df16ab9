"""What modules of tests share."""
