"""What people read when an object store refuses."""

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from finops import schema as s
from finops.errors import LakeError
from finops.store import Lake
from tests.object_store import S3
from tests.unit.test_store import budget

Answer = tuple[int, str]


@pytest.fixture
def answering() -> Iterator[Callable[[int, str], Lake]]:
    """A lake whose S3 answers everything with one error."""
    answer: list[Answer] = []

    class Refusing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, code = answer[-1]
            body = f"<Error><Code>{code}</Code><Message>of the store</Message></Error>".encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    s3 = S3(f"http://127.0.0.1:{server.server_port}", Path())

    def lake(status: int, code: str) -> Lake:
        answer.append((status, code))
        return Lake("s3://bills/lake", lock_file=Path(), storage_options=s3.storage_options)

    yield lake
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("status", "code", "found", "next_step"),
    [
        (404, "NoSuchBucket", "no bucket", "create it"),
        (403, "AccessDenied", "was denied", "give these"),
        (301, "PermanentRedirect", "another region", "get-bucket-location"),
        (400, "AuthorizationHeaderMalformed", "another region", "get-bucket-location"),
        (403, "InvalidAccessKeyId", "does not accept the credentials", "renew"),
        (403, "ExpiredToken", "does not accept the credentials", "renew"),
    ],
)
def test_a_refusal_says_what_to_do(
    answering: Callable[[int, str], Lake], status: int, code: str, found: str, next_step: str
) -> None:
    """Reading and writing tell the same three parts: what the store said, what is needed, what to do."""
    lake = answering(status, code)
    with pytest.raises(LakeError, match=found) as read:
        lake.scan("charges")
    with pytest.raises(LakeError, match=found), lake.transaction("test"):
        pass
    assert "s3://bills/lake" in read.value.found
    assert next_step in read.value.next_step


def test_a_denial_names_the_permissions(answering: Callable[[int, str], Lake]) -> None:
    """Who may not read learns the four actions that the lake needs."""
    with pytest.raises(LakeError) as denied:
        answering(403, "AccessDenied").versions()
    for action in ("s3:ListBucket", "s3:GetObject", "s3:PutObject", "s3:DeleteObject"):
        assert action in denied.value.expected


def test_a_bucket_that_is_not_there_is_no_empty_lake(s3: S3) -> None:
    """A wrong bucket is an error of reading, not a lake without charges."""
    lake = Lake("s3://finops-lost/lake", lock_file=Path(), storage_options=s3.storage_options)
    with pytest.raises(LakeError, match="no bucket"):
        lake.scan("charges")


def test_a_store_that_is_away_says_so() -> None:
    """A server that does not answer is named, with what to check."""
    away = S3("http://127.0.0.1:1", Path()).storage_options | {"max_retries": "0"}
    with pytest.raises(LakeError, match="did not answer"):
        Lake("s3://bills/lake", lock_file=Path(), storage_options=away).versions()


def test_an_unknown_kind_of_store_is_no_empty_lake() -> None:
    """An address with a wrong scheme is refused, not read as a lake without charges."""
    with pytest.raises(LakeError, match="no address of a store"):
        Lake("s4://bills/lake", lock_file=Path()).versions()


def test_a_store_that_is_lost_in_the_middle_says_so(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that the store refuses ends the transaction with the store's reason, and the old snapshot stays."""
    lake = Lake(s3.new_uri(), lock_file=Path(), storage_options=s3.storage_options)
    with lake.transaction("test") as tx:
        tx.replace("budgets", budget("old"))
    broken = Lake(lake.uri, lock_file=Path(), storage_options=s3.storage_options)
    with pytest.raises(LakeError, match="did not answer"), broken.transaction("test") as tx:
        broken.storage_options = S3("http://127.0.0.1:1", Path()).storage_options | {"max_retries": "0"}
        tx.replace("budgets", budget("new"))
    assert lake.scan("budgets").collect()["budget_id"].to_list() == ["old"]
    assert dict(lake.scan("charges").collect_schema()) == s.TABLES["charges"].columns
