/// What went wrong with a call, or with one document of a call.
///
/// Knows status codes. Must not know gRPC or protobuf: the details of the server are read elsewhere.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace sentinova {

/// Every length of time of this library; `std::chrono::seconds` and its kin convert by themselves.
using Duration = std::chrono::nanoseconds;

/// gRPC's status codes, with gRPC's numbers.
enum class StatusCode : int {
  ok = 0,
  cancelled = 1,
  unknown = 2,
  invalid_argument = 3,
  deadline_exceeded = 4,
  not_found = 5,
  already_exists = 6,
  permission_denied = 7,
  resource_exhausted = 8,
  failed_precondition = 9,
  aborted = 10,
  out_of_range = 11,
  unimplemented = 12,
  internal = 13,
  unavailable = 14,
  data_loss = 15,
  unauthenticated = 16,
};

/// Gives gRPC's name of a code: "INVALID_ARGUMENT".
std::string_view name_of(StatusCode code) noexcept;

/// A field of the request that the server refused.
struct FieldViolation {
  std::string field;        ///< Path of the field in the request message: "documents[2].text".
  std::string description;  ///< What is wrong with it.
  std::string reason;       ///< The fault in UPPER_SNAKE_CASE; empty where the server gave none.
};

/// All that is known about a failure.
struct ErrorDetails {
  std::string reason = {};                            ///< The cause in UPPER_SNAKE_CASE: "MODEL_NOT_FOUND".
  std::string domain = {};                            ///< Who gave the reason: "sentinova".
  std::map<std::string, std::string> metadata = {};   ///< Particulars of the reason: {"model": "sentiment_en"}.
  std::vector<FieldViolation> field_violations = {};  ///< The fields of the request that are at fault.
  std::optional<Duration> retry_after = {};           ///< How long to wait before trying again, where that helps.
};

/// A call, or one document of a call, that failed. Cheap to copy; copying does not throw.
class Error : public std::runtime_error {
 public:
  Error(StatusCode code, const std::string& message, ErrorDetails details = {});

  /// gRPC's status code.
  StatusCode code() const noexcept { return data_->code; }

  /// What went wrong, in a sentence; `what()` has the code and the reason before it.
  const std::string& message() const noexcept { return data_->message; }

  /// The cause in UPPER_SNAKE_CASE; empty where none was given.
  const std::string& reason() const noexcept { return data_->details.reason; }

  /// Who gave the reason: "sentinova"; empty where there is none.
  const std::string& domain() const noexcept { return data_->details.domain; }

  /// Path of the first field at fault; empty where there is none.
  const std::string& field() const noexcept;

  /// All fields at fault.
  const std::vector<FieldViolation>& field_violations() const noexcept { return data_->details.field_violations; }

  /// Particulars of the reason.
  const std::map<std::string, std::string>& metadata() const noexcept { return data_->details.metadata; }

  /// How long to wait before trying again; nothing where the server did not say that waiting helps.
  std::optional<Duration> retry_after() const noexcept { return data_->details.retry_after; }

  /// Gives the same error with words added to its message.
  Error with_note(const std::string& note) const;

 private:
  struct Data {
    StatusCode code;
    std::string message;
    ErrorDetails details;
  };

  std::shared_ptr<const Data> data_;
};

}  // namespace sentinova
