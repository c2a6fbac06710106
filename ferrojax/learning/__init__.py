"""What to label next: exploration, uncertainty, selection, and the loop of them."""

from ferrojax.learning.loop import Learnt, learn

__all__ = ["Learnt", "learn"]
