"""Requests to S3 by boto3: addresses, profiles and credentials as AWS's own tools have them, errors in one sentence."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    FlexibleChecksumError,
    HTTPClientError,
    NoCredentialsError,
)

from rollcast.stacks.base.errors import StackError
from rollcast.stacks.registries.limits import Limits
from rollcast.stacks.registries.transfer import CHUNK, Interrupted

_MAKING = threading.Lock()
_ATTEMPTS = 3
_ABSENT = ("404", "NoSuchKey", "NoSuchVersion", "405", "MethodNotAllowed")
_REFUSED = ("401", "403", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken")
UNLISTED = ("AccessDenied", "NotImplemented", "501")  # of versions: no right to see them, or a server without
_MOVED = ("412", "PreconditionFailed")


def s3_client() -> Any:
    """One for the environment as it is. Raises StackError: a profile or a setting that can't be used."""
    said = tuple(sorted((name, value) for name, value in os.environ.items() if name.startswith("AWS_")))
    with _MAKING:  # making one takes a tenth of a second, and two at a time break each other
        return _made(said, Limits.from_environment().timeout_s)


@lru_cache(maxsize=4)
def _made(environment: tuple[tuple[str, str], ...], timeout_s: float) -> Any:
    retries = {"total_max_attempts": _ATTEMPTS, "mode": "standard"}
    settings = Config(connect_timeout=timeout_s, read_timeout=timeout_s, retries=retries, max_pool_connections=32)
    with refusals("S3"):
        return boto3.session.Session().client("s3", config=settings)


@contextlib.contextmanager
def refusals(what: str, *, moved: str = "") -> Iterator[None]:
    """What S3 answers about `what` as StackError, with a remedy. moved: says what other content there means."""
    try:
        yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", "an error"))
        raise StackError(_sentence(what, code, moved)) from None
    except NoCredentialsError:
        raise StackError(
            f"{what}: there are no credentials. Set AWS_PROFILE, or log in as for AWS's own command line."
        ) from None
    except (EndpointConnectionError, ConnectTimeoutError, HTTPClientError) as error:
        where = error.kwargs.get("endpoint_url") or "S3"
        why = type(error).__name__.removesuffix("Error")
        raise StackError(
            f"{what}: {where} can't be reached ({why}). Check AWS_ENDPOINT_URL, AWS_REGION and the network."
        ) from None
    except (BotoCoreError, ValueError) as error:
        raise StackError(f"{what}: boto3 refuses it ({error}). Correct it, or AWS's configuration.") from None


def _sentence(what: str, code: str, moved: str) -> str:
    if code == "NoSuchBucket":
        return f"{what}: there is no such bucket. Correct its name, or AWS_ENDPOINT_URL."
    if code in _ABSENT:
        return f"{what}: it isn't there. Correct the key or version, or put it there."
    if code in _MOVED:
        return f"{what}: {moved or 'it was overwritten'}"
    if code in _REFUSED:
        return (
            f"{what}: access is refused ({code}). Ask for the right to read it, or use other credentials: AWS_PROFILE, "
            "~/.aws/credentials, or what AWS's own command line takes."
        )
    return f"{what}: S3 answered '{code}'. Try again, or see to that bucket."


def chunks(client: Any, what: str, about: dict[str, Any], at: int, moved: str) -> Iterator[bytes]:
    """An object from an offset on. Raises Interrupted where it breaks off, StackError where it is refused."""
    rest = {"Range": f"bytes={at}-"} if at else {}
    with refusals(what, moved=moved):
        try:
            answer = client.get_object(**about, **rest)
        except HTTPClientError as error:
            raise Interrupted(type(error).__name__) from None
    skip = 0 if answer.get("ContentRange") else at  # a server that can't go on sends all again
    with contextlib.closing(answer["Body"]) as body:
        try:
            for chunk in body.iter_chunks(CHUNK):
                yield chunk[skip:]
                skip = max(0, skip - len(chunk))
        except FlexibleChecksumError:
            raise StackError(f"{what}: its content is not what S3's own checksum says. Put it there again.") from None
        except (BotoCoreError, OSError) as error:
            raise Interrupted(type(error).__name__) from None


__all__ = ["UNLISTED", "chunks", "refusals", "s3_client"]
