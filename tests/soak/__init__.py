"""A shim under load for as long as one likes, with faults in between: `make soak`."""
