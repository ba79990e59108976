"""The compiled engine: the reference engine's rules in numba, the same records bit for bit (``fast.py`` is its door)."""
