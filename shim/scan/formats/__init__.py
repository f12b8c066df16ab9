"""The forms in which a scan is told."""
