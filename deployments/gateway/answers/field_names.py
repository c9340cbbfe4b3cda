"""The names of the fields of a status: English, and Vietnamese as newer servers of the API we replace answer."""

from typing import Any, Literal, cast

Keys = Literal["en", "vi"]

VIETNAMESE = {
    "versions": "phiên_bản",
    "pipeline_version": "phiên_bản_pipeline",
    "asr_backend": "backend_asr",
    "llm": "mô_hình_ngôn_ngữ",
    "metrics": "chỉ_số",
    "input_duration_seconds": "thời_lượng_đầu_vào_giây",
    "processing_time_seconds": "thời_gian_xử_lý_giây",
    "rtf": "hệ_số_thời_gian_thực",
    "vad_coverage": "độ_phủ_vad",
    "vad_segments": "số_đoạn_vad",
    "asr_confidence_avg": "độ_tin_cậy_asr_trung_bình",
    "edit_rate_cleaning": "tỷ_lệ_chỉnh_sửa_làm_sạch",
    "results": "kết_quả",
    "raw_transcript": "bản_ghi_thô",
    "clean_transcript": "bản_ghi_sạch",
    "summary": "tóm_tắt",
}
"""English to Vietnamese; fields that are not here have one name."""

GROUPS = ("versions", "metrics", "results")
"""The fields whose own fields are translated, one level deep: below that is what engines and templates name."""


def named(status: dict[str, Any], keys: Keys) -> dict[str, Any]:
    """The status with its fields named in a language."""
    if keys == "en":
        return status
    return {
        VIETNAMESE.get(name, name): _translated(value) if name in GROUPS else value for name, value in status.items()
    }


def _translated(group: Any) -> Any:
    if not isinstance(group, dict):
        return group
    return {VIETNAMESE.get(name, name): value for name, value in cast(dict[str, Any], group).items()}
