"""One offline page of an examined case: a single HTML file that fetches nothing and says what it leaves out."""

from strataline.export.html.facts import unredacted
from strataline.export.html.page import LIMIT, page

__all__ = ["LIMIT", "page", "unredacted"]
