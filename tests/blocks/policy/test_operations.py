"""The shipped rules for operations: what plans name goes on, whole systems do not go away."""

from datetime import UTC, datetime
from typing import Any

import pytest

from blocks.action import Action, Touched
from blocks.policy.open import open_operations_policy

NOW = datetime(2026, 3, 2, 10, tzinfo=UTC)
PROFILES = ("development", "staging", "production", "incident")


def verdict(*argv: str, profile: str = "staging", attended: bool = True, **facts: Any) -> str:
    """What becomes of a command on a host."""
    action = Action(
        **{"tool": "run_on_host", "arguments": {}, "risk": "medium", "outside": True, "user": "ann"} | facts,
        touched=Touched(argv=argv),
    )
    return open_operations_policy().decide(action, profile, now=NOW, attended=attended).verdict


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize(
    "argv",
    [
        ["rm", "-rf", "/"], ["rm", "-rf", "/etc"], ["rm", "-rf", "/etc/"], ["rm", "-r", "-f", "--", "/var/lib/"],
        ["sudo", "-n", "rm", "-rf", "/usr/"], ["sh", "-c", "rm -rf /home/"], ["env", "A=1", "rm", "-rf", "/srv/"],
        ["busybox", "rm", "-rf", "/"], ["nice", "-n", "5", "rm", "-rf", "/root"], ["chmod", "-R", "777", "/etc/"],
        ["chown", "-R", "ann", "/usr"], ["rm", "-rf", "--no-preserve-root", "x"], ["mv", "/etc/", "/tmp/x"],
        ["find", "/", "-delete"], ["find", "/etc/", "-name", "*", "-delete"], ["dd", "if=/dev/zero", "of=/dev/sda"],
        ["cp", "image", "/dev/nvme0n1"], ["curl", "http://169.254.169.254/latest"],
    ],
)  # fmt: skip
def test_whole_systems_do_not_go_away(argv: list[str], profile: str) -> None:
    assert verdict(*argv, profile=profile, reversible=True) == "deny"


@pytest.mark.parametrize(
    "argv",
    [
        ["rm", "-rf", "/srv/../etc"], ["rm", "-rf", "/etc/."], ["rm", "-rf", "/var//"], ["rm", "-rf", "../.."],
        ["find", "/srv/..", "-delete"], ["mkfs.ext4", "/dev/sda"], ["reboot"], ["bash", "-c", "reboot"], ["init", "0"],
        ["systemctl", "poweroff"], ["userdel", "ann"], ["iptables", "-F"], ["umount", "/srv"],
    ],
)  # fmt: skip
def test_a_person_looks_first(argv: list[str]) -> None:
    assert verdict(*argv, reversible=True) == "ask"
    assert verdict(*argv, reversible=True, attended=False) == "deny"


@pytest.mark.parametrize(
    "argv",
    [
        ["rm", "-rf", "/srv/app/releases/12"], ["rm", "/etc/nginx/sites-enabled/old"], ["systemctl", "restart", "web"],
        ["find", "/srv/app/tmp", "-mtime", "+7", "-delete"], ["find", "/var/log", "-name", "*.gz"], ["df", "-h"],
        ["chown", "-R", "web", "/srv/app"], ["apt-get", "-y", "install", "nginx=1.2"], ["lsblk", "/dev/sda"],
    ],
)  # fmt: skip
def test_what_plans_name_goes_on(argv: list[str]) -> None:
    for profile in PROFILES:
        assert verdict(*argv, profile=profile, reversible=True, attended=False) == "allow"


@pytest.mark.parametrize(
    ("facts", "verdicts"),
    [
        ({"risk": "low"}, ("allow", "allow", "allow", "allow")),
        ({"risk": "medium"}, ("allow", "allow", "ask", "allow")),
        ({"risk": "medium", "reversible": True}, ("allow", "allow", "allow", "allow")),
        ({"risk": "high", "reversible": True}, ("ask", "ask", "ask", "ask")),
        ({"risk": "critical", "reversible": True}, ("ask", "ask", "ask", "ask")),
        ({"risk": "medium", "read_only": True}, ("allow", "allow", "allow", "allow")),
    ],
)
def test_risk_decides_who_is_asked(facts: dict[str, Any], verdicts: tuple[str, ...]) -> None:
    # `incident` takes effect while it is activated; here it is `production`, which it falls back to.
    found = tuple(verdict("restart-it", profile=one, **facts) for one in PROFILES)
    assert found[:3] == verdicts[:3] and found[3] == verdicts[2]
