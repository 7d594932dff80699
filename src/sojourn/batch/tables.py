"""The tables of the ledger. They live in the database of the data, because a chunk and its entry commit together.

`metadata` is public, so that Alembic knows them. There are no foreign keys: a row that is only pointed to is locked for
the check, and two chunks that both hold this lock and then want to count up the same job would wait for each other.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Double, Integer, MetaData, String, Table, Text
from sqlalchemy.dialects import mysql

NAME_LENGTH = 190  # in MariaDB's utf8mb4 an index entry of older row formats takes no more

_BINARY = {"charset": "utf8mb4", "collation": "utf8mb4_bin"}  # names and positions are equal or they are not
_ID = String(36)
_NAME = String(NAME_LENGTH).with_variant(mysql.VARCHAR(NAME_LENGTH, **_BINARY), "mysql", "mariadb")
_SHORT = String(190).with_variant(mysql.VARCHAR(190, **_BINARY), "mysql", "mariadb")
_TEXT = Text().with_variant(mysql.LONGTEXT(**_BINARY), "mysql", "mariadb")

metadata = MetaData()

job = Table(
    "sojourn_job",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("name", _NAME, nullable=False, unique=True),
    Column("fingerprint", String(64), nullable=False),
    Column("statement", _TEXT, nullable=False),  # to read, not to run
    Column("status", String(20), nullable=False),
    Column("wanted", String(20), nullable=False),  # set by others: what the owner shall do
    Column("upper", _TEXT),  # position; NULL until it is known, and where there are no rows
    Column("total", BigInteger),
    Column("rows", BigInteger, nullable=False),
    Column("rejected", BigInteger, nullable=False),
    Column("seconds", Double, nullable=False),
    Column("owner", _TEXT),  # JSON; NULL: nobody runs it
    Column("epoch", Integer, nullable=False),  # counts the owners
    Column("heartbeat", BigInteger, nullable=False),  # milliseconds since 1970: compared, so no float
    Column("lease", Double, nullable=False),  # seconds
    Column("started", Double),  # seconds since 1970
    Column("finished", Double),
)

completed = Table(
    "sojourn_range",
    metadata,
    Column("job_id", _ID, primary_key=True),
    Column("place", Integer, primary_key=True, autoincrement=False),  # 0, 1, …: the order, which no text tells
    Column("after", _TEXT),  # position; NULL: from the beginning
    Column("upto", _TEXT, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("token", _ID, nullable=False),  # of the transaction that wrote it last
)

rejected = Table(
    "sojourn_rejected",
    metadata,
    Column("job_id", _ID, primary_key=True),
    Column("id", _ID, primary_key=True),
    Column("identity", _TEXT, nullable=False),  # the primary key, as JSON
    Column("position", _TEXT, nullable=False),
    Column("error", _SHORT, nullable=False),  # its class
    Column("message", _TEXT, nullable=False),
    Column("traceback", _TEXT, nullable=False),
    Column("crashes", Integer, nullable=False),
    Column("at", Double, nullable=False),  # seconds since 1970
    Column("retry", Boolean(create_constraint=False), nullable=False),
)
