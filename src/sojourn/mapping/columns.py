"""What a column's type says of its values."""

from __future__ import annotations

from typing import Any

from sqlalchemy.types import TypeEngine


def python_type_of(type_: TypeEngine[Any]) -> type | None:
    """The Python type of a type's values, None where it does not say: SQLAlchemy 2.0 raises then, and 2.1 says object.

    Database: none.
    """
    try:
        python_type = type_.python_type
    except NotImplementedError:
        return None
    return None if python_type is object else python_type
