"""Certificates of an authority that only a test trusts."""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path

import pytest


def certificates(
    folder: Path, begin: datetime.datetime | None = None, end: datetime.datetime | None = None
) -> dict[str, str]:
    """An authority, a certificate of its for localhost, one for a client, one of a stranger: name → PEM file.

    Args:
        begin, end: when they are valid; by default from yesterday to tomorrow.
    """
    pytest.importorskip("cryptography")
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    now = datetime.datetime.now(datetime.timezone.utc)
    files: dict[str, str] = {}

    def name_of(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])

    def make(name: str, signer: tuple[x509.Name, ec.EllipticCurvePrivateKey] | None):
        key = ec.generate_private_key(ec.SECP256R1())
        subject = name_of(name)
        issuer, signing = signer or (subject, key)
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin or now - datetime.timedelta(days=1))
            .not_valid_after(end or now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=signer is None, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .sign(signing, hashes.SHA256())
        )
        files[name] = str(folder / f"{name}.pem")
        files[f"{name}-key"] = str(folder / f"{name}-key.pem")
        Path(files[name]).write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        Path(files[f"{name}-key"]).write_bytes(private)
        return subject, key

    authority = make("authority", None)
    make("server", authority)
    make("client", authority)
    make("stranger", None)
    return files
