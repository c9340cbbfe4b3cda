"""How rules about whole rows are written in the models of contracts.

Only the models import this: it loads pandera.
"""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd
import pandera.pandas as pa
from pandera.api.pandas.model_config import BaseConfig

if TYPE_CHECKING:
    from blocks.contracts.table import Column, Columns

    Rule = Callable[[Any, Columns], Column]

ANY_TEXT = "*"
"""In place of a column: the first that is meant for texts and holds none."""

TEXTS = {str, type(None)}


def rule(column: str, must: str) -> "Callable[[Rule], Any]":
    """A rule of a model over several columns or rows.

    The function below it gets the columns as numpy arrays and says for each row whether the rule holds.

    Args:
        column: The column that is told when it does not.
        must: What that must do or be, as `be after start_s`.
    """

    def made(holds: "Rule") -> Any:
        def checked(model: Any, table: Any) -> Any:
            if not isinstance(table, pd.DataFrame):
                return holds(model, table)
            found = holds(model, {name: cast(Any, table[name]).to_numpy() for name in table})
            return pd.Series(found, index=table.index)

        # Not by `name`: pandera forgets that for all models but the first that inherit the rule.
        checked.__name__ = must
        # Not ignore_na: a row whose columns are all empty breaks rules like any other.
        return pa.dataframe_check(title=column, ignore_na=False)(checked)

    return made


def told(*, stands: str, fix: str) -> dict[str, str]:
    """What a contract says of itself, besides its rules.

    Args:
        stands: Where it is in force.
        fix: How to put a table right that breaks it.
    """
    return {"stands": stands, "fix": fix}


def of_cell(must: str, holds: "Callable[[Column], Column]") -> Any:
    """A check of one column, for columns that are added to a contract.

    Args:
        must: What a value must do or be.
        holds: Says for each value that is there whether it does.
    """

    def checked(values: Any) -> Any:
        if not isinstance(values, pd.Series):
            return holds(values)
        return pd.Series(holds(cast(Any, values).to_numpy()), index=values.index)

    return pa.Check(checked, name=must, title=must)


class Table(pa.DataFrameModel):
    """What all contracts have: no columns but those that are named, and texts in those of no numbers."""

    class Config(BaseConfig):
        strict = True

    @rule(ANY_TEXT, "be a text")
    def texts(cls, table: "Columns") -> "Column":
        given = [values for values in table.values() if values.dtype == object]
        right = np.ones(len(next(iter(table.values()))), np.bool_)
        for values in given:
            if not TEXTS.issuperset(map(type, values)):
                right &= np.fromiter((type(value) in TEXTS for value in values), np.bool_, len(values))
        return right


def blank(values: "Column") -> "Column":
    """Which texts have nothing to see."""
    try:
        return ~np.fromiter(map(bool, map(str.strip, values)), np.bool_, len(values))
    except TypeError:  # some are no texts, which other rules tell
        return np.fromiter((type(value) is str and not value.strip() for value in values), np.bool_, len(values))


def matches(form: "re.Pattern[str]", values: "Column") -> "Column":
    """Which values are texts wholly of a form."""
    whole = form.fullmatch
    return np.fromiter((type(value) is str and whole(value) is not None for value in values), np.bool_, len(values))


def given(values: "Column") -> "Column":
    """Which values are there."""
    return ~cast("Column", pd.isna(values))
