"""The certificate of the page: one from files, or one that the device makes for itself.

Both are read again while the page is served: a renewed certificate needs no restart.
"""

from __future__ import annotations

import datetime
import hashlib
import ipaddress
import logging
import re
import ssl
import stat
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from ..errors import EdgetlError, InputError
from ..files import write_atomically

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

log = logging.getLogger("edgetl.web")

OWN_FILE = "page.pem"  # in the device home: private key and certificate
BACKDATED_DAYS = 30  # a Raspberry Pi without a network may live in the past
VALID_DAYS = 367  # with the days before now less than the 398 that browsers grant
RENEW_DAYS = 30  # before its end it is made anew
LOOK_S = 6 * 3600.0  # between two looks at whether there is a newer one

_EXPIRED, _NOT_YET = 10, 9  # X509_V_ERR_CERT_HAS_EXPIRED and _NOT_YET_VALID of OpenSSL


class Certificate:
    """A certificate and its private key from files in PEM.

    Args:
        certificate: the server's certificate, then those between it and its authority.
        key: its private key; None where it lies in the same file.

    Attributes:
        context: for the server; a renewed certificate is in use as soon as :meth:`refresh` saw it.

    Raises:
        InputError: a file cannot be used, the two do not belong together, or the certificate is not valid today.
    """

    is_own = False

    def __init__(self, certificate: Path, key: Path | None = None) -> None:
        self._certificate, self._key = certificate, key or certificate
        _refuse_open_key(self._key)
        self.context = _loaded(self._certificate, self._key)
        self._stamp = self._stamped()

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate, as browsers show it."""
        digest = hashlib.sha256(_first(self._certificate)).hexdigest().upper()
        return ":".join(digest[at : at + 2] for at in range(0, len(digest), 2))

    def refresh(self) -> bool:
        """Read the files again if they changed; whether there is another certificate now. What is wrong is logged."""
        if self._stamped() == self._stamp:
            return False
        try:
            _loaded(self._certificate, self._key)
            self.context.load_cert_chain(self._certificate, self._key, _no_password)
        except (OSError, EdgetlError) as error:
            log.warning("the new certificate of the page cannot be used, so the old one stays: %s", error)
            return False
        self._stamp = self._stamped()
        log.info("the page has a new certificate")
        return True

    def _stamped(self) -> tuple[tuple[int, int, int], ...]:
        found = []
        for path in (self._certificate, self._key):
            with suppress(OSError):
                status = path.stat()
                found.append((status.st_ino, status.st_size, status.st_mtime_ns))
        return tuple(found)


class OwnCertificate(Certificate):
    """A certificate that the device signs itself, in its home; made anew before it ends, or when it has other names.

    Args:
        folder: the device home.
        names: returns the host names and addresses that the page is reached by.

    Raises:
        InputError: the cryptography package is not installed.
        StorageError: it cannot be written.
    """

    is_own = True

    def __init__(self, folder: Path, names: Callable[[], Iterable[str]]) -> None:
        self._folder, self._names = folder, names
        self._renew()
        super().__init__(folder / OWN_FILE)

    def refresh(self) -> bool:
        """Make it anew if it is time, and read it."""
        try:
            self._renew()
        except EdgetlError as error:
            log.warning("the page's certificate cannot be renewed: %s", error)
        return super().refresh()

    def _renew(self) -> None:
        names = tuple(dict.fromkeys(self._names()))
        data = b""
        with suppress(OSError):
            data = (self._folder / OWN_FILE).read_bytes()
        if not _serves(data, names):
            write_atomically(self._folder / OWN_FILE, _made(names, data), private=True)


def _loaded(certificate: Path, key: Path) -> ssl.SSLContext:
    """A server's context, tried out in memory: as a browser would, but for the authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key, _no_password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise InputError(f"{key} is not the private key of the certificate {certificate}: give its own") from None
        raise InputError(
            f"{certificate} and {key} must be a certificate and its private key without a password, in PEM"
        ) from None
    except OSError as error:
        raise InputError(f"cannot read the certificate {certificate} or its key {key}: {error.strerror}") from None
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    client.load_verify_locations(cadata=_first(certificate))
    try:
        _shake_hands(context, client)
    except ssl.SSLCertVerificationError as error:
        when = {_EXPIRED: "has expired: renew it", _NOT_YET: "is not valid yet: is the clock right?"}
        raise InputError(
            f"the certificate {certificate} {when.get(error.verify_code, f'cannot be used: {error.verify_message}')}"
        ) from None
    except ssl.SSLError as error:
        raise InputError(f"the certificate {certificate} cannot be used: {error.reason}") from None
    return context


def _shake_hands(server: ssl.SSLContext, client: ssl.SSLContext) -> None:
    """Raises SSLError where the two do not come together."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    asking = client.wrap_bio(to_client, to_server)
    answering = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(3):
        for side in (asking, answering):
            with suppress(ssl.SSLWantReadError):
                side.do_handshake()


def _refuse_open_key(key: Path) -> None:
    with suppress(OSError):
        mode = stat.S_IMODE(key.stat().st_mode)
        if mode & (stat.S_IRWXO | stat.S_IWGRP):
            raise InputError(
                f"the private key {key} can be read or changed by others (mode {mode:04o}): "
                f"`chmod 600 {quote(str(key))}`"
            )


def _no_password() -> str:
    """Without this, OpenSSL asks for one on the terminal."""
    return ""


def _first(certificate: Path) -> bytes:
    """The first certificate of a file, DER; raises InputError where it is written as OpenSSL alone reads it."""
    found = _PEM.search(certificate.read_text("ascii", "replace"))
    try:
        return ssl.PEM_cert_to_DER_cert(found[0] if found else "")
    except ValueError:
        raise InputError(
            f"{certificate} holds no line {_BEGIN}: `openssl x509 -in FILE -out NEW.pem` writes it so"
        ) from None


_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
_PEM = re.compile(f"^{_BEGIN}.*?^{_END}", re.MULTILINE | re.DOTALL)  # there may be any text before it


# made here --------------------------------------------------------------------------------------------------------


def _serves(data: bytes, names: Iterable[str]) -> bool:
    """Whether a file holds a certificate for all the names, for a while to come."""
    x509 = _x509()
    try:
        certificate = x509.load_pem_x509_certificate(data)
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        known = {name.lower() for name in extension.get_values_for_type(x509.DNSName)}
        known |= {str(address) for address in extension.get_values_for_type(x509.IPAddress)}
    except (ValueError, x509.ExtensionNotFound):
        return False
    now = datetime.datetime.now(datetime.timezone.utc)
    left = certificate.not_valid_after_utc - now
    return (
        left > datetime.timedelta(days=RENEW_DAYS)
        and certificate.not_valid_before_utc < now
        and known >= {str(name) for name in _names_of(names)}
    )


def _names_of(names: Iterable[str]) -> list[str | ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """Addresses as such; names that a certificate can hold."""
    found: list[str | ipaddress.IPv4Address | ipaddress.IPv6Address] = []
    for name in names:
        try:
            found.append(ipaddress.ip_address(name.partition("%")[0]))
        except ValueError:
            with suppress(UnicodeError):
                ascii_name = name.encode("idna").decode().lower()
                found += [ascii_name] if ascii_name else []
    return found


def _made(names: Iterable[str], before: bytes) -> bytes:
    """Key and certificate in PEM; the key stays what it was."""
    x509 = _x509()
    from cryptography.hazmat.primitives import hashes, serialization

    key = _key(before)
    now = datetime.datetime.now(datetime.timezone.utc)
    alternative = [x509.DNSName(name) if isinstance(name, str) else x509.IPAddress(name) for name in _names_of(names)]
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "edgetl device")])
    usage = x509.KeyUsage(
        digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=False, crl_sign=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=BACKDATED_DAYS))
        .not_valid_after(now + datetime.timedelta(days=VALID_DAYS))
        .add_extension(x509.SubjectAlternativeName(alternative), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)  # it can sign nothing else
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private + bytes(certificate.public_bytes(serialization.Encoding.PEM))


def _key(before: bytes) -> EllipticCurvePrivateKey:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    with suppress(ValueError, TypeError):
        key = serialization.load_pem_private_key(before, None)
        if isinstance(key, ec.EllipticCurvePrivateKey):
            return key
    return ec.generate_private_key(ec.SECP256R1())


def _x509() -> Any:
    try:
        from cryptography import x509
    except ModuleNotFoundError:
        raise InputError("--tls self needs cryptography: `pip install 'edgetl-device[sign]'`") from None
    return x509
