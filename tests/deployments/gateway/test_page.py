"""The status page in a real Chromium: as a person uses it, with a mouse, with a keyboard, and with hostile names."""

import itertools
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from tests.conftest import SENTENCE
from tests.deployments.gateway.gateways import Gateway
from tests.deployments.gateway.working import stored_gateway, working

CHROMIUM = Path("/usr/bin/chromium")
JOB_MS = 300_000
HOSTILE = '"><img src=x onerror="window.hacked=1">&lt;b&gt;.wav'
SLOW_BYTES_PER_S = 300_000

pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason="needs the Debian package chromium")


@pytest.fixture(scope="module")
def site(deployed: str, store_path: Path) -> Iterator[Gateway]:
    with stored_gateway(deployed, store_path) as running:
        yield running


@pytest.fixture(scope="module")
def browser(site: Gateway) -> Iterator[Browser]:
    # After the gateway: while Playwright runs, this thread can run no other event loop.
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--mute-audio"])
        yield running
        running.close()


@pytest.fixture
def complaints() -> list[str]:
    """What a test expects the browser to complain of; anything else fails the test."""
    return []


@pytest.fixture
def page(browser: Browser, site: Gateway, complaints: list[str]) -> Iterator[Page]:
    """The page as it first opens; errors of scripts, of the console and of the content policy fail the test."""
    said: list[str] = []

    def heard(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            said.append(message.text)

    context = browser.new_context(viewport={"width": 1100, "height": 800})
    opened = context.new_page()
    opened.on("console", heard)
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on("request", lambda request: said.append(request.url) if is_foreign(request.url, site) else None)
    opened.goto(site.url)
    yield opened
    context.close()
    assert [line for line in said if not any(expected in line for expected in complaints)] == []


def is_foreign(url: str, site: Gateway) -> bool:
    return not url.startswith((site.url, f"blob:{site.url}"))


@pytest.fixture(scope="module")
def two_sentences(sentence: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sentence twice, three seconds of silence between, so that there is a second segment to go to."""
    path = tmp_path_factory.mktemp("page") / "two sentences.wav"
    with wave.open(str(sentence)) as once, wave.open(str(path), "wb") as twice:
        twice.setparams(once.getparams())
        speech = once.readframes(once.getnframes())
        twice.writeframes(speech + bytes(3 * once.getframerate() * once.getsampwidth()) + speech)
    return path


def use_key(page: Page, secret: str) -> None:
    page.get_by_label("Key", exact=True).fill(secret)
    page.get_by_role("button", name="Use this key").click()


def send(page: Page, file: Path | dict[str, Any]) -> None:
    page.get_by_label("Recording").set_input_files(file)
    page.get_by_role("checkbox", name="Summary").uncheck()
    page.get_by_role("checkbox", name="Corrected text").uncheck()
    page.get_by_role("button", name="Start").click()


def audio(page: Page, what: str) -> Any:
    return page.evaluate(f"document.getElementById('audio').{what}")


def test_from_upload_to_a_click_on_a_time(
    page: Page, site: Gateway, deployed: str, store_path: Path, two_sentences: Path
) -> None:
    page.evaluate("""() => {
        window.said = [];
        new MutationObserver(() => window.said.push(document.getElementById("job-status").textContent))
            .observe(document.getElementById("job-status"), { childList: true });
    }""")
    use_key(page, site.secret)
    page.get_by_label("Language spoken").select_option("en")
    page.get_by_label("Recording").set_input_files(two_sentences)
    page.get_by_label("Form of the summary").select_option("generic_summary")
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_role("heading", name=two_sentences.name)).to_be_focused()
    expect(page.get_by_role("status")).to_contain_text("waiting")
    with working(deployed, store_path):
        expect(page.get_by_role("status")).to_have_text("done", timeout=JOB_MS)
    assert any(text.startswith(("preparing", "listening")) for text in page.evaluate("window.said"))

    times = page.get_by_role("button", name="Play from")
    assert times.count() >= 2
    words = " ".join(page.locator("#segments p").all_text_contents()).lower()
    assert SENTENCE.split()[-1].strip(".") in words
    expect(page.locator("#audio-note")).to_be_empty(timeout=20_000)
    expect(page.locator("#segments")).to_have_attribute("lang", "en")
    said = page.evaluate("window.said")
    assert not any("%" in text for text in said)
    assert said == [text for text, _ in itertools.groupby(said)]
    start = minutes(times.last.inner_text())
    times.last.click()
    expect(page.locator("#segments li").last).to_have_attribute("aria-current", "true")
    assert audio(page, "currentTime") >= start
    until_playing(page, start)
    expect(page.locator("#summary-text")).not_to_be_empty()

    with page.expect_download() as download:
        page.get_by_role("button", name="transcript.srt").click()
    assert "-->" in Path(download.value.path()).read_text()

    page.reload()
    expect(page.get_by_role("button", name=two_sentences.name).first).to_be_visible()
    page.get_by_role("button", name=two_sentences.name).first.press("Enter")
    expect(page.get_by_role("status")).to_have_text("done")
    page.set_viewport_size({"width": 320, "height": 640})
    expect(times.first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 320


def until_playing(page: Page, start: int) -> None:
    """Wait until the audio has played on from where it was sent."""
    for _ in range(100):
        if audio(page, "currentTime") > start + 0.2:
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"it stands at {audio(page, 'currentTime')}")


def minutes(clock: str) -> int:
    parts = [int(part) for part in clock.split(":")]
    return parts[0] * 60 + parts[1]


@pytest.mark.parametrize(
    ("secret", "said"),
    [
        ("no-key-of-this-gateway-0123456789abcdef", "not known"),
        ("short", "32 to 512 characters"),
        ("ключ-ключ-ключ-ключ-ключ-ключ-ключ-ключ", "32 to 512 characters"),
    ],
)
def test_a_wrong_key_is_refused_in_words_and_not_kept(
    page: Page, complaints: list[str], secret: str, said: str
) -> None:
    complaints.append("401 (Unauthorized)")
    use_key(page, secret)
    expect(page.get_by_role("alert").filter(has_text=said)).to_be_visible()
    expect(page.get_by_label("Key", exact=True)).to_be_focused()
    assert page.evaluate("sessionStorage.length") == 0
    expect(page.get_by_label("Recording")).to_be_hidden()


def test_a_key_is_kept_in_its_tab_only_and_forgotten_on_request(page: Page, site: Gateway) -> None:
    use_key(page, site.secret)
    page.get_by_role("button", name="Forget it").click()
    assert (
        page.evaluate("JSON.stringify([sessionStorage, localStorage, document.cookie, location.href])").count(
            site.secret
        )
        == 0
    )
    expect(page.get_by_label("Key", exact=True)).to_be_focused()
    use_key(page, site.secret)
    expect(page.get_by_label("Recording")).to_be_visible()
    other = page.context.new_page()
    other.goto(site.url)
    expect(other.get_by_label("Key", exact=True)).to_be_visible()
    assert site.secret not in str(page.evaluate("JSON.stringify(localStorage)"))


def test_a_click_on_a_job_asks_for_no_other_again_and_nothing_is_asked_without_a_key(page: Page, site: Gateway) -> None:
    texts = {name: {"text": f"Words of {name}.", "features": ["raw_transcript"]} for name in ("one", "two", "three")}
    client = site.client()
    ids = {name: client.post("/v1/process_text", json=text).json()["task_id"] for name, text in texts.items()}
    for task_id in ids.values():
        assert client.delete(f"/v1/jobs/{task_id}").status_code == 202
    jobs = [{"id": task_id, "name": name} for name, task_id in ids.items()]
    asked: list[str | None] = []
    page.on("request", lambda one: asked.append(one.headers.get("x-api-key")) if "/v1/status" in one.url else None)
    page.evaluate("jobs => localStorage.setItem('c500-jobs', JSON.stringify(jobs))", jobs)
    use_key(page, site.secret)
    expect(page.locator("#jobs .state", has_text="cancelled")).to_have_count(3, timeout=20_000)
    assert len(asked) == 3
    for name in ids:
        page.locator("#jobs .open", has_text=name).click()
        expect(page.locator("#job-title")).to_have_text(name)
        expect(page.locator("#jobs .state", has_text="cancelled")).to_have_count(3)
    with page.expect_response("**/v1/templates"):
        page.get_by_role("button", name="Forget it").click()
        use_key(page, site.secret)
    expect(page.locator("#jobs .state", has_text="cancelled")).to_have_count(3, timeout=20_000)
    assert len(asked) == 6
    assert set(asked) == {site.secret}


def test_a_hostile_file_name_is_only_text(page: Page, site: Gateway, sentence: Path) -> None:
    use_key(page, site.secret)
    send(page, {"name": HOSTILE, "mimeType": "audio/wav", "buffer": sentence.read_bytes()})
    expect(page.locator("#job-title")).to_have_text(HOSTILE)
    expect(page.locator("#jobs .open").first).to_contain_text(HOSTILE)
    assert page.locator("img").count() == 0
    assert page.evaluate("window.hacked") is None
    page.get_by_role("button", name="Cancel the job").click()
    expect(page.get_by_role("status")).to_have_text("cancelled")
    expect(page.locator("#result-error")).to_contain_text("cancelled")
    expect(page.get_by_role("button", name="Cancel the job")).to_be_hidden()


def test_hostile_words_in_a_transcript_are_only_text(
    page: Page, site: Gateway, deployed: str, store_path: Path
) -> None:
    words = "<img src=x onerror='window.hacked=1'> said Maria, and <script>window.hacked=1</script> said David."
    asked = {"text": words, "features": ["raw_transcript", "summary"], "template_id": "generic_summary"}
    task_id = site.client().post("/v1/process_text", json=asked).json()["task_id"]
    page.evaluate("id => localStorage.setItem('c500-jobs', JSON.stringify([{ id, name: 'words' }]))", task_id)
    use_key(page, site.secret)
    page.get_by_role("button", name="words").first.click()
    with working(deployed, store_path):
        expect(page.get_by_role("status")).to_have_text("done", timeout=JOB_MS)
    expect(page.locator("#segments")).to_contain_text("<img src=x onerror='window.hacked=1'>")
    expect(page.locator("audio")).to_be_hidden()
    assert page.locator("img, #job script").count() == 0
    assert page.evaluate("window.hacked") is None


def test_an_upload_shows_how_far_it_is_and_can_be_stopped(page: Page, site: Gateway, tmp_path: Path) -> None:
    slow_down(page)
    use_key(page, site.secret)
    with wave.open(str(tmp_path / "long.wav"), "wb") as long:
        long.setparams((1, 2, 16_000, 0, "NONE", ""))
        long.writeframes(bytes(6_000_000))
    send(page, tmp_path / "long.wav")
    bar = page.get_by_role("progressbar", name="Upload")
    expect(bar).to_be_visible()
    for _ in range(200):
        if 0 < float(bar.evaluate("bar => bar.value")) < 1:
            break
        page.wait_for_timeout(50)
    else:
        raise AssertionError("the bar did not move")
    page.get_by_role("button", name="Stop the upload").click()
    expect(page.get_by_role("alert").filter(has_text="The upload was stopped.")).to_be_visible()
    expect(page.get_by_text("None yet.")).to_be_visible()


def slow_down(page: Page) -> None:
    page.context.new_cdp_session(page).send(
        "Network.emulateNetworkConditions",
        {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": SLOW_BYTES_PER_S},
    )


def test_an_error_of_the_gateway_is_shown_with_what_to_do(page: Page, site: Gateway, complaints: list[str]) -> None:
    complaints.append("415 (Unsupported Media Type)")
    use_key(page, site.secret)
    send(page, {"name": "letter.docx", "mimeType": "application/msword", "buffer": b"Dear all"})
    shown = page.locator("#job-error")
    expect(shown).to_contain_text("letter.docx")
    expect(shown).to_contain_text("WAV")
    expect(page.get_by_role("button", name="Start")).to_be_focused()


def test_everything_can_be_done_with_the_keyboard(page: Page, site: Gateway, sentence: Path) -> None:
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the job")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.locator("#tongue")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_label("Key", exact=True)).to_be_focused()
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
    page.keyboard.type(site.secret)
    page.keyboard.press("Enter")
    expect(page.get_by_label("Recording")).to_be_focused()
    page.get_by_label("Recording").set_input_files(sentence)  # the system's own dialog
    walk_to(page, "start")
    page.keyboard.press("Enter")
    expect(page.locator("#job-title")).to_be_focused()
    walk_to(page, "job-cancel")
    page.keyboard.press("Space")
    expect(page.get_by_role("status")).to_have_text("cancelled")


def walk_to(page: Page, element_id: str) -> None:
    """Press Tab until the focus is there."""
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == element_id:
            return
    raise AssertionError(f"Tab does not lead to {element_id}")


def test_the_page_speaks_vietnamese_and_remembers_it(page: Page) -> None:
    page.get_by_role("button", name="Tiếng Việt").click()
    expect(page.get_by_role("heading", name="Khóa API")).to_be_visible()
    assert page.evaluate("document.documentElement.lang") == "vi"
    page.reload()
    expect(page.get_by_role("button", name="Dùng khóa này")).to_be_visible()
    page.get_by_role("button", name="English").click()
    expect(page.get_by_role("button", name="Use this key")).to_be_visible()


def test_dark_is_dark(page: Page) -> None:
    shade = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(shade)
    page.emulate_media(color_scheme="dark")
    assert page.evaluate(shade) != light
