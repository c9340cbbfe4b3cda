"""Names become paths below a folder, or are refused."""

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.errors import BadInput
from blocks.iiagent.paths import Claims, UnsafeName, placed, session_id, upload_name
from blocks.iiagent.tree import open_tree

ROOT = "/srv/workspace/6f1c2a34-0000-4000-8000-1234567890ab"
PIECES = st.sampled_from(
    ["..", ".", "/", "//", "\\", "a", "B", "é", "e\u0301", "~", " ", "C:", "con", ".git", "\0", "\u202e", "\ud800", "x"]
)
NAMES = st.one_of(st.text(max_size=60), st.lists(PIECES, max_size=12).map("".join), st.text("./\\ \0ab", max_size=20))


@pytest.mark.parametrize(
    ("name", "local"),
    [
        ("output.csv", "output.csv"),
        ("./out/./a.csv", "out/a.csv"),
        ("/workspace/out/a.csv", "out/a.csv"),
        (f"{ROOT}/out//a.csv", "out/a.csv"),
        ("báo cáo (1).csv", "báo cáo (1).csv"),
        (unicodedata.normalize("NFD", "báo cáo.csv"), "báo cáo.csv"),
        (".env.example", ".env.example"),
        ("what? 50%.md", "what? 50%.md"),
        ("workspace/a", "workspace/a"),
    ],
)
def test_a_name_within_the_workspace_becomes_a_path_below_the_folder(name: str, local: str) -> None:
    assert placed(name, [ROOT]).local == local


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../a", "outside"),
        ("a/../b", "outside"),
        ("/workspace/../etc/passwd", "outside"),
        (".. /a", "outside"),
        ("/etc/passwd", "outside"),
        ("/workspaces/a", "outside"),
        (f"{ROOT}x/a", "outside"),
        ("a\\b", "backslash"),
        ("C:a.csv", "colon"),
        ("a.txt:hidden", "colon"),
        ("a\0.csv", "characters"),
        ("a\nb", "characters"),
        ("a\u202efdp.exe", "characters"),
        ("a\u200b.csv", "characters"),
        ("a\ud800", "characters"),
        ("", "empty"),
        ("./", "folder"),
        ("/workspace", "empty"),
        ("out/", "folder"),
        ("/workspace/out/", "folder"),
        ("a. ", "ends"),
        ("a.", "ends"),
        (" a", "ends"),
        ("dir /a", "ends"),
        ("CON", "reserved"),
        ("out/aux.tar.gz", "reserved"),
        ("com1 .txt", "reserved"),
        (".git/hooks/post-checkout", "reserved"),
        ("a/.GIT/config", "reserved"),
        ("GIT~1/config", "reserved"),
        ("a" * 256, "long"),
        ("ế" * 90, "long"),
        ("/".join("a" * 33), "long"),
        ("/".join(["a" * 200] * 3), "long"),
        ("a" * 5000, "long"),
    ],
)
def test_a_name_that_leads_elsewhere_or_is_not_kept_everywhere_is_refused(name: str, reason: str) -> None:
    with pytest.raises(UnsafeName) as refused:
        placed(name, [ROOT])
    assert refused.value.details == {"field": "name", "reason": reason}
    assert refused.value.fix
    assert refused.value.message.isprintable()


def test_the_servers_spelling_is_kept_beside_ours() -> None:
    decomposed = unicodedata.normalize("NFD", "kết quả.csv")
    assert placed(f"./{decomposed}") == (decomposed, "kết quả.csv")


@given(NAMES)
def test_no_name_leaves_the_folder(name: str) -> None:
    try:
        local = placed(name, [ROOT]).local
    except UnsafeName:
        return
    parts = local.split("/")
    assert all(part not in ("", ".", "..") and part == part.strip() for part in parts)
    assert (Path(ROOT) / local).is_relative_to(ROOT)
    assert unicodedata.is_normalized("NFC", local)
    assert placed(local).local == local
    assert placed(placed(name, [ROOT]).remote) == placed(name, [ROOT])


@given(NAMES)
def test_what_is_accepted_is_written_exactly_there(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    try:
        local = placed(name).local
    except UnsafeName:
        return
    root = tmp_path_factory.mktemp("root")
    with open_tree(root) as tree:
        tree.put_bytes(".parts", f"files/{local}", b"content")
    assert [path for path in root.rglob("*") if path.is_file()] == [root / "files" / local]


@given(NAMES)
def test_what_an_upload_is_called_is_one_safe_name(name: str) -> None:
    try:
        sent = upload_name(name)
    except UnsafeName:
        return
    assert "/" not in sent
    assert placed(sent).local == sent


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("/home/me/a.csv", "a.csv"),
        (unicodedata.normalize("NFD", "dữ liệu.csv"), "dữ liệu.csv"),
        ("a:b\n#1?.csv", "a_b__1_.csv"),
        ("trailing. ", "trailing"),
        ("x\udcff.csv", "x_.csv"),
    ],
)
def test_a_local_file_is_sent_under_a_name_that_means_nothing_else(name: str, sent: str) -> None:
    assert upload_name(name) == sent


@pytest.mark.parametrize("name", ["", "..", ". ", "nul.csv", "a" * 300])
def test_an_upload_without_a_usable_name_is_refused(name: str) -> None:
    with pytest.raises(UnsafeName) as refused:
        upload_name(name)
    assert refused.value.details["field"] == "upload"


@pytest.mark.parametrize(
    "twin", ["A.CSV", unicodedata.normalize("NFD", "á.csv"), "Á.csv", "STRASSE.csv", "a.csv/inner"]
)
def test_names_that_differ_only_by_case_or_composition_are_not_both_taken(twin: str) -> None:
    claims = Claims()
    for name in ("a.csv", "á.csv", "straße.csv"):
        claims.claim(name)
    with pytest.raises(UnsafeName) as refused:
        claims.claim(twin)
    assert refused.value.details["reason"] == "twin"


def test_a_file_does_not_take_the_name_of_a_folder() -> None:
    claims = Claims(["out/a.csv"])
    with pytest.raises(UnsafeName):
        claims.claim("OUT")


def test_a_session_id_has_one_spelling() -> None:
    assert session_id("6F1C2A34-0000-4000-8000-1234567890AB") == "6f1c2a34-0000-4000-8000-1234567890ab"


@pytest.mark.parametrize(
    "text",
    [
        "../sessions",
        "",
        "6f1c2a34000040008000-1234567890ab",
        "{6f1c2a34-0000-4000-8000-1234567890ab}",
        "6f1c2a34-0000-4000-8000-1234567890ab\n",
        "6f1c2a34-0000-4000-8000-1234567890ab/..",
        "６f1c2a34-0000-4000-8000-1234567890ab",
    ],
)
def test_what_is_no_uuid_never_goes_into_an_address(text: str) -> None:
    with pytest.raises(BadInput) as refused:
        session_id(text)
    assert refused.value.details["field"] == "session_id"
