/// What a user may choose: how the server is reached, how long a call may take, which model answers.
///
/// Knows plain values. Must not know gRPC.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sentinova/cancellation.h"
#include "sentinova/error.h"

namespace sentinova {

/// TLS to the server, and the client's own certificate where the server asks for one (mutual TLS).
struct Tls {
  std::string ca_file = {};      ///< PEM file with the certificates to trust; empty: those that gRPC finds.
  std::string cert_file = {};    ///< PEM file with the client's certificate chain; needs `key_file`.
  std::string key_file = {};     ///< PEM file with the client's private key; needs `cert_file`.
  std::string server_name = {};  ///< The name in the server's certificate, where it is not the address's host.
};

/// How a server is reached.
struct ClientOptions {
  /// `host:port`, `[v6]:port`, `unix:/path`, `dns:///name:port`, or another of gRPC's target forms.
  std::string address = "127.0.0.1:8001";

  /// How to secure the connection; nothing: not at all.
  std::optional<Tls> tls = {};

  /// Deadline of a call; for a stream, the longest wait for the next answer while documents wait for theirs. Nothing:
  /// no limit.
  std::optional<Duration> timeout = std::chrono::seconds{30};

  /// How often a call that may be repeated is tried in a row while the server is UNAVAILABLE, from 1 (no retries) to 5.
  /// The waits between grow from 0.2 s to 2 s, with jitter.
  int attempts = 5;

  /// Whether calls that may be repeated wait for a server that is away, starting or stopping, until their deadline: the
  /// connection is waited for, and a row of attempts is followed by another. False: they fail with UNAVAILABLE after
  /// one row. With `attempts` of 1, only the connection is waited for.
  bool wait_for_ready = true;

  /// Sent with every call, `{"authorization", "Bearer …"}` for example. Keys are lower case.
  std::vector<std::pair<std::string, std::string>> metadata = {};
};

/// Choices for any one call.
struct CallOptions {
  /// The call's deadline; nothing: the client's.
  std::optional<Duration> timeout = {};

  /// Ends the call early.
  std::optional<Cancellation> cancellation = {};
};

/// What happens to a text of more tokens than the model reads.
enum class LongText {
  error,     ///< It is refused with INVALID_ARGUMENT, reason TEXT_TOO_LONG.
  truncate,  ///< Its first tokens are read, and `Sentiment::truncated` says so.
};

/// Which model analyzes, and how.
struct AnalysisOptions : CallOptions {
  std::string model = {};                    ///< Name of the model; empty: the server's default.
  std::optional<std::int64_t> version = {};  ///< Its version; nothing: what its weights choose, or the highest.
  std::string label = {};                    ///< Label of the version ("stable", "canary"), in place of its number.
  LongText long_text = LongText::error;      ///< What happens to a text that is too long.
  std::uint32_t priority = 0;                ///< Level of priority, 1 the highest; 0: the model's default.
  std::string routing_key = {};              ///< Where weights choose the version: the same key, the same version.
};

/// Choices for a stream. `timeout` is the longest wait for the next answer while documents wait for theirs.
struct StreamOptions : AnalysisOptions {
  std::optional<Duration> total_timeout = {};  ///< Deadline of the whole stream; nothing: none.
  bool ordered = false;             ///< Give the answers in the order of the input, held back where they come early.
  std::size_t max_in_flight = 256;  ///< The most documents read from the input and not yet handed out as answers.
};

/// Choices for a watch. `timeout` is the deadline of the whole watch; nothing: none, whatever the client's is.
struct WatchOptions : CallOptions {
  /// Whether another watch takes the place of one that ended because the server stopped or was away, or because events
  /// were taken too slowly. The new one tells again how things are: INITIAL events, then SYNCED.
  bool reconnect = true;

  /// Is told of each way in which a watch was interrupted, once until events come again: its error, or nothing where
  /// the server ended it without one. Called in the thread that calls `ModelWatch::next`.
  std::function<void(const std::optional<Error>&)> on_interruption = {};
};

}  // namespace sentinova
