"""Try a template that came over the network, in a process of its own with little time and memory.

Its prompt is tame by `prompt_rules`, but a schema may hold expressions that match for hours and references that
multiply: the process is killed then, and the template refused.
"""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

from pydantic import ValidationError

from blocks.errors import BadInput
from tasks.llm.stored_templates import Parts
from tasks.llm.template import checked_template, template_problems

TIME_LIMIT_S = 10.0
CPU_LIMIT_S = 3
MEMORY_LIMIT_BYTES = 1 << 30
MAX_PART_BYTES = 65_536
MAX_PROBLEMS = 20
KEPT_VARIABLES = ("PATH", "PYTHONPATH", "LANG", "LC_ALL", "HOME")
"""What the process gets of our environment: no keys are among it."""


def try_template(name: str, parts: Parts) -> list[str]:
    """What is wrong with a template, one line each; empty when it can be used. Blocks for a second or so.

    Args:
        name: Its name.
        parts: Its three files.
    """
    if large := [part for part, content in parts.items() if len(content) > MAX_PART_BYTES]:
        return [f"{part} is over {MAX_PART_BYTES} bytes" for part in large]
    told = json.dumps({"name": name, "parts": {part: content.decode() for part, content in parts.items()}})
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "tasks.llm.template_trial"],
            input=told.encode(),
            capture_output=True,
            timeout=TIME_LIMIT_S,
            cwd=Path(__file__).parents[2],
            env={variable: os.environ[variable] for variable in KEPT_VARIABLES if variable in os.environ},
        )
    except subprocess.TimeoutExpired:
        return [f"the template takes too long to check: over {TIME_LIMIT_S:g} s"]
    if ended.returncode:
        return ["the template takes too much time or memory to check"]
    return json.loads(ended.stdout)


def main() -> None:
    """Read the template from standard input and write what is wrong with it, a JSON list, to standard output."""
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_LIMIT_S, CPU_LIMIT_S))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT_BYTES, MEMORY_LIMIT_BYTES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    told = json.load(sys.stdin)
    parts = {part: content.encode() for part, content in told["parts"].items()}
    try:
        problems = template_problems(checked_template(told["name"], parts))
    except BadInput as error:
        problems = list(error.details.get("problems", [error.message]))
    except ValidationError as error:  # text that is no Unicode
        problems = [f"{fault['loc'][0]}: {fault['msg']}" for fault in error.errors()]
    json.dump([problem[:300] for problem in problems[:MAX_PROBLEMS]], sys.stdout)


if __name__ == "__main__":
    main()
