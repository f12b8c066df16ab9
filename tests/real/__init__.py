"""The shim before real Restate servers."""
