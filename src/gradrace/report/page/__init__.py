"""The report of a race as one page: a document of JSON types first, and one HTML file that draws from it.

Without torch. The file needs the extra ``gradrace[plots]``; the document does not.
"""

from gradrace.report.page.document import page_document
from gradrace.report.page.render import check_needed, page

__all__ = ["check_needed", "page", "page_document"]
