"""Laws of `dumps` and `loads`, held against random graphs of many mappings, in random shapes and with random edits.

In both encodings a copy holds what its original holds and tells the same edits, and a second round trip changes
nothing. The derandomized profile of the suite tries a few; `HYPOTHESIS_PROFILE=fuzz` tries 20,000 new ones.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, inspect
from sqlalchemy.orm import Session

from sojourn.snapshot import dumps, loads
from tests.snapshot.laws import ENCODINGS, differences, name_of, pictures
from tests.snapshot.worlds import MODELS, Dice, draw_graph, world

EXAMPLES = 50 if settings().max_examples == 100 else settings().max_examples  # few in the suite
PHASES = [Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink]  # what explains a failure takes minutes here


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
        copies = {encoding: loads(written[encoding], MODELS) for encoding in ENCODINGS}
        after = {encoding: pictures(copies[encoding]) for encoding in ENCODINGS}
        again = dice.one_of(ENCODINGS)
        different = differences(before, after[again], roots)
        assert not different, different
        assert after["json"] == after["msgpack"]
        assert pictures(loads(dumps(copies[again], format=again), MODELS)) == after[again]
        for each in copies.values():
            assert [name_of(copy) for copy in each] == [name_of(root) for root in roots]
            assert all(inspect(copy).session is None for copy in each)


@settings(
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], phases=PHASES, max_examples=EXAMPLES
)
@given(st.data())
@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")
def test_a_copy_holds_and_tells_the_same_in_both_encodings(engine: Engine, data: st.DataObject) -> None:
    keeps_the_laws(engine, Dice(lambda least, most: data.draw(st.integers(least, most))))
