"""Code of the README and of the notebooks with less to play: it is the code that is tested, what is stored was made in full."""

import re


def smaller(code: str) -> str:
    """Return the code with a quarter of the replications, of twenty or more, and at most three levels of staffing."""
    code = re.sub(r"(?<=replications=)\d+", lambda m: str(max(int(m[0]) // 4, min(int(m[0]), 20))), code)
    return re.sub(r"(?<=levels=)\d+", lambda m: str(min(int(m[0]), 3)), code)
