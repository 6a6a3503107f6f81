"""HTML to PDF: A4 reports, written so that a reader never sees half a file."""

from pathlib import Path

from common.files import write_atomic


def render(html: str, path: Path | None = None) -> bytes:
    """The PDF of an HTML text; also written to `path`, atomically, where one is given.

    Pictures and style sheets stand in the text itself (`data:` addresses, `<style>`): no address
    is fetched from disk or network. Raises OSError when the file cannot be written.
    """
    # loading the text engine takes a second: not before the first report
    from weasyprint import HTML  # noqa: PLC0415
    from weasyprint.urls import URLFetcher  # noqa: PLC0415

    content = bytes(HTML(string=html, url_fetcher=URLFetcher(allowed_protocols=["data"])).write_pdf())
    if path is not None:
        write_atomic(path, content, mode=0o600)
    return content
