"""Models of real architecture with random weights, small enough to build within a test run.

What they write is noise, but always the same noise for the same sound: enough to show that loading,
batching, timing and unloading work.
"""

import json
from pathlib import Path
from typing import Any

LANGUAGES = ("en", "vi", "fr")
WIDTH = 32
SYLLABLES = ("xin", "chào", "các", "bạn", "hôm", "nay", "chúng", "ta", "họp", "về", "kế", "hoạch", "tháng", "tới")
SPOKEN_WORDS = 100


def whisper_vocabulary() -> tuple[list[str], list[str]]:
    """Byte and word tokens, and Whisper's special tokens in the order that its code relies on."""
    from tokenizers.pre_tokenizers import ByteLevel

    special = ["<|endoftext|>", "<|startoftranscript|>", *(f"<|{code}|>" for code in LANGUAGES)]
    special += ["<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>", "<|nospeech|>"]
    special += ["<|notimestamps|>", *(f"<|{index * 0.02:.2f}|>" for index in range(1501))]
    # CTranslate2 knows a multilingual Whisper by the empty token of its vocabulary.
    return ["", *sorted(ByteLevel.alphabet()), *(f"Ġword{index}" for index in range(SPOKEN_WORDS))], special


def build_whisper(
    folder: Path,
    *,
    layers: int = 1,
    decoder_layers: int | None = None,
    width: int = WIDTH,
    heads: int = 2,
    mel_bins: int = 80,
    quantization: str | None = None,
    seed: int = 7,
) -> Path:
    """A multilingual Whisper in CTranslate2's form, as `faster-whisper` loads it.

    Args:
        folder: Where to write it.
        layers: Layers of the encoder, and of the decoder unless `decoder_layers` says otherwise.
        decoder_layers: Layers of the decoder.
        width: Size of the hidden state; the feed-forward is twice as wide in the tiny one, else four times.
        heads: Attention heads.
        mel_bins: Rows of the spectrogram.
        quantization: Number type on disk, None for float32.
        seed: Of the weights.
    """
    import torch
    from ctranslate2.converters import TransformersConverter
    from transformers import GenerationConfig, WhisperConfig, WhisperForConditionalGeneration

    torch.manual_seed(seed)
    common, special = whisper_vocabulary()
    ids = {token: index for index, token in enumerate([*common, *special])}
    config = WhisperConfig(
        vocab_size=len(ids),
        d_model=width,
        encoder_layers=layers,
        decoder_layers=decoder_layers or layers,
        encoder_attention_heads=heads,
        decoder_attention_heads=heads,
        encoder_ffn_dim=width * (2 if width == WIDTH else 4),
        decoder_ffn_dim=width * (2 if width == WIDTH else 4),
        num_mel_bins=mel_bins,
        decoder_start_token_id=ids["<|startoftranscript|>"],
        eos_token_id=ids["<|endoftext|>"],
        bos_token_id=ids["<|endoftext|>"],
        pad_token_id=ids["<|endoftext|>"],
        init_std=0.3,
        suppress_tokens=[],
        begin_suppress_tokens=[],
    )
    model = WhisperForConditionalGeneration(config)
    model.generation_config = GenerationConfig(
        decoder_start_token_id=config.decoder_start_token_id,
        eos_token_id=config.eos_token_id,
        pad_token_id=config.pad_token_id,
        lang_to_id={f"<|{code}|>": ids[f"<|{code}|>"] for code in LANGUAGES},
        no_timestamps_token_id=ids["<|notimestamps|>"],
        alignment_heads=[[0, 0]],
        is_multilingual=True,
    )
    _let_it_speak(model, ids)
    source = folder.parent / f"{folder.name}-transformers"
    model.save_pretrained(source)
    _save_whisper_tokenizer(source, common, special)
    (source / "preprocessor_config.json").write_text(
        json.dumps(
            {"feature_extractor_type": "WhisperFeatureExtractor", "feature_size": mel_bins, "sampling_rate": 16000}
        )
    )
    copied = ["tokenizer.json", "preprocessor_config.json"]
    TransformersConverter(str(source), copy_files=copied).convert(str(folder), quantization=quantization)
    return folder


def _let_it_speak(model: Any, ids: dict[str, int]) -> None:
    """Only some words, the end and the languages have a chance; all other tokens stay at logit 0."""
    import torch

    spoken = [ids[f"Ġword{index}"] for index in range(SPOKEN_WORDS)]
    spoken += [ids["<|endoftext|>"], *(ids[f"<|{code}|>"] for code in LANGUAGES)]
    with torch.no_grad():
        rows = model.model.decoder.embed_tokens.weight
        kept = rows[spoken].clone()
        rows.zero_()
        rows[spoken] = kept
        rows[ids["<|endoftext|>"]] *= 1.5


def _save_whisper_tokenizer(folder: Path, common: list[str], special: list[str]) -> None:
    from tokenizers import AddedToken, Tokenizer
    from tokenizers.decoders import ByteLevel as Decoder
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import WhisperTokenizer

    tokenizer = Tokenizer(WordLevel({token: index for index, token in enumerate(common)}, unk_token=common[0]))
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    tokenizer.decoder = Decoder()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in special])
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "vocab.json").write_text(json.dumps({token: index for index, token in enumerate(common)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    settings = {"tokenizer_class": WhisperTokenizer.__name__, "bos_token": special[0], "eos_token": special[0]}
    settings |= {"unk_token": special[0], "pad_token": special[0]}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


def build_chunkformer(folder: Path, *, transducer: bool = False, seed: int = 7) -> Path:
    """A ChunkFormer of one small block in the form that its package loads: CTC, or a transducer."""
    import torch
    import yaml
    from chunkformer.chunkformer_model import ChunkFormerConfig, ChunkFormerModel

    torch.manual_seed(seed)
    folder.mkdir(parents=True)
    symbols = ["<blank>", "<unk>", *(f"▁{word}" for word in SYLLABLES), "<sos/eos>"]
    (folder / "vocab.txt").write_text("".join(f"{symbol} {index}\n" for index, symbol in enumerate(symbols)))
    config: dict[str, Any] = {
        "model": "transducer" if transducer else "asr_model",
        "encoder": "chunkformer",
        "encoder_conf": _encoder(),
        "decoder": "transformer",
        "decoder_conf": {"attention_heads": 2, "linear_units": WIDTH, "num_blocks": 1},
        "ctc": "ctc",
        "ctc_conf": {"ctc_blank_id": 0},
        "model_conf": {
            "ctc_weight": 0.5,
            **({"transducer_weight": 0.25, "attention_weight": 0.25} if transducer else {}),
        },
        "input_dim": 80,
        "output_dim": len(symbols),
        "fbank_conf": {"num_mel_bins": 80, "frame_length": 25, "frame_shift": 10},
        "resample_conf": {"resample_rate": 16000},
        "cmvn": None,
    }
    if transducer:
        config |= _transducer()
        config["model_conf"] |= {"transducer_weight": 0.25, "attention_weight": 0.25}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    model = ChunkFormerModel(ChunkFormerConfig.from_dict(config)).model
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("weight") and parameter.dim() > 1:
                parameter.normal_(0.0, 0.4)
        scores = model.joint.ffn_out if transducer else model.ctc.ctc_lo
        scores.bias[0] += 7 * SILENCE_BIAS if transducer else SILENCE_BIAS  # which speaks up to 64 times a frame
        scores.bias[-1] -= 100.0  # the end of a sentence is nobody's word
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    return folder


SILENCE_BIAS = 0.4
"""Makes the blank likelier, so that segments end."""


def _encoder() -> dict[str, Any]:
    return {
        "output_size": WIDTH,
        "attention_heads": 2,
        "linear_units": WIDTH,
        "num_blocks": 1,
        "dropout_rate": 0.0,
        "positional_dropout_rate": 0.0,
        "attention_dropout_rate": 0.0,
        "input_layer": "dw_striding",
        "normalize_before": True,
        "cnn_module_kernel": 15,
        "use_cnn_module": True,
        "activation_type": "swish",
        "pos_enc_layer_type": "chunk_rel_pos",
        "selfattention_layer_type": "chunk_rel_seflattn",
        "causal": False,
        "dynamic_conv": True,
        "cnn_module_norm": "layer_norm",
    }


def _transducer() -> dict[str, Any]:
    return {
        "predictor": "rnn",
        "predictor_conf": {
            "embed_size": WIDTH,
            "output_size": WIDTH,
            "embed_dropout": 0.0,
            "hidden_size": WIDTH,
            "num_layers": 1,
            "bias": True,
            "rnn_type": "lstm",
            "dropout": 0.0,
        },
        "joint": "transducer_joint",
        "joint_conf": {
            "enc_output_size": WIDTH,
            "pred_output_size": WIDTH,
            "join_dim": WIDTH,
            "prejoin_linear": True,
            "postjoin_linear": False,
            "joint_mode": "add",
            "activation": "tanh",
        },
    }
