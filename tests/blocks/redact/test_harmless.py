"""What is no secret stays as it is."""

import pytest

from blocks.redact import Redactor

REDACTOR = Redactor(vietnamese=True)

HARMLESS = """
The token bucket holds 5 tokens and refills at 2 tokens per second.
Read the password policy: passwords have 12 characters or more.
Your password must not be your name. Password: must be at least 12 characters long.
Enter your password to go on. The password is required.
Secrets are kept in Vault; see the secret manager's docs.
d41d8cd98f00b204e9800998ecf8427e
e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  empty.bin
commit dc93099c0ffee1234567890abcdef1234567890a
550e8400-e29b-41d4-a716-446655440000
sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
max_tokens: 4096
"max_tokens": 4096, "prompt_tokens": 12, "completion_tokens": 400, "total_tokens": 412
tokens=12 cached=3
eos_token: </s>
"next_page_token": "CAUQAA=="
token_type: bearer
secretName: web-tls
imagePullSecret: regcred
password_file: /run/secrets/db
ssl_key: /etc/ssl/server.key
private_key: /etc/ssl/server.key
PWD=/home/ann
OLDPWD=/srv
/etc/passwd: permission denied
cat /etc/passwd
first_pass = 0.5
compass: north
bypass=true
12 passed, 1 failed, 3 skipped
PASS: test_login
DB_PASSWORD=${DB_PASSWORD}
DB_PASSWORD=$DB_PASSWORD
password: {{ db_password }}
password: ********
password = ""
password: null
token: <your token>
api_key: env:OPENAI_API_KEY
api_key: file:secrets.sealed#openai
export ANTHROPIC_API_KEY=sk-...
POSTGRES_PASSWORD: ${POSTGRES_PASSWORD:?set it}
password: str
password: str | None = None
def login(user: str, password: str) -> Token:
token = os.environ["TOKEN"]
token = request.headers.get("X-Token")
token = self.token
api_key=api_key
secret = Secret.load("db")
if password == expected:
if token != other:
"token": {"type": "string"}
"password": "string"
Unexpected token < in JSON at position 0
SyntaxError: Unexpected token: identifier
invalid token: expired
Use --token to authenticate, or --password-file.
usage: deploy --token TOKEN --password PASSWORD
Authorization: Bearer <token>
Authorization header is missing
Bearer authentication is described in RFC 6750.
Basic authentication, basic information
a cookie: a small file of the browser
key: value
primary_key: id
the key is under the mat
monkey=1
http://localhost:8080/path@v2
git@github.com:ann/repo.git
ssh://git@example.org/repo.git
https://example.org:8443/a?b=c
docker run -u 1000:1000 image
ls -p dir; cp -a from to
disk-0123456789abcdef0123456789abcdef
task-management-for-teams-2026
ASIA PACIFIC
skip-the-line-and-go-home-now-2
2026-11-03T10:02:11.123456+00:00 INFO run 0f3a9c5d7b1e2f4a ended in 3.4 s
-----BEGIN CERTIFICATE-----
ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQDZ ann@host
data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAUA
Hội nghị bắt đầu lúc 9 giờ; tổng doanh thu 1.234.567.890 đồng.
0123456789abcdef-0912345678
"""


@pytest.mark.parametrize("line", HARMLESS.strip().splitlines())
def test_what_is_no_secret_stays_as_it_is(line: str) -> None:
    assert REDACTOR.text(line) == line


def test_all_of_it_together_stays_too() -> None:
    assert REDACTOR.text(HARMLESS) == HARMLESS
