"""Who still uses the old route, and whether it can go.

``build`` is the pure core; ``formats`` renders what it returns.
"""
