"""Plain code inside an event loop, as `AsyncSession.run_sync` runs it; without a session of its own to begin with."""

from __future__ import annotations

from sqlalchemy.util import await_only, greenlet_spawn

__all__ = ["await_only", "greenlet_spawn"]
