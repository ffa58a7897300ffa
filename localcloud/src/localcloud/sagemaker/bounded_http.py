"""HTTP whose requests are bounded before they have a body: in uvicorn a header, or a URL, may be of any size."""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_MOST = 64 * 1024  # bytes of a request's line and headers, or of its trailers; a read may bring somewhat more


class BoundedHttp(HttpToolsProtocol):
    """Counts the bytes that have come since the last that were a body's, and takes no more than so many."""

    _bytes = 0

    def data_received(self, data: bytes) -> None:
        self._bytes += len(data)
        super().data_received(data)
        if self._bytes > _MOST and not self.transport.is_closing():
            self.send_400_response(f"The request has more than {_MOST} bytes of headers.")

    def on_headers_complete(self) -> None:
        self._bytes = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._bytes = 0
        super().on_message_complete()
