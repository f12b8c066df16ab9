"""The deprecated route: what a call to it means, who makes it, what applies to it."""
