"""systemd units, Dockerfile, compose file and wheel: whatever they name exists."""

import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.settings import Settings as PrefectSettings
from prefect.settings.legacy import _get_settings_fields  # pyright: ignore[reportPrivateUsage]
from prefect_redis.cleanup_queue import RedisWorkerCleanupQueueSettings
from prefect_redis.client import RedisMessagingSettings
from prefect_redis.messaging import RedisMessagingPublisherSettings
from typer.main import get_command

from blocks.settings import Settings
from deployments.cli import app, load_commands
from deployments.server import TUNING
from deployments.service.environment import SERVER_ENVIRONMENT
from deployments.service.plan import redis_environment
from deployments.service.prefect_file import definitions

ROOT = Path(__file__).parent.parent.parent
DOCKER = ROOT / "deployments" / "docker"
UNITS = sorted((ROOT / "deployments" / "systemd").iterdir())
COMPOSE: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
PREFIX = "/opt/c500/"
"""Where the units and the image have the repository."""

OF_IMAGES = {
    "postgres": {"POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_DB"},
    "redis": {"REDISCLI_AUTH"},
    "c500": {"DO_NOT_TRACK", "PIP_NO_CACHE_DIR", "PYTHONUNBUFFERED"},
}


@lru_cache
def prefect_names() -> set[str]:
    """Every variable that Prefect or prefect-redis reads."""
    names = {name for name in _get_settings_fields(PrefectSettings) if name.startswith("PREFECT_")}
    for field in _all_aliases():
        names.add(field.upper())
    for model in (RedisMessagingSettings, RedisMessagingPublisherSettings, RedisWorkerCleanupQueueSettings):
        names |= {f"{model.model_config['env_prefix']}{field}".upper() for field in model.model_fields}
    return names


def _all_aliases() -> set[str]:
    """Other names of settings, as `PREFECT_MESSAGING_BROKER` for `PREFECT_SERVER_EVENTS_MESSAGING_BROKER`."""
    found: set[str] = set()

    def walk(model: Any) -> None:
        for field in model.model_fields.values():
            choices = getattr(field.validation_alias, "choices", [])
            found.update(choice for choice in choices if isinstance(choice, str))
            if hasattr(field.annotation, "model_fields"):
                walk(field.annotation)

    walk(PrefectSettings)
    return found


def check_variable(name: str, image: str = "c500") -> None:
    ours = {field.upper() for field in Settings.model_fields}
    assert name in ours | prefect_names() | OF_IMAGES[image], f"nobody reads {name}"


def check_command(words: list[str]) -> None:
    """The command, its subcommands and its options exist."""
    program, *arguments = words
    if program == "c500":
        check_c500(arguments)
    elif program == "python" and arguments[0] == "-m":
        assert exists(arguments[1]), arguments[1]
        check_options([sys.executable, "-m", arguments[1]], arguments[2:])
    elif program == "python":
        compile(arguments[1], "healthcheck", "exec")
    elif program == "prefect":
        subcommands = [word for word in arguments[:2] if not word.startswith("-")]
        check_options([sys.executable, "-m", "prefect", *subcommands], arguments[len(subcommands) :])
    else:
        pytest.fail(f"unknown program {program}")


def exists(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def check_c500(arguments: list[str]) -> None:
    load_commands()
    group: Any = get_command(app)
    name, *rest = arguments
    assert name in group.commands, f"c500 has no command {name}"
    known = {option for parameter in group.commands[name].params for option in parameter.opts}
    for word in rest:
        assert not word.startswith("--") or word in known, f"c500 {name} has no option {word}"


def check_options(command: list[str], arguments: list[str]) -> None:
    options = [word for word in arguments if word.startswith("--")]
    if command[-1] == "deployments.gateway":
        assert not options
        return
    shown = subprocess.run([*command, "--help"], capture_output=True, text=True, timeout=120)
    assert shown.returncode == 0, shown.stderr
    for option in options:
        assert option in shown.stdout, f"{shlex.join(command)} has no option {option}"


def dockerfile() -> list[tuple[str, str]]:
    """Instructions with their arguments, lines joined."""
    text = re.sub(r"#.*\n", "", (DOCKER / "Dockerfile").read_text()).replace("\\\n", " ")
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in text.splitlines() if line.strip()]


def lines_of(path: Path, directive: str) -> list[str]:
    return [line.split("=", 1)[1] for line in path.read_text().splitlines() if line.startswith(f"{directive}=")]


@pytest.mark.parametrize("name", ["PREFECT_SERVER_NONSENSE", "AUDIO_DIRECTORY", "POSTGRES_PASSWORD"])
def test_a_variable_that_nobody_reads_is_noticed(name: str) -> None:
    with pytest.raises(AssertionError, match=name):
        check_variable(name)


@pytest.mark.parametrize("command", ["c500 start", "c500 up --speed", "prefect server begin", "python -m c500.gateway"])
def test_a_command_that_does_not_exist_is_noticed(command: str) -> None:
    with pytest.raises(AssertionError):
        check_command(command.split())


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_a_unit_starts_a_command_that_exists(path: Path) -> None:
    [start] = lines_of(path, "ExecStart")
    program, *arguments = shlex.split(start)
    assert program == f"{PREFIX}.venv/bin/c500"
    check_c500(arguments)
    for line in lines_of(path, "Environment"):
        check_variable(line.split("=", 1)[0])


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_a_unit_names_files_that_exist_or_are_explained(path: Path) -> None:
    guide = (ROOT / "docs" / "service.md").read_text()
    for page in lines_of(path, "Documentation"):
        assert (ROOT / page.removeprefix(f"file://{PREFIX}")).is_file()
    for file in lines_of(path, "EnvironmentFile"):
        assert file.removeprefix("-") in guide
    assert path.name in guide
    state = {f"/var/lib/{name}" for name in lines_of(path, "StateDirectory")}
    logs = {f"/var/log/{name}" for name in lines_of(path, "LogsDirectory")}
    for line in lines_of(path, "Environment"):
        folder = line.split("=", 1)[1]
        assert any(folder == place or folder.startswith(f"{place}/") for place in state | logs), line


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_systemd_understands_the_unit(path: Path, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze")
    # It looks for programs and pages of the machine too, so they stand in for ours.
    text = path.read_text().replace(f"{PREFIX}.venv/bin/c500", "/bin/true").replace("User=c500", "User=root")
    text = text.replace("Group=c500", "Group=root")
    copy = tmp_path / path.name.replace("@", "@cpu")
    copy.write_text(text)
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(copy)], capture_output=True, text=True, timeout=60
    )
    complaints = [line for line in verified.stderr.splitlines() if path.stem.split("@")[0] in line]
    assert not complaints


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_runs_what_exists_with_variables_that_are_read(name: str) -> None:
    service = SERVICES[name]
    image = service["image"].split(":")[0]
    for variable in service.get("environment", {}):
        check_variable(variable, image)
    if image == "c500":
        check_command([*service.get("entrypoint", ["c500"]), *service.get("command", ["up"])])
        test = service.get("healthcheck", {}).get("test")
        if test:
            check_command(test[1:])


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_depends_on_and_mounts_what_is_declared(name: str) -> None:
    service = SERVICES[name]
    for other, wanted in service.get("depends_on", {}).items():
        assert other in SERVICES
        if wanted["condition"] == "service_healthy":
            assert "healthcheck" in SERVICES[other]
    for volume in service.get("volumes", []):
        assert volume.split(":")[0] in COMPOSE["volumes"]
    if "build" in service:
        context = (DOCKER / service["build"]["context"]).resolve()
        assert context == ROOT
        assert (context / service["build"]["dockerfile"]).is_file()


def test_the_server_is_set_up_as_c500_up_does_it() -> None:
    environment = SERVICES["server"]["environment"]
    for name, value in (TUNING | SERVER_ENVIRONMENT | redis_environment("…")).items():
        assert name in environment, name
        if value != "…" and not name.startswith("PREFECT_SERVER_CONCURRENCY_LEASE"):
            assert environment[name] == value, name
    assert environment["PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE"] == "prefect_redis.lease_storage"


def test_only_loopback_is_published_and_secrets_are_not_in_the_file() -> None:
    for service in SERVICES.values():
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:")
        for variable, value in service.get("environment", {}).items():
            if re.search("PASSWORD|AUTH|SECRET|KEY", variable):
                assert value.startswith("${"), variable
    asked = set(re.findall(r"\$\{([A-Z_]+)", (DOCKER / "compose.yaml").read_text())) - {"GPUS", "WORKER_LIMIT"}
    offered = set(re.findall(r"^([A-Z_]+)=", (DOCKER / ".env.template").read_text(), re.MULTILINE))
    assert asked == offered


def test_the_cleanup_runs_a_deployment_that_exists() -> None:
    deployment = SERVICES["cleanup"]["command"][0].split("/")[1]
    assert deployment in {one.name for one in definitions(0)}


def test_the_dockerfile_copies_what_exists_and_sets_what_is_read() -> None:
    for instruction, rest in dockerfile():
        if instruction == "COPY":
            for source in rest.split()[:-1]:
                assert (ROOT / source).exists(), source
        if instruction == "ENV":
            for pair in shlex.split(rest):
                check_variable(pair.split("=", 1)[0])
        if instruction == "ARG":
            extras = set(rest.split("=")[1].split(","))
            assert extras <= set(re.findall(r"^([a-z0-9]+) = \[", (ROOT / "pyproject.toml").read_text(), re.MULTILINE))
    entry = next(rest for instruction, rest in dockerfile() if instruction == "ENTRYPOINT")
    default = next(rest for instruction, rest in dockerfile() if instruction == "CMD")
    check_command([*yaml.safe_load(entry), *yaml.safe_load(default)])


def test_every_image_is_a_plain_name() -> None:
    images = [service["image"] for service in SERVICES.values()]
    images += [rest for instruction, rest in dockerfile() if instruction == "FROM"]
    for image in images:
        assert re.fullmatch(r"[a-z0-9]+(:[a-z0-9.-]+)?", image), image


def test_the_wheel_carries_prefect_yaml(tmp_path: Path) -> None:
    if find_spec("hatchling") is None:
        pytest.skip("needs hatchling, which builds the wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert built.returncode == 0, built.stderr
    [wheel] = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert archive.read("deployments/prefect.yaml") == (ROOT / "prefect.yaml").read_bytes()
        assert {"deployments/docker/compose.yaml", "blocks/page.css"} <= set(archive.namelist())
