"""Media: ids, short-lived URLs, bytes.

Ids in webhooks live 7 days, uploaded ones 30 days; a resolved URL lives 5 minutes and needs the token
(WA/business-phone-numbers/media, 2025-10).
"""

from __future__ import annotations

import base64
import hashlib
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from devstack.emulator.whatsapp.errors import RefusedError

WEBHOOK_MEDIA_LIFE = timedelta(days=7)
UPLOADED_MEDIA_LIFE = timedelta(days=30)
URL_LIFE = timedelta(minutes=5)
MEDIA_STORED_MAX = 1_000
MEGABYTE_BYTES = 1024 * 1024

# (types accepted, bytes at most) per kind; a document may be of any type.
_UPLOADS: tuple[tuple[frozenset[str], int], ...] = (
    (frozenset({"image/jpeg", "image/png"}), 5 * MEGABYTE_BYTES),
    (frozenset({"video/mp4", "video/3gpp"}), 16 * MEGABYTE_BYTES),
    (frozenset({"audio/aac", "audio/amr", "audio/mpeg", "audio/mp4", "audio/ogg"}), 16 * MEGABYTE_BYTES),
    (frozenset({"image/webp"}), MEGABYTE_BYTES // 2),
)
_DOCUMENTS = frozenset({"text/plain", "application/pdf", "application/msword", "application/vnd.ms-excel", "application/vnd.ms-powerpoint"})
_DOCUMENT_PREFIX = "application/vnd.openxmlformats-officedocument"
DOCUMENT_BYTES_MAX = 100 * MEGABYTE_BYTES


@dataclass(frozen=True, slots=True)
class StoredMedia:
    """Bytes that the vendor holds until `expires_at`. `url` is set once it was resolved."""

    id: str
    mime_type: str
    content: bytes
    expires_at: datetime
    url: str = ""
    url_expires_at: datetime | None = None

    @property
    def sha256_hexadecimal(self) -> str:
        """Return the digest as the media endpoint gives it."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def sha256_base64(self) -> str:
        """Return the digest as webhooks give it."""
        return base64.b64encode(hashlib.sha256(self.content).digest()).decode()


def check_upload(mime_type: str, size_bytes: int) -> None:
    """Refuse what the vendor does not take.

    Raises:
        RefusedError: Wrong type or too big (code 100).
    """
    plain = mime_type.partition(";")[0].strip().lower()
    for types, bytes_max in _UPLOADS:
        if plain in types:
            return _check_size(size_bytes, bytes_max)
    if plain in _DOCUMENTS or plain.startswith(_DOCUMENT_PREFIX):
        return _check_size(size_bytes, DOCUMENT_BYTES_MAX)
    raise RefusedError(100, f"Param file must be a file with one of the supported types. Received file of type '{plain}'.")


def _check_size(size_bytes: int, bytes_max: int) -> None:
    if size_bytes > bytes_max:
        raise RefusedError(100, f"Param file is {size_bytes} bytes, at most {bytes_max} are allowed for its type.")


@dataclass
class MediaStore:
    """The media of one emulated app; the oldest are forgotten beyond `MEDIA_STORED_MAX`."""

    _media: OrderedDict[str, StoredMedia] = field(default_factory=OrderedDict)
    _number: int = 0

    def put(self, mime_type: str, content: bytes, *, now: datetime, life: timedelta) -> StoredMedia:
        """Store bytes under a new id."""
        self._number += 1
        media = StoredMedia(str(10**15 + self._number), mime_type, content, now + life)
        self._media[media.id] = media
        if len(self._media) > MEDIA_STORED_MAX:
            self._media.popitem(last=False)
        return media

    def find(self, media_id: str, now: datetime) -> StoredMedia | None:
        """Return the media if it is there and has not expired."""
        media = self._media.get(media_id)
        return media if media is not None and now < media.expires_at else None

    def resolve(self, media: StoredMedia, base_url: str, now: datetime) -> StoredMedia:
        """Give `media` a fresh URL of five minutes and return it."""
        issued = f"{base_url}/whatsapp-media/{media.id}?issued={int(now.timestamp() * 1000)}"
        resolved = replace(media, url=issued, url_expires_at=now + URL_LIFE)
        self._media[media.id] = resolved
        return resolved

    def download(self, media_id: str, now: datetime) -> StoredMedia | None:
        """Return the media if it was resolved less than five minutes ago."""
        media = self.find(media_id, now)
        if media is None or media.url_expires_at is None or now >= media.url_expires_at:
            return None
        return media

    def delete(self, media_id: str) -> bool:
        """Forget the media; False when it is not there."""
        return self._media.pop(media_id, None) is not None
