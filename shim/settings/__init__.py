"""The settings: what there are, where they come from, when they are read again."""
