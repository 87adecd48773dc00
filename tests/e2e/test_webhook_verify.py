"""`errand webhook verify`: which requests it takes, what it says of those that it does not take; and, with the npm packages svix and
standardwebhooks: what they sign is right."""

import hashlib
import hmac
import json
import time
from pathlib import Path

import pytest

from cli_support import nowhere, refused  # noqa: F401
from support.hooks import BODY, OTHER_SECRET, PACKAGES, PLAIN_SECRET, SECRET, signing_packages, standard
from support.npm import Missing


def request(errand, headers, body=BODY, line="POST /webhooks/resend HTTP/1.1", end="\r\n"):
    lines = ([line] if line else []) + [f"{name}: {value}" for name, value in headers.items()] + ["", ""]
    (errand.dir / "request").write_bytes(end.join(lines).encode() + body)
    return str(errand.dir / "request")


@pytest.fixture
def errand(nowhere):  # noqa: F811
    nowhere.env["RESEND_WEBHOOK_SECRET"] = SECRET
    nowhere.env["LEMONSQUEEZY_WEBHOOK_SECRET"] = PLAIN_SECRET
    return nowhere


def verify(errand, *args, **kwargs):
    return errand.run("webhook", "verify", *args, **kwargs).stdout


@pytest.mark.parametrize("end", ["\r\n", "\n"])
@pytest.mark.parametrize("prefix", ["svix", "webhook", "Svix"])
def test_right(errand, prefix, end):
    assert verify(errand, request(errand, standard(prefix=prefix), end=end)) == "resend:msg_1: the signature is right\n"


def test_source_by_flag_and_from_standard_input(errand):
    path = request(errand, standard(), line=None)
    assert "add --source NAME" in refused(errand, "webhook", "verify", path, status=2)
    assert json.loads(verify(errand, "--source", "resend", "--json", "-", input=Path(path).read_text())) == {
        "source": "resend", "event_id": "msg_1", "verdict": "right"}


def test_the_secret_before(errand):
    errand.env["RESEND_WEBHOOK_SECRET"] = OTHER_SECRET
    path = request(errand, standard())
    assert "does not match" in refused(errand, "webhook", "verify", path, status=1)
    errand.env["ERRAND_WEBHOOK_RESEND_SECRET_OLD"] = SECRET
    assert "right" in verify(errand, path)


def test_lemon_squeezy(errand):
    mac = hmac.new(PLAIN_SECRET.encode(), BODY, hashlib.sha256).hexdigest()
    line = "POST /webhooks/lemonsqueezy?x=1 HTTP/1.1"
    for text in (mac, mac.upper()):
        assert verify(errand, request(errand, {"X-Signature": text}, line=line)) == (
            f"lemonsqueezy:{hashlib.sha256(BODY).hexdigest()}: the signature is right\n")
    for text in ("", mac[1:], mac + "00"):
        assert "not of the form" in refused(errand, "webhook", "verify", request(errand, {"X-Signature": text}, line=line), status=1)


def test_a_source_of_ones_own(errand):
    secret = errand.dir / "secret"
    secret.write_text("word\n")
    mac = hmac.new(b"word", BODY, hashlib.sha256).hexdigest()
    path = request(errand, {"X-Hub": mac}, line="POST /webhooks/shop HTTP/1.1")
    assert "add --secret-file" in refused(errand, "webhook", "verify", path, status=2)
    assert verify(errand, path, "--secret-file", secret, "--hex-header", "x-hub").startswith("shop:")
    secret.write_text(SECRET + "\n")
    path = request(errand, standard(prefix="webhook"), line="POST /webhooks/shop HTTP/1.1")
    assert verify(errand, path, "--secret-file", secret) == "shop:msg_1: the signature is right\n"


@pytest.mark.parametrize("change, said", [
    (lambda h: h.pop("svix-signature"), "header of the signature is missing"),
    (lambda h: h.update({"svix-id": "a.b"}), "the id is empty, too long"),
    (lambda h: h.update({"svix-timestamp": "soon"}), "not a whole number of seconds"),
    (lambda h: h.update({"svix-signature": "v1a,x"}), "not of the form"),
    (lambda h: h.update({"svix-id": "msg_2"}), "does not match")], ids=["missing", "id", "timestamp", "form", "other id"])
def test_why_not(errand, change, said):
    headers = standard()
    change(headers)
    text = refused(errand, "webhook", "verify", request(errand, headers), status=1)
    assert said in text and SECRET not in text


def test_a_changed_body(errand):
    text = refused(errand, "webhook", "verify", request(errand, standard(), body=BODY + b"\n"), status=1)
    assert "does not match" in text and "a line end more" in text


@pytest.mark.parametrize("by, said", [(-1000, " s ago"), (1000, " s ahead")])
def test_an_old_file_is_told_apart_from_a_wrong_one(errand, by, said):
    at = int(time.time()) + by
    text = refused(errand, "webhook", "verify", request(errand, standard(at=at)), status=1)
    assert "the signature is right, but its timestamp is" in text and said in text
    assert "does not match" in refused(errand, "webhook", "verify", request(errand, standard(at=at), body=b"{}"), status=1)


def test_without_a_secret_nothing_is_right(errand):
    del errand.env["RESEND_WEBHOOK_SECRET"]
    assert "no secret is set" in refused(errand, "webhook", "verify", request(errand, standard(key=b"")), status=1)
    empty = errand.dir / "empty"
    empty.write_text("\n")
    path = request(errand, standard(key=b""))
    assert "no secret is set" in refused(errand, "webhook", "verify", path, "--secret-file", str(empty), status=1)


def test_a_secret_of_another_form(errand):
    errand.env["RESEND_WEBHOOK_SECRET"] = "notwhsec_abcdef"
    text = refused(errand, "webhook", "verify", request(errand, standard()), status=2)
    assert "webhook.resend_secret" in text and "whsec_" in text and "abcdef" not in text


@pytest.mark.parametrize("content, said", [
    (b"", "no blank line"), (b"a: b\n", "no blank line"), (b"POST / HTTP/1.1\nno header\n\n", "line 2: 'no header' is no header"),
    (b"a: 1\nA: 2\n\n", "line 2: the header A stands there twice"), (b"a\0: b\n\n", "no blank line"), (b"a : b\n\n", "is no header")])
def test_files_that_are_no_request(errand, content, said):
    (errand.dir / "request").write_bytes(content)
    assert said in refused(errand, "webhook", "verify", str(errand.dir / "request"), "--source", "resend", status=2)
    assert "cannot open" in refused(errand, "webhook", "verify", str(errand.dir / "none"), status=2)


# ---- The packages ----

@pytest.fixture(scope="module")
def packages():
    try:
        return signing_packages()
    except Missing as missing:
        pytest.skip(str(missing))


@pytest.mark.parametrize("package", PACKAGES)
def test_what_the_packages_sign_is_right(errand, packages, package):
    now = int(time.time())
    bodies = ["", "{}", BODY.decode(), "ä€😀\r\n" * 50, "x" * 100000]
    signed = packages(*({"do": "sign", "package": package, "secret": SECRET, "id": f"msg_{n}", "at": now, "body": body}
                        for n, body in enumerate(bodies)))
    for n, (body, signature) in enumerate(zip(bodies, signed)):
        headers = {"webhook-id": f"msg_{n}", "webhook-timestamp": str(now), "webhook-signature": signature}
        assert verify(errand, request(errand, headers, body=body.encode())) == f"resend:msg_{n}: the signature is right\n"
        assert "does not match" in refused(errand, "webhook", "verify", request(errand, headers, body=body.encode() + b" "), status=1)


@pytest.mark.parametrize("package", PACKAGES)
def test_the_packages_take_what_this_test_signs(packages, package):
    """So the signatures of this file are what the packages mean."""
    prefix = "svix" if package == "svix" else "webhook"
    good, bad = standard(prefix=prefix), standard(prefix=prefix, key=bytes(24))
    assert packages(*({"do": "verify", "package": package, "secret": SECRET, "headers": headers, "body": BODY.decode()}
                      for headers in (good, bad))) == [True, False]
