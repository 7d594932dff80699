"""Expectations are kept count of, statements are counted, and a plain terminal is no obstacle."""

from __future__ import annotations

import io

from sqlalchemy import create_engine, text

from sojourn.demo.terminal import Terminal, counted


def test_only_the_expectations_that_fail_are_remembered_and_all_are_printed() -> None:
    out = io.StringIO()
    terminal = Terminal(out)
    terminal.expect("water is wet", True)
    terminal.expect("pigs fly", False)
    assert terminal.failed == ["pigs fly"]
    assert out.getvalue().splitlines() == ["  ✓ water is wet", "  ✗ pigs fly"]


def test_a_terminal_without_unicode_still_tells_a_tick_from_a_cross() -> None:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii", newline="\n")
    terminal = Terminal(out)
    terminal.expect("water is wet", True)
    terminal.expect("pigs fly", False)
    terminal.line("naïve …")
    assert raw.getvalue().decode("ascii").splitlines() == ["  ok water is wet", "  FAILED pigs fly", "na?ve ..."]


def test_a_table_is_aligned_by_its_widest_cells() -> None:
    out = io.StringIO()
    Terminal(out).table([("", "statements"), ("attach", 7)])
    assert out.getvalue().splitlines() == [
        "             statements",
        "    ──────   ──────────",
        "    attach            7",
    ]


def test_an_executemany_counts_as_one_statement_with_many_rows_and_counting_ends_with_the_block() -> None:
    engine = create_engine("sqlite://")
    with engine.connect() as connection:
        connection.execute(text("CREATE TABLE t (a INTEGER)"))
        with counted(engine) as statements:
            connection.execute(text("INSERT INTO t VALUES (:a)"), [{"a": 1}, {"a": 2}])
            connection.execute(text("SELECT a, a + 1 AS b FROM t"))
        connection.execute(text("SELECT a FROM t"))
    engine.dispose()
    assert len(statements) == 2
    assert list(statements.summary()) == ["INSERT INTO t VALUES (?)  (2 rows)", "SELECT … FROM t"]
    assert statements.kinds() == "1 INSERT, 1 SELECT"
