"""Data Docs at the gateway: who may open them, and how a person does it in Chromium."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Route, expect, sync_playwright
from pydantic import SecretStr

from blocks.keys import STATIC, ApiKey, KeyRing
from blocks.store.local import LocalFiles
from deployments.gateway.web.browser_session import LASTS_S, issue, may_read
from flows.report import keep as keep_report
from tasks.quality.audit.docs import publish
from tasks.quality.audit.history import PeriodRow
from tasks.quality.audit.judged import AuditReport, Judged, JudgedSuite, Sample
from tasks.quality.audit.period import named
from tests.deployments.gateway.gateways import SharedGateway
from tests.processes import until
from tests.tasks.quality.report.test_page import hostile

CHROMIUM = Path("/usr/bin/chromium")
INDEX, PAGE = "/quality/index.html", "/quality/periods/2026-03-02.html"
REPORTS, REPORT = "/quality/reports/index.html", "/quality/reports/day/2026-11-21/report.html"
NOW = datetime(2026, 3, 2, tzinfo=UTC).timestamp()


@pytest.fixture(scope="module")
def site(shared_gateway: SharedGateway) -> SharedGateway:
    """A gateway whose store has the site of two days, and a report of operations."""
    keep_report(shared_gateway.files, hostile())
    bad = Judged(
        suite="jobs",
        id="loops",
        column="compression",
        says="compression values must be less than or equal to 5.",
        about="No text goes round in circles.",
        severity="critical",
        outcome="failed",
        observed="3 of 12 (25.0%) not met",
        rows=12,
        samples=(Sample(key="0123456789abcdef", value="7.5"),),
    )
    suite = JudgedSuite(name="jobs", table="jobs", title="Finished jobs", rows=12, expectations=(bad,))
    rows = list[PeriodRow]()
    for day in ("2026-03-01", "2026-03-02"):
        period = named("day", day)
        row = PeriodRow(
            name=day, since=period.since, until=period.until, audited_at=period.until, jobs=12, verdict="failed"
        )
        publish(shared_gateway.files, AuditReport(run_id="r", period=row, suites=(suite,)), rows)
        rows.append(row)
    return shared_gateway


@pytest.fixture
def session(site: SharedGateway) -> Iterator[httpx.Client]:
    """Somebody with the cookie of a key with all scopes."""
    with httpx.Client(base_url=site.url, timeout=60, trust_env=False) as client:
        answer = client.post("/v1/quality/session", headers={"X-API-Key": site.secret})
        assert answer.status_code == 204
        yield client


def test_a_cookie_opens_the_pages(session: httpx.Client) -> None:
    entered = session.get("/quality")
    assert (entered.status_code, entered.headers["location"]) == (303, INDEX)
    assert session.get("/reports/index.html").headers["location"] == "/quality/reports/index.html"
    for path in (REPORTS, REPORT):
        answer = session.get(path)
        assert (answer.status_code, "2026-11-21" in answer.text) == (200, True)
    for path in (INDEX, PAGE):
        answer = session.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert answer.headers["content-security-policy"].startswith("default-src 'none'; style-src 'unsafe-inline'")
        assert "script-src" not in answer.headers["content-security-policy"]
        assert answer.headers["cache-control"] == "private, no-cache"
        assert "2026-03-02" in answer.text


def test_the_cookie_is_for_the_pages_alone(site: SharedGateway) -> None:
    answer = httpx.post(f"{site.url}/v1/quality/session", headers={"X-API-Key": site.secret}, trust_env=False)
    cookie = answer.headers["set-cookie"]
    assert {"Path=/quality", "HttpOnly", "SameSite=lax", f"Max-Age={LASTS_S}"} <= set(cookie.split("; "))
    assert site.secret not in cookie
    sent = {"cookie": cookie.split(";")[0]}
    assert httpx.get(f"{site.url}/v1/stops", headers=sent, trust_env=False).status_code == 401
    assert httpx.post(f"{site.url}/v1/quality/session", headers=sent, trust_env=False).status_code == 401


@pytest.mark.parametrize(
    "path",
    [
        "%2e%2e/history/periods/2026-03-02.json",
        "periods/%2e%2e/index.html",
        "..%2f..%2fgateway%2fkeys.json",
        "periods/x.json",
        "reports/day/2026-11-21/report.json",
        "reports/day/%2e%2e/report.html",
        "reports/%2e%2e/quality/docs/index.html",
        "reports/month/2026-11/report.html",
        "",
    ],
)
def test_nothing_else_of_the_store_is_served(session: httpx.Client, path: str) -> None:
    answer = session.get(f"/quality/{path}")
    assert answer.status_code in (303, 404)
    assert "2026-03-02" not in answer.text and "2026-11-21" not in answer.text


def test_without_a_cookie_a_key_is_asked_for(site: SharedGateway) -> None:
    for cookie in ("", "c500_quality=", f"c500_quality={STATIC}.{int(time.time()) + 60}.{'0' * 64}", 'c500_quality="'):
        sent = {"cookie": cookie} if cookie else {}
        assert httpx.get(site.url + REPORT, headers=sent, trust_env=False).status_code == 401
        answer = httpx.get(site.url + PAGE, headers=sent, trust_env=False)
        assert answer.status_code == 401
        assert "API key" in answer.text
        assert "circles" not in answer.text


def test_a_key_needs_the_scope_and_may_be_revoked(site: SharedGateway) -> None:
    with httpx.Client(base_url=site.url, timeout=60, trust_env=False) as client:
        low, _ = site.key("read", "submit")
        assert client.post("/v1/quality/session", headers={"X-API-Key": low}).status_code == 403
        secret, key = site.key("admin")
        assert client.post("/v1/quality/session", headers={"X-API-Key": secret}).status_code == 204
        assert client.get(PAGE).status_code == 200
        site.keys.revoke(key.key_id)
        until(lambda: client.get(PAGE).status_code == 401)


def test_a_browser_that_sees_tls_sends_the_cookie_over_nothing_else(site: SharedGateway) -> None:
    for origin, is_secure in (("https://audio.example", True), (site.url, False)):
        headers = {"X-API-Key": site.secret, "Origin": origin}
        answer = httpx.post(f"{site.url}/v1/quality/session", headers=headers, trust_env=False)
        assert ("Secure" in answer.headers["set-cookie"].split("; ")) == is_secure


def test_a_browser_may_be_told_to_forget_the_cookie(session: httpx.Client, site: SharedGateway) -> None:
    assert session.get(PAGE).status_code == 200
    assert session.delete("/v1/quality/session", headers={"X-API-Key": site.secret}).status_code == 204
    assert session.get(PAGE).status_code == 401


@pytest.fixture
def ring(tmp_path: Path) -> KeyRing:
    return KeyRing(LocalFiles(tmp_path / "keys"))


def read(cookie: str, *keys: ApiKey, now: float = NOW, static: SecretStr | None = None) -> ApiKey | None:
    return may_read(cookie, keys, static, "admin", now)


def test_a_cookie_is_of_one_key_and_ends(ring: KeyRing) -> None:
    _, first = ring.create("first", ["admin"])
    _, other = ring.create("other", ["admin"])
    cookie = issue(first, None, NOW)
    assert read(cookie, first, other) == first
    assert read(cookie, other) is None
    assert read(cookie.replace(first.key_id, other.key_id), first, other) is None
    assert read(cookie, first, now=NOW + LASTS_S) is None
    ends = int(NOW + LASTS_S)
    assert read(cookie.replace(str(ends), str(ends + 1)), first) is None
    for broken in ("", ".", "..", cookie[:-1], cookie + "0", cookie.replace(".", ""), f"{first.key_id}.²."):
        assert read(broken, first) is None
    _, rotated = ring.rotate(first.key_id, grace_s=3600)
    assert read(cookie, rotated) is None, "another secret is another cookie"
    assert read(cookie, first.model_copy(update={"scopes": ("read",)})) is None


def test_the_static_key_signs_with_its_secret(tmp_path: Path) -> None:
    one, other = SecretStr("k" * 40), SecretStr("m" * 40)
    key = KeyRing(LocalFiles(tmp_path), one).check("k" * 40)
    cookie = issue(key, one, NOW)
    assert read(cookie, key, static=one) == key
    assert read(cookie, key, static=other) is None
    assert read(cookie, key, static=None) is None


@pytest.fixture(scope="module")
def browser(site: SharedGateway) -> Iterator[Browser]:
    if not CHROMIUM.exists():
        pytest.skip("needs the Debian package chromium")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture
def said() -> list[str]:
    """Errors of scripts, of the console and of the content policy, and requests to elsewhere."""
    return []


@pytest.fixture
def page(browser: Browser, site: SharedGateway, said: list[str]) -> Iterator[Page]:
    def heard(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            said.append(message.text)

    context = browser.new_context()
    opened = context.new_page()
    opened.on("console", heard)
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on("request", lambda request: said.append(request.url) if is_foreign(request.url, site) else None)
    yield opened
    context.close()


def is_foreign(url: str, site: SharedGateway) -> bool:
    return not url.startswith((site.url, "data:"))


def test_a_person_opens_the_pages(page: Page, site: SharedGateway, said: list[str]) -> None:
    page.goto(site.url + PAGE)
    page.get_by_label("Key", exact=True).fill("not-a-key-at-all-0123456789")
    page.get_by_role("button", name="Use this key").click()
    expect(page.get_by_role("alert")).to_contain_text("not known")
    page.get_by_label("Key", exact=True).fill(site.secret)
    page.get_by_role("button", name="Use this key").click()
    expect(page.get_by_role("heading", name="No text goes round in circles.")).to_be_visible()
    assert [line for line in said if "401" not in line] == []
    said.clear()

    expect(page.get_by_role("cell", name="0123456789abcdef")).to_be_visible()
    page.get_by_role("link", name="All periods").click()
    expect(page.get_by_role("heading", name="Days")).to_be_visible()
    page.get_by_role("link", name="2026-03-01").click()
    expect(page.get_by_text("failed: 1 expectation not met")).to_be_visible()
    colour = page.locator(".verdict").evaluate("node => getComputedStyle(node).borderTopWidth")
    assert colour == "2px", "its own policy lets its style in"
    assert said == []

    page.get_by_role("link", name="All periods").click()
    page.get_by_role("link", name="Reports of operations").click()
    expect(page.get_by_role("heading", name="Reports of operations")).to_be_visible()
    page.get_by_role("link", name="2026-11-21").click()
    expect(page.get_by_role("heading", name="Operations: Saturday 2026-11-21")).to_be_visible()
    assert page.locator(".headline").evaluate("node => getComputedStyle(node).fontWeight") == "600"
    assert page.url == site.url + REPORT
    assert said == []


def test_a_tab_with_a_key_is_not_asked(page: Page, site: SharedGateway) -> None:
    page.goto(site.url)
    page.evaluate("secret => sessionStorage.setItem('c500-key', secret)", site.secret)
    page.goto(site.url + "/quality")
    expect(page.get_by_role("heading", name="Days")).to_be_visible()


def test_a_browser_that_keeps_no_cookies_is_told_and_does_not_come_back_for_ever(
    page: Page, site: SharedGateway
) -> None:
    asked: list[str] = []

    def keep_nothing(route: Route) -> None:
        asked.append(route.request.method)
        route.fulfill(status=204)

    page.goto(site.url)
    page.evaluate("secret => sessionStorage.setItem('c500-key', secret)", site.secret)
    page.route("**/v1/quality/session", keep_nothing)
    page.goto(site.url + "/quality")
    page.get_by_label("Key", exact=True).fill(site.secret)
    page.get_by_role("button", name="Use this key").click()
    expect(page.get_by_role("alert")).to_contain_text("not kept the cookie")
    assert asked == ["POST", "POST"]


def test_pages_open_from_a_folder(page: Page, site: SharedGateway) -> None:
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text))
    page.goto((site.files.root / "quality/docs/index.html").as_uri())
    page.get_by_role("link", name="2026-03-02").click()
    expect(page.get_by_role("heading", name="Quality of 2026-03-02")).to_be_visible()
    page.get_by_role("link", name="All periods").click()
    page.get_by_role("link", name="Reports of operations").click()
    page.get_by_role("link", name="2026-11-21").click()
    expect(page.get_by_role("heading", name="Operations: Saturday 2026-11-21")).to_be_visible()
    assert errors == []
