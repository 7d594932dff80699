"""Laws of `dumps` and `loads`, held against random graphs of many mappings, loaded in random shapes and edited at random.

In both encodings a copy holds what its original holds and tells the same edits, and a second round trip changes nothing.
The derandomized profile of the suite tries a few; `HYPOTHESIS_PROFILE=fuzz` tries 20,000 new ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, inspect
from sqlalchemy.orm import Session

from sojourn.snapshot import dumps, loads
from tests.snapshot.laws import ENCODINGS, differences, name_of, pictures
from tests.snapshot.worlds import MODELS, Dice, draw_graph, world

EXAMPLES = max(100, settings.get_profile(settings.get_current_profile_name()).max_examples)


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    engine = world()
    yield engine
    engine.dispose()


def keeps_the_laws(engine: Engine, dice: Dice) -> None:
    with Session(engine, autoflush=False) as session:
        roots = draw_graph(dice, session)
        written = {encoding: dumps(roots, format=encoding) for encoding in ENCODINGS}
        before = pictures(roots)
        by_encoding: dict[str, Any] = {}
        for encoding in ENCODINGS:
            copies = loads(written[encoding], MODELS)
            assert [name_of(copy) for copy in copies] == [name_of(root) for root in roots]
            assert all(inspect(copy).session is None for copy in copies)
            after = by_encoding[encoding] = pictures(copies)
            different = differences(before, after, roots)
            assert not different, different
            assert pictures(loads(dumps(copies, format=encoding), MODELS)) == after
        assert by_encoding["json"] == by_encoding["msgpack"]
        assert pictures(roots) == before


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.data())
@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")
def test_a_copy_holds_and_tells_the_same_in_both_encodings(engine: Engine, data: st.DataObject) -> None:
    keeps_the_laws(engine, Dice(lambda least, most: data.draw(st.integers(least, most))))
