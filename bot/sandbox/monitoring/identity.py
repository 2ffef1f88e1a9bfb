"""The certificate by which the monitoring servers know each other, and refuse everybody else.

They have ports of their own that no guard of this world stands in front of, and Alertmanager lets any web page post to
it (its API answers every Origin). So they speak TLS only, and only with who shows this world's certificate: a page in
another tab cannot. The guarded address of each is its front (`front`).
"""

import json
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from bot.sandbox.host.machine_files import write_private

Json = dict[str, Any]
VALID = timedelta(days=3650)


@dataclass(frozen=True, slots=True)
class Identity:
    """One key and one certificate for all of them."""

    key: Path
    certificate: Path
    web_config: Path

    @classmethod
    def of(cls, folder: Path) -> "Identity":
        """What the folder holds: key, certificate, the servers' own configuration of TLS; made at the first time."""
        own = cls(folder / "key.pem", folder / "certificate.pem", folder / "web.yml")
        if own.web_config.is_file():
            return own
        key, certificate = _generate()
        write_private(own.key, key)
        write_private(own.certificate, certificate)
        files = {"cert_file": str(own.certificate), "key_file": str(own.key)}
        asking = {"client_auth_type": "RequireAndVerifyClientCert", "client_ca_file": str(own.certificate)}
        # JSON is YAML, and nobody has to quote anything.
        write_private(own.web_config, json.dumps({"tls_server_config": files | asking}, indent=1))
        return own

    def tls(self) -> Json:
        """How one of the servers reaches another: `tls_config` of Prometheus."""
        paths = {"ca_file": str(self.certificate), "cert_file": str(self.certificate), "key_file": str(self.key)}
        return paths | {"server_name": "127.0.0.1"}

    def context(self) -> ssl.SSLContext:
        """How this process reaches them."""
        context = ssl.create_default_context(cafile=str(self.certificate))
        context.load_cert_chain(self.certificate, self.key)
        return context


def _generate() -> tuple[str, str]:
    """A new key and its own certificate, as PEM. Imported here: only the first start of a world needs it."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Quarterdeck sandbox, monitoring")])
    now = datetime.now(UTC)
    usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + VALID)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private.decode(), certificate.public_bytes(serialization.Encoding.PEM).decode()
