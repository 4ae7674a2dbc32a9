"""A container on a real Azurite, and a proxy before it that does to requests what networks and Azure do.

    with AzureStub(azurite) as azure:
        azure.put("exports/acme/20261001-20261031/run/part_0_0001.csv", content)
        azure.fail(busy(), None, cut_off())      # the next requests, in this order; None answers
        ... the real SDK at azure.export, with Azurite's key ...
        azure.asked                              # what was asked, in order: "list", "get <blob>", "sign in"

Listings are answered in pages of `page_size` blobs where it is set; without `checksums` no piece of a blob is told its
MD5. With `tls` it is Microsoft Entra too, for the app registration of `APP`: it gives a token for the secret, and the
container is read with that token.
"""

import base64
import json
import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from azure.storage.blob import AccountSasPermissions, ContainerClient, ResourceTypes, generate_account_sas
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.azurite import ACCOUNT, KEY, Azurite
from tests.fault_proxy import Answer, Fault, FaultProxy, Request, forward

APP = {"tenant_id": "11111111-aaaa-4aaa-8aaa-000000000001", "client_id": "22222222-bbbb-4bbb-8bbb-000000000002"}
SECRET = "stub~client~secret"
OBJECT_ID = "33333333-cccc-4ccc-8ccc-000000000003"


# ------------------------------------------------------------------------------------------------------------- faults
def status(code: int, name: str, message: str = "a fault of the stub", /, detail: str = "", **headers: str) -> Fault:
    """An error answer of Blob storage; headers by their names, with `_` for `-`."""
    more = f"<AuthenticationErrorDetail>{detail}</AuthenticationErrorDetail>" if detail else ""
    body = f'<?xml version="1.0" encoding="utf-8"?><Error><Code>{name}</Code><Message>{message}</Message>{more}</Error>'
    sent = {"Content-Type": "application/xml", "x-ms-error-code": name}
    sent |= {header.replace("_", "-"): value for header, value in headers.items()}
    return lambda handler, _answer: handler.send(Answer(code, sent, body.encode()))


def busy(**headers: str) -> Fault:
    """The account has too many requests."""
    return status(503, "ServerBusy", "The server is busy.", **headers)


def no_token(code: str, message: str = "a fault of the stub") -> Fault:
    """Microsoft Entra gives no token."""
    body = {"error": "invalid_client", "error_description": f"{code}: {message}"}
    answer = Answer(401, {"Content-Type": "application/json"}, json.dumps(body).encode())
    return lambda handler, _answer: handler.send(answer)


# --------------------------------------------------------------------------------------------------------------- stub
class AzureStub(FaultProxy):
    """A container of an Azurite, behind a proxy; see the module."""

    def __init__(self, azurite: Azurite, tls: ssl.SSLContext | None = None) -> None:
        self._azurite = azurite
        self._behind = urlsplit(azurite.endpoint).netloc
        self._signs_in = tls is not None
        self.sas = generate_account_sas(
            ACCOUNT, KEY, ResourceTypes(container=True, object=True), AccountSasPermissions(read=True, list=True),
            datetime.now(UTC) + timedelta(days=1),
        )  # fmt: skip
        super().__init__(tls)

    def reset(self) -> None:
        """No faults, and a new container."""
        super().reset()
        self.page_size: int | None = None
        self.checksums = True
        self.tokens: set[str] = set()
        self.container: ContainerClient = self._azurite.new_container()

    @property
    def account_url(self) -> str:
        """What the addresses of containers begin with."""
        return f"{self.url}/{ACCOUNT}"

    @property
    def root(self) -> str:
        """The address of the container."""
        return f"{self.account_url}/{self.container.container_name}"

    def put(self, key: str, body: bytes) -> None:
        """A blob, in the place of what the name had."""
        self.container.upload_blob(key, body, overwrite=True)

    def delete(self, *keys: str) -> None:
        """The blobs are gone."""
        for key in keys:
            self.container.delete_blob(key)

    def names(self) -> list[str]:
        """The names of all blobs."""
        return list(self.container.list_blob_names())

    def named(self, request: Request) -> str:
        path = unquote(urlsplit(request.path).path)
        if not path.startswith(f"/{ACCOUNT}/"):
            return "sign in"
        key = path.removeprefix(f"/{ACCOUNT}/{self.container.container_name}").lstrip("/")
        return "list" if "comp=list" in request.path else f"{request.command.lower()} {key}"

    def answer(self, request: Request) -> Answer:
        if self.named(request) == "sign in":
            return self._token(request)
        path = request.path
        if self.page_size and "comp=list" in path:
            path = f"{path}&maxresults={self.page_size}"
        if path == request.path and not self._signs_in:
            answer = forward(self._behind, request)
            if not self.checksums:
                answer.headers.pop("content-md5", None)
            return answer
        headers = dict(request.headers)
        token = headers.pop("authorization", "").removeprefix("Bearer ")
        if self._signs_in and token not in self.tokens:
            return Answer(401, {"x-ms-error-code": "InvalidAuthenticationInfo"}, b"")
        return forward(self._behind, Request("GET", f"{path}{'&' if '?' in path else '?'}{self.sas}", headers, b""))

    def _token(self, request: Request) -> Answer:
        """Where a tenant gives tokens, and a token for the app's secret."""
        tenant = request.path.split("/")[1]
        if tenant != APP["tenant_id"]:
            text = "AADSTS90002: Tenant not found. Check to make sure you have the correct tenant ID."
            return _json(400, {"error": "invalid_tenant", "error_description": text})
        if request.command == "GET":
            root = f"{self.url}/{tenant}"
            ends = {f"{end}_endpoint": f"{root}/oauth2/v2.0/{end}" for end in ("token", "authorization")}
            return _json(200, {"issuer": f"{root}/v2.0", **ends})
        form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        if form.get("client_id") != APP["client_id"]:
            return _json(400, {"error": "unauthorized_client", "error_description": "AADSTS700016: not found"})
        if form.get("client_secret") != SECRET:
            return _json(401, {"error": "invalid_client", "error_description": "AADSTS7000215: Invalid client secret"})
        claims = {"oid": OBJECT_ID, "appid": APP["client_id"], "n": len(self.tokens)}
        token = ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode() for part in ({}, claims, {}))
        self.tokens.add(token)
        return _json(200, {"token_type": "Bearer", "expires_in": 3600, "access_token": token})


def _json(code: int, body: dict[str, object]) -> Answer:
    return Answer(code, {"Content-Type": "application/json"}, json.dumps(body).encode())


def certificate(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate of this machine that it signed by itself: as a file to trust, and to serve with."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / "certificate.pem"
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file.write_bytes(private + signed.public_bytes(pem))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return file, context
