"""Links of scikit-learn's HTML representation to the API pages of the site."""

from __future__ import annotations

from itertools import takewhile

SITE = "https://focal-gbm.readthedocs.io/en/latest"


class DocLinkMixin:
    """Mixin whose estimators link to their own page, not to that of a parent."""

    _doc_link_module = "focal_gbm"
    _doc_link_template = SITE + "/doc/api/generated/{page}.html"

    def _doc_link_url_param_generator(self) -> dict[str, str]:
        """Return the name of the page: the path by which users import the class."""
        import focal_gbm

        name = type(self).__name__
        parts = type(self).__module__.split(".")
        public = takewhile(lambda part: not part.startswith("_"), parts)
        home = "focal_gbm" if name in focal_gbm.__all__ else ".".join(public)
        return {"page": f"{home}.{name}"}
