/// How a server is reached: address, TLS, and gRPC's channel arguments with the retry policy.
///
/// Knows gRPC's settings. Must not know what is asked of the server.
#pragma once

#include <grpcpp/channel.h>

#include <memory>
#include <string>

#include "sentinova/options.h"

namespace sentinova::internal {

/// Checks options; throws std::invalid_argument where one makes no sense.
void check_options(const ClientOptions& options);

/// Checks that an address has a form that gRPC takes; throws std::invalid_argument with what to write where it has not.
void check_address(const std::string& address);

/// Tells whether an address is on this machine, where an HTTP proxy has no business.
bool is_local(const std::string& address);

/// Makes gRPC's service config: what may be repeated is retried on UNAVAILABLE alone, with jittered backoff.
///
/// Format: https://github.com/grpc/grpc-proto/blob/master/grpc/service_config/service_config.proto
///
/// @param attempts attempts in all; 1 means no retries.
std::string service_config(int attempts);

/// Opens a channel, which connects on its first call. Throws as `check_options` does, and std::system_error where a
/// certificate file cannot be read.
std::shared_ptr<grpc::Channel> open_channel(const ClientOptions& options);

}  // namespace sentinova::internal
