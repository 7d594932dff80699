"""Classes that behave as few do, and what is mapped beside plain columns: concrete tables (Worker, Boss in a Firm),
association proxies over objects and over a dict (User.words, User.grades), hybrids and a cached property (User),
objects that are false, empty and equal to everything (Void), a class that guards its attributes (Warden), and
collections of classes of their own: a list, a set, and dicts keyed by a class and by a function (Crate)."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from sqlalchemy import ForeignKey, String
from sqlalchemy.ext.associationproxy import AssociationProxy, association_proxy
from sqlalchemy.ext.declarative import ConcreteBase
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import (
    DeclarativeBase,
    KeyFuncDict,
    Mapped,
    attribute_keyed_dict,
    keyfunc_mapping,
    mapped_column,
    relationship,
)


class Base(DeclarativeBase):
    pass


# --- concrete inheritance --------------------------------------------------------------------------------------------


class Firm(Base):
    __tablename__ = "firm"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(40))

    workers: Mapped[list[Worker]] = relationship(back_populates="firm")


class Worker(ConcreteBase, Base):
    __tablename__ = "worker"
    __mapper_args__ = {"polymorphic_identity": "worker", "concrete": True}

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(40))
    firm_id: Mapped[int | None] = mapped_column(ForeignKey("firm.id"))

    firm: Mapped[Firm | None] = relationship(back_populates="workers")


class Boss(Worker):
    """Each table counts for itself: worker 1 and boss 1 are two."""

    __tablename__ = "boss"
    __mapper_args__ = {"polymorphic_identity": "boss", "concrete": True}

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(40))
    salary: Mapped[int]
    firm_id: Mapped[int | None] = mapped_column(ForeignKey("firm.id"))

    firm: Mapped[Firm | None] = relationship(back_populates="workers")


# --- proxies and properties ------------------------------------------------------------------------------------------


class User(Base):
    __tablename__ = "user_account"

    id: Mapped[int] = mapped_column(primary_key=True)
    first: Mapped[str] = mapped_column(String(40))
    last: Mapped[str] = mapped_column(String(40))

    user_words: Mapped[list[UserWord]] = relationship(
        back_populates="user", cascade="all, delete-orphan", order_by="UserWord.word_id"
    )
    user_grades: Mapped[dict[str, Grade]] = relationship(
        collection_class=attribute_keyed_dict("subject"),
        cascade="all, delete-orphan",
    )
    words: AssociationProxy[list[Word]] = association_proxy(
        "user_words", "word", creator=lambda word: UserWord(word=word)
    )
    grades: AssociationProxy[dict[str, int]] = association_proxy(
        "user_grades", "points", creator=lambda subject, points: Grade(subject=subject, points=points)
    )

    @hybrid_property
    def name(self) -> str:
        return f"{self.first} {self.last}"

    @name.inplace.setter
    def _set_name(self, value: str) -> None:
        self.first, self.last = value.split(" ")

    @cached_property
    def shouted(self) -> str:
        return self.name.upper()


class UserWord(Base):
    __tablename__ = "user_word"

    user_id: Mapped[int] = mapped_column(ForeignKey("user_account.id"), primary_key=True)
    word_id: Mapped[int] = mapped_column(ForeignKey("word.id"), primary_key=True)

    user: Mapped[User] = relationship(back_populates="user_words")
    word: Mapped[Word] = relationship()


class Word(Base):
    __tablename__ = "word"

    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str] = mapped_column(String(40))


class Grade(Base):
    __tablename__ = "grade"

    user_id: Mapped[int] = mapped_column(ForeignKey("user_account.id"), primary_key=True)
    subject: Mapped[str] = mapped_column(String(40), primary_key=True)
    points: Mapped[int]


# --- objects that are not as others ----------------------------------------------------------------------------------


class Void(Base):
    """False, empty, equal to everything, all with one hash. Nobody may take it for None, or one for the other."""

    __tablename__ = "void"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(40))
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("void.id"))

    parent: Mapped[Void | None] = relationship(back_populates="children", remote_side="Void.id")
    children: Mapped[list[Void]] = relationship(back_populates="parent", order_by="Void.id")

    def __bool__(self) -> bool:
        return False

    def __len__(self) -> int:
        return 0

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 0

    def __iter__(self) -> Any:
        return iter(())


class Warden(Base):
    """Looks after its attributes: what is missing is made up, and what is set is noted."""

    __tablename__ = "warden"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(40))
    rank: Mapped[int | None]

    def __getattr__(self, key: str) -> Any:
        if key.startswith("_"):
            raise AttributeError(key)
        return f"made up: {key}"

    def __setattr__(self, key: str, value: Any) -> None:
        super().__setattr__(key, value)
        if not key.startswith("_"):
            self.__dict__.setdefault("noted", []).append(key)


# --- collections of their own classes --------------------------------------------------------------------------------


class Row(list[Any]):
    """A list that knows more."""

    def names(self) -> list[str]:
        return [each.name for each in self]


class Heap(set[Any]):
    """A set that knows more."""

    def total(self) -> int:
        return len(self)


class ByInitial(KeyFuncDict[str, Any]):
    """A dict that chooses the keys."""

    def __init__(self) -> None:
        super().__init__(lambda each: each.name[0])


class Crate(Base):
    __tablename__ = "crate"

    id: Mapped[int] = mapped_column(primary_key=True)

    row: Mapped[Row] = relationship("Bottle", collection_class=Row, order_by="Bottle.id", back_populates="crate")
    heap: Mapped[Heap] = relationship("Can", collection_class=Heap, back_populates="crate")
    jars: Mapped[ByInitial] = relationship("Jar", collection_class=ByInitial, back_populates="crate")
    boxes: Mapped[dict[int, Pack]] = relationship(
        collection_class=keyfunc_mapping(lambda pack: len(pack.name)), back_populates="crate"
    )


class Held:
    """What everything in a crate has."""

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(40))
    crate_id: Mapped[int | None] = mapped_column(ForeignKey("crate.id"))


class Bottle(Held, Base):
    __tablename__ = "bottle"

    crate: Mapped[Crate | None] = relationship(back_populates="row")


class Can(Held, Base):
    __tablename__ = "can"

    crate: Mapped[Crate | None] = relationship(back_populates="heap")


class Jar(Held, Base):
    __tablename__ = "jar"

    crate: Mapped[Crate | None] = relationship(back_populates="jars")


class Pack(Held, Base):
    __tablename__ = "pack"

    crate: Mapped[Crate | None] = relationship(back_populates="boxes")
