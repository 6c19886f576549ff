/*
 * Conversion of the messages of the model service to plain values. Knows both shapes, and nothing else.
 */

import {
  type Model,
  ModelEventKind as Kind,
  type ModelVersion,
  ModelVersionState as State,
  type VersionWeight,
  type WatchModelsResponse,
} from "./gen/sentinova/v1/model_service.js";
import type { ModelEvent, ModelEventKind, ModelInfo, VersionInfo, VersionShare, VersionState } from "./results.js";

const STATES: ReadonlyMap<State, VersionState> = new Map([
  [State.LOADING, "LOADING"],
  [State.AVAILABLE, "AVAILABLE"],
  [State.UNLOADING, "UNLOADING"],
  [State.END, "END"],
  [State.FAILED, "FAILED"],
] as const);

const KINDS: ReadonlyMap<Kind, ModelEventKind> = new Map([
  [Kind.INITIAL, "INITIAL"],
  [Kind.SYNCED, "SYNCED"],
  [Kind.STATE, "STATE"],
  [Kind.TRAFFIC, "TRAFFIC"],
  [Kind.ROLLBACK, "ROLLBACK"],
  [Kind.WARNING, "WARNING"],
] as const);

/** Gives a model as a plain value. */
export function modelInfo(message: Model): ModelInfo {
  return {
    name: message.name,
    backend: message.backend,
    defaultVersion: numberOf(message.defaultVersion),
    versions: message.versions.map(versionInfo),
    message: message.message,
    weights: message.weights.map(share),
    shadowVersion: numberOf(message.shadowVersion),
    comparisons: message.comparisons,
    loaded: message.loaded,
  };
}

/** Gives what a watch tells as a plain value. */
export function modelEvent(message: WatchModelsResponse): ModelEvent {
  return {
    kind: KINDS.get(message.kind) ?? "UNKNOWN",
    model: message.model,
    version: numberOf(message.version),
    state: message.state === State.UNSPECIFIED ? undefined : stateOf(message.state),
    message: message.message,
    time: message.time,
    defaultVersion: numberOf(message.defaultVersion),
  };
}

function versionInfo(message: ModelVersion): VersionInfo {
  return {
    version: message.version,
    state: stateOf(message.state),
    stateMessage: message.stateMessage,
    stateTime: message.stateTime,
    inputs: message.inputs,
    outputs: message.outputs,
    labels: message.labels,
    maxTokens: message.maxTokens,
    format: message.format,
    precision: message.precision,
    memoryBytes: message.memoryBytes,
    versionLabels: message.versionLabels,
    weight: message.weight,
  };
}

function share(message: VersionWeight): VersionShare {
  const choice = message.versionChoice;
  return { version: choice?.$case === "version" ? choice.value : 0, percent: message.percent };
}

function stateOf(state: State): VersionState {
  return STATES.get(state) ?? "UNKNOWN";
}

/** Gives the number of a version; 0 stands for none. */
function numberOf(version: number): number | undefined {
  return version === 0 ? undefined : version;
}
