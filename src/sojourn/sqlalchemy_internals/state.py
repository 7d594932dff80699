"""The type that everything here is about."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm.state import InstanceState

State = InstanceState[Any]
