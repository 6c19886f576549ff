/// Errors out of gRPC statuses.
///
/// Knows `google.rpc.Status` and its details. Must not know calls.
#pragma once

#include <grpcpp/support/status.h>

#include "google/rpc/status.pb.h"
#include "sentinova/error.h"

namespace sentinova::internal {

/// Makes the error that a `google.rpc.Status` describes. Details of unknown kinds, and damaged ones, are passed over.
Error error_from(const google::rpc::Status& status);

/// Makes the error of a failed call, with its details where it has some.
Error error_from(const grpc::Status& status);

/// Tells whether an error says that the server is away for now: UNAVAILABLE, or CANCELLED, which a server that stops
/// sends for calls that it has not begun. Not to be asked of calls that were cancelled on this side.
bool means_away(const Error& error) noexcept;

}  // namespace sentinova::internal
