"""What happened, told once: to the log, the ledger, the metrics."""
