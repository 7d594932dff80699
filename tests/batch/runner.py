"""A runner in a process of its own: `python -m tests.batch.runner URL JOB LEASE`. Told what to do line by line.

It takes the lease, shows signs of life, and prints what happened. `chunk` writes a row and fences,
`hold` does so and keeps its transaction open, `release` gives the job back as done.
"""

from __future__ import annotations

import sys
from typing import TextIO

from sqlalchemy import Column, Integer, MetaData, Table, create_engine, insert

from sojourn.batch.lease import beating, take
from sojourn.batch.ledger import DONE, Job
from sojourn.errors import LeaseLostError

metadata = MetaData()
effect = Table("batch_effect", metadata, Column("id", Integer, primary_key=True), Column("epoch", Integer))


def say(what: str) -> None:
    print(what, flush=True)  # noqa: T201 - the test reads it


def waiting(found: Job) -> None:
    say(f"waits for epoch {found.epoch}")


def work(url: str, job: str, lease: float, orders: TextIO) -> None:
    engine = create_engine(url)
    taken = take(engine.begin, job, lease=lease, waiting=waiting)
    assert taken is not None
    with beating(engine.begin, taken):
        say(f"took epoch {taken.epoch}")
        for order in orders:
            try:
                with engine.begin() as connection:
                    if order.strip() == "release":
                        taken.release(connection, DONE)
                    else:
                        # The row first and the fence behind it, so that the fence has something to undo.
                        connection.execute(insert(effect).values(epoch=taken.epoch))
                        taken.fence(connection, rows=1)
                    if order.strip() == "hold":
                        say("holds")
                        orders.readline()
            except LeaseLostError:
                say("lost")
                return
            say("done")


if __name__ == "__main__":
    work(sys.argv[1], sys.argv[2], float(sys.argv[3]), sys.stdin)
