"""Which form frames of a client have to have."""

from typing import Any

Content = dict[str, Any]

TOOL_ARGS = {
    "sequential_thinking": bool,
    "deep_research": bool,
    "pdf": bool,
    "media_generation": bool,
    "video_generation": bool,
    "audio_generation": bool,
    "browser": bool,
    "memory_tool": str,
    "enable_reviewer": bool,
}


def parts(frame: Any) -> tuple[str | None, Content]:
    """Type and content of a frame; None if it has not this form."""
    if not isinstance(frame, dict) or not isinstance(frame.get("type"), str):
        return None, {}
    content = frame.get("content", {})
    return (frame["type"], content) if isinstance(content, dict) else (None, {})


def wrong_init(content: Content) -> str:
    """What is wrong with the content of init_agent, "" for nothing."""
    if not isinstance(content.get("model_name"), str):
        return "model_name: Field required"
    if not isinstance(content.get("tool_args", {}), dict):
        return "tool_args: Input should be a valid dictionary"
    if not isinstance(content.get("thinking_tokens", 0), int):
        return "thinking_tokens: Input should be a valid integer"
    named = content.get("tool_args", {})
    wrong = [name for name, kind in TOOL_ARGS.items() if name in named and not isinstance(named[name], kind)]
    return f"tool_args: {wrong}" if wrong else ""


def wrong_query(content: Content) -> str:
    """What is wrong with the content of query and edit_query, "" for nothing."""
    if not isinstance(content.get("text", ""), str):
        return "text: Input should be a valid string"
    files = content.get("files", [])
    if not isinstance(files, list) or not all(isinstance(name, str) for name in files):
        return "files: Input should be a valid list"
    return ""
