"""Tables of rows by day, as peers get them."""

import pandas as pd


def read_days(path: str, categorical: list[str]) -> pd.DataFrame:
    """Read a CSV with a column ``day``; of what is not categorical all else is numbers.

    Only an empty cell is a missing value: "NA" may be a category.
    """
    texts = dict.fromkeys(["day", *categorical], "str")
    return pd.read_csv(path, dtype=texts, keep_default_na=False, na_values=[""])
