"""Rows that jobs work on: `Task`, a plain table with what a function may change, and `Effect`, its children: a function
that adds one leaves a trace of each call that was committed."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, ForeignKey, String, insert
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship


class Base(DeclarativeBase):
    pass


class Task(Base):
    __tablename__ = "job_task"
    __table_args__ = (CheckConstraint("count < 100", name="count_is_small"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[int | None]
    label: Mapped[str] = mapped_column(String(40))
    count: Mapped[int]

    effects: Mapped[list[Effect]] = relationship(back_populates="task", cascade="all, delete-orphan")


class Effect(Base):
    __tablename__ = "job_effect"

    id: Mapped[int] = mapped_column(primary_key=True)
    task_id: Mapped[int] = mapped_column(ForeignKey("job_task.id"))

    task: Mapped[Task] = relationship(back_populates="effects")


def fill(session: Session, rows: int) -> None:
    """Insert tasks 1 to `rows`; their numbers repeat, and every fifth is NULL. The caller commits."""
    session.execute(
        insert(Task),
        [
            {"id": id_, "number": None if id_ % 5 == 0 else id_ * 7 % 11, "label": f"task {id_}", "count": 0}
            for id_ in range(1, rows + 1)
        ],
    )
