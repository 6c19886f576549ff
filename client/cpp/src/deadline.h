/// When something must be over.
#pragma once

#include <algorithm>
#include <chrono>
#include <optional>
#include <stdexcept>

#include "sentinova/error.h"

namespace sentinova::internal {

using Clock = std::chrono::steady_clock;
using TimePoint = Clock::time_point;

/// Checks a time limit; throws std::invalid_argument where it is not above 0.
inline void check_timeout(const std::optional<Duration>& timeout) {
  if (timeout && timeout->count() <= 0) throw std::invalid_argument("a timeout must be longer than nothing");
}

/// Cuts a time limit to what no clock overflows with.
inline std::optional<Duration> bounded(const std::optional<Duration>& limit) {
  constexpr Duration kLongest = std::chrono::hours{24 * 365};
  return limit ? std::optional{std::min(*limit, kLongest)} : limit;
}

/// A point in time, counted from its making, or none.
class Deadline {
 public:
  explicit Deadline(const std::optional<Duration>& limit) {
    check_timeout(limit);
    if (limit) at_ = Clock::now() + *bounded(limit);
  }

  /// The point in time; nothing: there is none.
  const std::optional<TimePoint>& at() const noexcept { return at_; }

  /// Gives how much time is left, nothing or less where it has passed.
  std::optional<Duration> left() const { return at_ ? std::optional<Duration>{*at_ - Clock::now()} : std::nullopt; }

  /// Tells whether it passes before so much time has.
  bool passes_within(Duration time) const { return at_ && *at_ - Clock::now() <= time; }

 private:
  std::optional<TimePoint> at_;
};

}  // namespace sentinova::internal
