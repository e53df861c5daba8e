"""The feed's MongoDB: builds of the read models, their writer, their comparison and their readers."""

from services.feed.store.builds import Builds, NoBuild, Pointer, Superseded
from services.feed.store.comparison import CollectionComparison, Comparison, compare
from services.feed.store.pages import File, Members, Pages, Reader
from services.feed.store.projector import Projector

__all__ = [
    "Builds",
    "CollectionComparison",
    "Comparison",
    "File",
    "Members",
    "NoBuild",
    "Pages",
    "Pointer",
    "Projector",
    "Reader",
    "Superseded",
    "compare",
]
