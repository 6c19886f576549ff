#include "sentinova/error.h"

#include <array>
#include <utility>

namespace sentinova {
namespace {

constexpr std::array<std::string_view, 17> kNames{
    "OK",        "CANCELLED",       "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
    "NOT_FOUND", "ALREADY_EXISTS",  "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
    "ABORTED",   "OUT_OF_RANGE",    "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
    "DATA_LOSS", "UNAUTHENTICATED",
};

std::string describe(StatusCode code, const std::string& message, const std::string& reason) {
  std::string text{name_of(code)};
  if (!reason.empty()) text += " (" + reason + ")";
  return text + ": " + message;
}

}  // namespace

std::string_view name_of(StatusCode code) noexcept {
  const auto number = static_cast<std::size_t>(code);
  return number < kNames.size() ? kNames[number] : "UNKNOWN";
}

Error::Error(StatusCode code, const std::string& message, ErrorDetails details)
    : std::runtime_error(describe(code, message, details.reason)),
      data_(std::make_shared<const Data>(Data{code, message, std::move(details)})) {}

const std::string& Error::field() const noexcept {
  static const std::string none;
  return field_violations().empty() ? none : field_violations().front().field;
}

Error Error::with_note(const std::string& note) const { return {code(), message() + "; " + note, data_->details}; }

}  // namespace sentinova
