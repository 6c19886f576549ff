/// What the server tells about its models, as plain values.
///
/// Knows the shape of answers. Must not know gRPC or protobuf.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sentinova {

/// A point in time, in UTC.
using Time = std::chrono::system_clock::time_point;

/// Where a model version is in its life.
enum class VersionState {
  unspecified,  ///< Not told.
  loading,      ///< Being read, compiled and checked.
  available,    ///< Takes requests.
  unloading,    ///< Takes no new requests; finishes those it has.
  end,          ///< Gone from memory.
  failed,       ///< Could not be loaded.
  unknown,      ///< A state that this client is too old to know.
};

/// Gives the name of a state: "AVAILABLE".
std::string_view name_of(VersionState state) noexcept;

/// An input or output of a model.
struct TensorInfo {
  std::string name;                 ///< Name of the tensor in the model file.
  std::string datatype;             ///< Element type in KServe v2 words: "INT64", "FP32".
  std::vector<std::int64_t> shape;  ///< Size of each dimension; -1 stands for any size.
};

/// One version of a model.
struct VersionInfo {
  std::int64_t version = 0;                        ///< Number of the version, 1 or more.
  VersionState state = VersionState::unspecified;  ///< Where it is in its life.
  std::string state_message;                       ///< Why it is in this state, where there is something to say.
  std::optional<Time> state_time;                  ///< When it entered this state.
  std::vector<TensorInfo> inputs;                  ///< Inputs of the model file; empty until it has been read.
  std::vector<TensorInfo> outputs;                 ///< Outputs of the model file; empty until it has been read.
  std::vector<std::string> labels;                 ///< Names of the classes, in the order of the model's output.
  std::int32_t max_tokens = 0;                     ///< The most tokens that it reads of one text.
  std::string format;                              ///< Format of the model files: "paddle" or "openvino".
  std::string precision;                    ///< What it computes in: "f32", "bf16" or "int8"; empty until compiled.
  std::int64_t memory_bytes = 0;            ///< Bytes that its weights take up in memory; 0 until compiled.
  std::vector<std::string> version_labels;  ///< The labels that name this version, in alphabetic order.
  std::uint32_t weight = 0;                 ///< Percent of the requests without a version that go to it.
};

/// A version's share of the requests that ask for none.
struct VersionWeight {
  std::int64_t version = 0;   ///< Number of the version.
  std::uint32_t percent = 0;  ///< Its share, from 0 to 100.
};

/// How the answers of a version compare with those that were given for the same documents. A document's distance is the
/// largest difference of a class's probability.
struct Comparison {
  std::int64_t version = 0;    ///< The version whose answers are compared.
  std::int64_t baseline = 0;   ///< The version that they are compared with.
  std::int64_t documents = 0;  ///< Documents compared.
  std::int64_t agreed = 0;     ///< Those that both gave the same label.
  double mean_distance = 0;    ///< Mean of the distances, from 0 to 1.
  double max_distance = 0;     ///< Largest of the distances, from 0 to 1.
  double latency_ratio = 0;    ///< Time of `version` in the model for a token, over that of `baseline`.
  std::int64_t dropped = 0;    ///< Documents not compared, for want of time.
  std::int64_t failed = 0;     ///< Documents that one of the two failed on.
  bool live = false;           ///< Whether `version` gives answers to clients (a canary) or to nobody (a shadow).
};

/// A model of the server's repository.
struct ModelInfo {
  std::string name;                             ///< Name of the model.
  std::string backend;                          ///< The backend that runs it: "openvino".
  std::optional<std::int64_t> default_version;  ///< Answers where a request names none; nothing: there is none.
  std::vector<VersionInfo> versions;            ///< The versions that the version policy chose, in ascending order.
  std::string message;                          ///< What is wrong with the model as a whole, where something is.
  std::vector<VersionWeight> weights;           ///< Shares, by version; empty: the default version gets all.
  std::optional<std::int64_t> shadow_version;   ///< Computes unseen what others answer; nothing: none does.
  std::vector<Comparison> comparisons;          ///< Comparisons of the shadow, or of canaries, with what was answered.
  bool loaded = false;                          ///< Whether the model is loaded, or to be loaded.
};

/// What a `ModelEvent` tells.
enum class EventKind {
  unknown,   ///< A kind that this client is too old to know.
  initial,   ///< How things were when the watch began.
  synced,    ///< All that was so has been told; changes follow.
  state,     ///< A version entered a state.
  traffic,   ///< Labels, weights or the shadow of a model changed.
  rollback,  ///< A version was taken out of service.
  warning,   ///< A changed version could not be loaded and serves on as it was, or a model as a whole is ill.
};

/// Gives the name of a kind: "INITIAL".
std::string_view name_of(EventKind kind) noexcept;

/// What a watch of models tells.
struct ModelEvent {
  EventKind kind = EventKind::unknown;             ///< What this tells.
  std::string model;                               ///< Name of the model; empty for `synced`.
  std::optional<std::int64_t> version;             ///< Number of the version; nothing: the model as a whole.
  VersionState state = VersionState::unspecified;  ///< The state that the version is in.
  std::string message;                             ///< Why, in words, where there is something to say.
  std::optional<Time> time;                        ///< When it came to be.
  std::optional<std::int64_t> default_version;     ///< Answers by default after this; nothing: no version does.
};

/// What `grpc.health.v1.Health` says.
enum class ServingStatus {
  unknown,          ///< The server does not say.
  serving,          ///< Takes requests.
  not_serving,      ///< Takes no requests now.
  service_unknown,  ///< The server has nothing of that name.
};

/// Gives the name of a status: "SERVING".
std::string_view name_of(ServingStatus status) noexcept;

}  // namespace sentinova
