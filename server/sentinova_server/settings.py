"""The server's settings: one frozen object, checked once.

Knows names, defaults and limits; must not know where a value came from: `cli` reads flags, environment and file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(ge=0, le=86400)]


class EngineSettings(BaseModel):
    """What running models depends on: `tune` takes these, and `check` and `serve` these and more."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model_repository: Path = Field(description="Folder that holds one folder per model.")
    max_batch_tokens: Annotated[int, Field(ge=16, le=1 << 20)] = Field(
        512,
        description="Most tokens in one batch that the model works on, for models whose config does not say; a longer "
        "document is a batch of its own.",
    )
    inference_streams: Annotated[int, Field(ge=0, le=1024)] = Field(
        0, description="Inferences that one model runs in parallel; 0: OpenVINO's choice for throughput."
    )
    inference_threads: Annotated[int, Field(ge=0, le=1024)] = Field(
        0, description="Threads for all inferences of one model; 0: all cores."
    )
    latency_threads: Annotated[int, Field(ge=0, le=1024)] = Field(
        4,
        description="Most threads that a text which comes alone runs on, in a second compiled form of its model; 0 or "
        "1: none, which saves its memory.",
    )
    precision: Literal["auto", "f32", "bf16", "int8"] = Field(
        "auto",
        description="What models compute in whose config does not say; auto: bf16 where this CPU is faster in it and "
        "the golden values pass, f32 otherwise. Quantized versions compute in int8.",
    )
    graph_rewrites: bool = Field(
        True, description="Rewrite graphs into equal ones that run faster, where the golden values prove them equal."
    )


class ModelSettings(EngineSettings):
    """What loading and running models depends on; `check` takes these, `serve` these and more."""

    max_queue_size: Annotated[int, Field(ge=1, le=1 << 20)] = Field(
        4096,
        description="Most documents that wait for one model version, for models whose config does not say.",
    )
    load_threads: Annotated[int, Field(ge=1, le=64)] = Field(2, description="Model versions loaded at once.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe log line written; debug has a line for each request that went well."
    )
    log_format: Literal["auto", "console", "json"] = Field(
        "auto", description="console for people, json for machines; auto: console on a terminal."
    )


class QuantizeSettings(BaseModel):
    """What `quantize` depends on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model_repository: Path = Field(description="Folder that holds one folder per model.")
    data: Path | None = Field(
        None,
        description="Texts to calibrate and measure with: .txt (one a line), .csv or .tsv (with a header), or .jsonl; "
        "without it, the version's golden texts.",
    )
    text_column: str = Field("text", min_length=1, description="Column, or key, of the text.")
    label_column: str = Field(
        "label", min_length=1, description="Column, or key, of the label: a class's name, or its number from 0."
    )
    samples: Annotated[int, Field(ge=1, le=100_000)] = Field(
        300, description="Most texts that calibrate; all that have a label are measured."
    )
    preset: Literal["mixed", "performance"] = Field(
        "mixed", description="Scale of activations: mixed is asymmetric and loses less, performance is symmetric."
    )
    max_drop: Annotated[float, Field(ge=0, le=100)] = Field(
        0.5,
        description="Most percentage points of accuracy that it may cost; without labels, half of the labels that "
        "change count as lost.",
    )
    to: Annotated[int, Field(ge=0, le=(1 << 63) - 1)] = Field(
        0, description="Number of the new version; 0: one more than the highest."
    )
    write_config: bool = Field(
        False, description="Set the new version's temperature in config.pbtxt where it needs one, instead of saying so."
    )


class PublishSettings(BaseModel):
    """What `publish` depends on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model_repository: Path = Field(description="Folder that holds one folder per model.")
    to: Annotated[int, Field(ge=0, le=(1 << 63) - 1)] = Field(
        0, description="Number of the new version; 0: one more than the highest."
    )
    check: bool = Field(True, description="Load and check the version, as a server would, before it is published.")
    checksums: bool = Field(
        True, description="Write SHA256SUMS, which servers hold the version's files against before they load it."
    )


class TuneSettings(EngineSettings):
    """What `tune` depends on: what a server runs models with, and the trials."""

    data: Path | None = Field(
        None,
        description="Texts to try with: .txt (one a line), .csv or .tsv (with a header), or .jsonl; without it, "
        "documents as long as short reviews.",
    )
    text_column: str = Field("text", min_length=1, description="Column, or key, of the text.")
    seconds: Annotated[float, Field(gt=0, le=3600)] = Field(2.0, description="Seconds that one trial measures.")
    concurrency: Annotated[int, Field(ge=1, le=1 << 16)] = Field(
        64, description="Documents in flight: a new one comes with each answer."
    )
    objective: Literal["throughput", "latency"] = Field(
        "throughput",
        description="throughput: most documents a second; latency: lowest p99 of what has 90% of that at least.",
    )
    write: bool = Field(False, description="Put the best settings into the model's config.pbtxt.")


class ServerSettings(ModelSettings):
    """All that `serve` depends on."""

    host: str = Field("127.0.0.1", min_length=1, description="Address that both ports listen on.")
    port: Port = Field(8001, description="gRPC port; 0: any free one.")
    http_port: Port = Field(8002, description="Port of /metrics, /livez and /readyz; 0: any free one.")
    model_control_mode: Literal["none", "poll", "explicit"] = Field(
        "none",
        description="How the models served change: none: not after the start; poll: they follow the folders of the "
        "repository; explicit: by calls of ModelService.",
    )
    load_model: str = Field(
        "", description="Models loaded at start in explicit mode: names with commas between them, or * for all."
    )
    repository_poll_secs: Annotated[float, Field(gt=0, le=86400)] = Field(
        15.0,
        description="Most seconds between two looks at the repository in poll mode; changes that the file system tells "
        "of are seen at once.",
    )
    settle_secs: Seconds = Field(
        1.0, description="Seconds for which a version's files must not change before they are read."
    )
    memory_budget_bytes: Annotated[int, Field(ge=0, le=1 << 50)] = Field(
        0, description="Most bytes of memory that the server may have to take up to load a version; 0: no limit."
    )
    default_model: str = Field(
        "",
        description="Model that answers requests that name none; empty: the only text model, where there is one.",
    )
    tls_cert: Path | None = Field(None, description="PEM file of the server's certificate chain; turns TLS on.")
    tls_key: Path | None = Field(None, description="PEM file of the certificate's private key.")
    tls_client_ca: Path | None = Field(
        None, description="PEM file of the authorities that sign client certificates; turns mutual TLS on."
    )
    max_text_bytes: Annotated[int, Field(ge=1, le=1 << 30)] = Field(
        65536, description="Most UTF-8 bytes in one document's text."
    )
    max_batch_documents: Annotated[int, Field(ge=1, le=1 << 20)] = Field(
        1024, description="Most documents in one BatchAnalyzeSentiment call."
    )
    max_stream_in_flight: Annotated[int, Field(ge=1, le=1 << 16)] = Field(
        256, description="Most unanswered documents of one stream; the server reads no further meanwhile."
    )
    max_message_bytes: Annotated[int, Field(ge=1024, le=(1 << 31) - 1)] = Field(
        16 << 20, description="Most bytes in one gRPC message."
    )
    response_cache_bytes: Annotated[int, Field(ge=0, le=1 << 40)] = Field(
        64 << 20,
        description="Most bytes of answers kept, of all models whose config has response_cache; 0: none are kept, and "
        "equal texts share an inference only while it runs.",
    )
    drain_delay: Seconds = Field(
        0.0, description="Seconds between turning not ready and refusing calls, for load balancers to notice."
    )
    drain_timeout: Seconds = Field(30.0, description="Seconds that running calls get to end at shutdown.")
    strict_readiness: bool = Field(
        False,
        description="Ready only while every model has an available version; otherwise one model is enough.",
    )

    @model_validator(mode="after")
    def _check_load_model(self) -> Self:
        if self.load_model and self.model_control_mode != "explicit":
            raise ValueError("load_model needs model_control_mode explicit: otherwise all models are loaded")
        return self

    @model_validator(mode="after")
    def _check_tls(self) -> Self:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key go together: give both, or neither")
        if self.tls_client_ca is not None and self.tls_cert is None:
            raise ValueError("tls_client_ca needs tls_cert and tls_key")
        return self
