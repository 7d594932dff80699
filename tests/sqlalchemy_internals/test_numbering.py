"""How an ordering_list numbers is known also where the list itself has forgotten it."""

from __future__ import annotations

import pickle

from sqlalchemy.orm import configure_mappers

from sojourn import sqlalchemy_internals as internals
from tests.models.ordered import Chart, Deck, Lettered, Shelf, Slide


def test_a_list_tells_its_attribute_and_its_function() -> None:
    configure_mappers()
    found = internals.numbering_of(Deck().slides, None)
    assert found is not None
    assert (found.attribute, [found.number(at, []) for at in range(3)]) == ("position", [1, 2, 3])


def test_a_pickled_list_has_forgotten_and_its_factory_knows() -> None:
    configure_mappers()
    copy = pickle.loads(pickle.dumps(Deck(slides=[Slide(text="a")])))
    assert not hasattr(copy.slides, "ordering_attr"), "SQLAlchemy remembers: numbering_of needs no factory any more"
    found = internals.numbering_of(copy.slides, Deck.slides.property.collection_class)
    assert found is not None
    assert (found.attribute, found.number(0, copy.slides)) == ("position", 1)


def test_other_collections_and_lists_with_a_way_of_their_own_number_nobody() -> None:
    configure_mappers()
    assert internals.numbering_of([], list) is None
    assert internals.numbering_of(None, None) is None
    assert internals.numbering_of(Shelf().books, Lettered) is None
    assert internals.numbering_of(Chart().entries, None) is not None
