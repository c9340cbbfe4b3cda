"""Secrets are found in all the ways they are written; only they are replaced."""

import base64

import pytest

from blocks.redact import Redactor

REDACTOR = Redactor()

HEX = "0123456789abcdef0123456789abcdef"
RANDOM = "Zq3vT9xK1mB7pL5sD2fG8hJ4kN6cR0wY"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"


def key(*parts: str) -> str:
    """A secret in pieces, so that scanners of source code do not take this file for a leak."""
    return "".join(parts)


SHAPES = {
    key("sk-", RANDOM): "openai-key",
    key("sk-", "proj-", RANDOM, "_", RANDOM): "openai-key",
    key("sk-", "ant-api03-", RANDOM): "anthropic-key",
    key("AKIA", "IOSFODNN7EXAMPLE"): "aws-key",
    key("ASIA", "IOSFODNN7EXAMPLE"): "aws-key",
    key("ghp_", RANDOM, "abcd"): "github-token",
    key("gho_", RANDOM, "abcd"): "github-token",
    key("github_pat_", RANDOM): "github-token",
    key("glpat-", RANDOM[:20]): "gitlab-token",
    key("xoxb-", "123456789012-", RANDOM): "slack-token",
    key("xoxe.", "xoxp-1-", RANDOM): "slack-token",
    key("AIza", "SyD", RANDOM): "google-key",
    key("sk_", "live_", RANDOM): "stripe-key",
    key("whsec_", RANDOM): "stripe-key",
    key("c500_", "0123456789ab_", RANDOM, "abcdefghijk"): "c500-key",
    key("pnu_", RANDOM, "abcd"): "prefect-key",
    key("pnb_", RANDOM, "abcd"): "prefect-key",
    JWT: "jwt",
    key("hf_", "abcdefghijklmnopqrstuvwxyzABCDEFGH"): "vendor-key",
    key("npm_", RANDOM, "abcd"): "vendor-key",
    key("SG.", RANDOM[:22], ".", RANDOM): "vendor-key",
    key("dop_v1_", HEX, HEX): "vendor-key",
    key("hvs.", RANDOM): "vendor-key",
    key("https://hooks.slack.com/", "services/T00000000/B00000000/", RANDOM[:24]): "webhook",
    key("123456789", ":AA", RANDOM, "x"): "vendor-key",
}


@pytest.mark.parametrize(("secret", "kind"), SHAPES.items(), ids=lambda value: str(value)[:12])
@pytest.mark.parametrize("around", ["{}", "see {}, then", '"{}"', "a\\n{}\\n", "x%20{}%20"])
def test_a_known_shape_is_found_wherever_it_stands(secret: str, kind: str, around: str) -> None:
    text = around.format(secret)
    cleaned = REDACTOR.text(text)
    assert kind in REDACTOR.found(text)
    assert RANDOM[:20] not in cleaned
    assert secret not in cleaned


NAMED = [
    "DB_PASSWORD=hunter2",
    'export API_TOKEN="hunter2"',
    "password: hunter2",
    "password: 'hunter2'",
    "passwd = hunter2",
    "  pwd: hunter2",
    "pass=hunter2",
    "client_secret=hunter2",
    "api_key: hunter2",
    "X-API-Key: hunter2",
    '{"password": "hunter2"}',
    '{"apiKey":"hunter2","n":1}',
    r"{\"access_token\": \"hunter2\"}",
    r"{\\\"access_token\\\": \\\"hunter2\\\"}",
    '"env": "A=1\\nDB_PASSWORD=hunter2\\nB=2"',
    "https://host/x?token=hunter2&page=3",
    "https://host/x?access_token=hunter2#top",
    "deploy --password hunter2 --force",
    "deploy --api-key=hunter2",
    '["deploy", "--password", "hunter2"]',
    "<password>hunter2</password>",
    '<user password="hunter2"/>',
    'password: str = "hunter2"',
    "$config['password'] = 'hunter2';",
    ":password => 'hunter2'",
    "db.password=hunter2",
    "spring.datasource.password=hunter2",
    "Server=db;User Id=sa;Password=hunter2;Encrypt=yes",
    "AccountName=a;AccountKey=hunter2/x==;EndpointSuffix=b",
    "aws_secret_access_key = hunter2/K7MDENG",
    "requirepass hunter2",
    "machine host login me password hunter2",
    "machine host\n  login me\n  password hunter2\n",
    "//packages.example.org/:_authToken=hunter2",
    "- name: DB_PASSWORD\n  value: hunter2",
    '{"name": "DB_PASSWORD", "value": "hunter2"}',
    "API key: hunter2hunter2",
    "STRIPE_KEY=hunter2",
    "The database password is: X&hunter2",
    "The password is hunter2, do not tell",
    "| password | hunter2 |",
    "mật khẩu: hunter2",
    "Mật khẩu là hunter2 nhé",
    "mat_khau=hunter2",
    "    token: hunter2x",
    "client-key-data: hunter2hunter2",
    'f(password="hunter2", x=1)',
    'get_password(password="hunter2")',
    "password=hun\\ter2;hunter2",
    "docker run -e DB_PASSWORD=hunter2;&x image",
    "PASSWORD = 'unterminated hunter2",
    "&quot;password&quot;:&quot;hunter2&quot;",
    "password%3Dhunter2",
]


@pytest.mark.parametrize("text", NAMED)
def test_what_is_named_like_a_secret_is_taken_out(text: str) -> None:
    cleaned = REDACTOR.text(text)
    assert "hunter2" not in cleaned
    assert "[REDACTED:" in cleaned


def test_what_stands_around_a_secret_stays() -> None:
    text = 'export A=1\nexport DB_PASSWORD="hunter2" # rotate\n{"user": "ann", "password": "hunter2", "port": 5432}\n'
    expected = text.replace("hunter2", "[REDACTED:password]")
    assert REDACTOR.text(text) == expected


def test_a_block_of_yaml_is_one_value() -> None:
    text = "password: |\n  hunter2\n  hunter3\nuser: ann\n"
    assert REDACTOR.text(text) == "password: |\n[REDACTED:password]\nuser: ann\n"


CARRIED = {
    "postgres://ann:hunter2@db:5432/x": "postgres://ann:[REDACTED:url-password]@db:5432/x",
    "postgresql+asyncpg://ann:hun/ter2#@db/x": "postgresql+asyncpg://ann:[REDACTED:url-password]@db/x",
    "mysql://ann:hunt@er2@db/x": "mysql://ann:[REDACTED:url-password]@db/x",
    "redis://:hunter2@cache:6379/0": "redis://:[REDACTED:url-password]@cache:6379/0",
    "amqp://guest:guest@mq": "amqp://guest:[REDACTED:url-password]@mq",
    "mongodb+srv://ann:hunter2@m.example.org": "mongodb+srv://ann:[REDACTED:url-password]@m.example.org",
    "https://ann:hunter2@example.org/x?y=1": "https://ann:[REDACTED:url-password]@example.org/x?y=1",
    "https://0123456789abcdef01234567@example.org": "https://[REDACTED:url-password]@example.org",
    "ann:hunter2@tcp(db:3306)/x": "ann:[REDACTED:url-password]@tcp(db:3306)/x",
    "Authorization: Bearer hunter2.x-y": "Authorization: Bearer [REDACTED:authorization]",
    "authorization: token hunter2": "authorization: token [REDACTED:authorization]",
    '{"Authorization": "Basic YW5uOmh1bnRlcjI="}': '{"Authorization": "Basic [REDACTED:authorization]"}',
    "curl -H 'Authorization: Bearer hunter2'": "curl -H 'Authorization: Bearer [REDACTED:authorization]'",
    "got Bearer hunter2hunter2 back": "got Bearer [REDACTED:authorization] back",
    "Proxy said Basic YW5uOmh1bnRlcjI=": "Proxy said Basic [REDACTED:authorization]",
    "Set-Cookie: session=hunter2; Path=/": "Set-Cookie: [REDACTED:cookie]",
    "curl -u ann:hunter2 http://host": "curl -u ann:[REDACTED:password] http://host",
    "curl --user ann:hunter2 http://host": "curl --user ann:[REDACTED:password] http://host",
    "sshpass -p hunter2 ssh host": "sshpass -p [REDACTED:password] ssh host",
    "mysql -uroot -phunter2 shop": "mysql -uroot -p[REDACTED:password] shop",
    "redis-cli -a hunter2 ping": "redis-cli -a [REDACTED:password] ping",
    '{"auths": {"host": {"auth": "YW5uOmh1bnRlcjI="}}}': '{"auths": {"host": {"auth": "[REDACTED:credentials]"}}}',
    f"https://s3/x?X-Amz-Signature={HEX}{HEX}&y=1": "https://s3/x?X-Amz-Signature=[REDACTED:credentials]&y=1",
}


@pytest.mark.parametrize(("text", "expected"), CARRIED.items())
def test_what_protocols_and_programs_carry_is_taken_out(text: str, expected: str) -> None:
    assert REDACTOR.text(text) == expected


PEM_KINDS = ["", "RSA ", "EC ", "DSA ", "OPENSSH ", "ENCRYPTED "]


@pytest.mark.parametrize("kind", PEM_KINDS)
@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\\n", "\\\\n"])
def test_a_private_key_is_taken_out_whole(kind: str, line_break: str) -> None:
    body = line_break.join([RANDOM * 2] * 4)
    pem = f"-----BEGIN {kind}PRIVATE KEY-----{line_break}{body}{line_break}-----END {kind}PRIVATE KEY-----"
    assert REDACTOR.text(f"before {pem} after") == "before [REDACTED:private-key] after"


def test_a_private_key_that_is_cut_off_is_taken_out_as_far_as_it_goes() -> None:
    body = "\n".join([RANDOM * 2] * 3)
    text = f"-----BEGIN PRIVATE KEY-----\n{body}\n{RANDOM[:9]}\nand so the file ended, said the log\n"
    assert REDACTOR.text(text) == "[REDACTED:private-key]\nand so the file ended, said the log\n"


def test_a_pgp_key_and_one_of_putty_are_private_keys_too() -> None:
    pgp = f"-----BEGIN PGP PRIVATE KEY BLOCK-----\nVersion: x\n\n{RANDOM}\n=abcd\n-----END PGP PRIVATE KEY BLOCK-----"
    putty = f"PuTTY-User-Key-File-2: ssh-rsa\nPrivate-Lines: 2\n{RANDOM}\n{RANDOM}\n"
    assert REDACTOR.text(pgp) == "[REDACTED:private-key]"
    assert RANDOM not in REDACTOR.text(putty)


def test_the_base64_of_a_private_key_is_one_and_that_of_a_certificate_is_none() -> None:
    private = base64.b64encode(f"-----BEGIN RSA PRIVATE KEY-----\n{RANDOM}".encode()).decode()
    public = base64.b64encode(f"-----BEGIN CERTIFICATE-----\n{RANDOM}".encode()).decode()
    text = f"x: {private}\ny: {public}\n"
    assert REDACTOR.text(text) == f"x: [REDACTED:private-key]\ny: {public}\n"


def test_all_values_of_a_kubernetes_secret_are_secret() -> None:
    yaml = "apiVersion: v1\nkind: Secret\ndata:\n  user: YW5u\n  any: aHVudGVyMg==\ntype: Opaque\n"
    json = '{"kind": "Secret", "data": {"user": "YW5u", "any": "aHVudGVyMg=="}, "type": "Opaque"}'
    assert REDACTOR.text(yaml) == yaml.replace("YW5u", "[REDACTED:secret]").replace("aHVudGVyMg==", "[REDACTED:secret]")
    assert REDACTOR.text(json) == json.replace("YW5u", "[REDACTED:secret]").replace("aHVudGVyMg==", "[REDACTED:secret]")


HIDDEN = [
    "pass\u200bword=hun\u200bter2",
    "pass\u180fword=hun\U000e0110ter2",
    "\ufeffpassword\u2060=\u00adhunter2",
    "DB_PASSWORD=hunter2".encode("utf-16-le").decode("latin-1"),
    "DB_PASSWORD=hunter2".encode("utf-16-be").decode("latin-1"),
    "DB_PASSWORD=\x1b[01;31m\x1b[Khun\x1b[mter2",
    "pass\\u200bword=hun\\u0000ter2",
    "".join(f"{char}\u200d" for char in key("ghp_", RANDOM, "hunter2")),
]


@pytest.mark.parametrize("text", HIDDEN, ids=range(len(HIDDEN)))
def test_what_no_reader_sees_hides_no_secret(text: str) -> None:
    cleaned = REDACTOR.text(text)
    seen = cleaned.encode("ascii", "ignore").decode().replace("\x00", "").replace("\\u0000", "").replace("\\u200b", "")
    assert "hunter2" not in seen
    assert "ter2" not in seen


def test_numbers_of_vietnamese_are_secret_only_on_request() -> None:
    text = "ĐT 0912 345 678, +84 28 3823 4567; CCCD 001099012345; CMND số 123456789; 20260110, 0.912345678"
    assert REDACTOR.text(text) == text
    cleaned = Redactor(vietnamese=True).text(text)
    phone, number = "[REDACTED:phone]", "[REDACTED:id-number]"
    assert cleaned == f"ĐT {phone}, {phone}; CCCD {number}; CMND số {number}; 20260110, 0.912345678"


def test_kinds_are_told_in_the_order_of_the_text() -> None:
    assert REDACTOR.found("redis://:hunter2@h; password=hunter2; token=hunter2") == [
        "url-password",
        "password",
        "token",
    ]
    assert REDACTOR.found("nothing here") == []


@pytest.mark.parametrize("link", ["\x1b]8;;http://x.example\x07", "\x1b]8;;\x1b\\", "\x1b]0;title\x07"])
def test_what_a_terminal_does_not_print_hides_no_secret(link: str) -> None:
    assert Redactor().text(f"sk-ant-a1b2c3{link}d4e5f6g7h8i9j0") == "[REDACTED:anthropic-key]"
