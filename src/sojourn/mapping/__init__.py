"""Reading SQLAlchemy: what is mapped, what is loaded, what was edited. No room here writes, and none does I/O."""
