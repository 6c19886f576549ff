/// The waits between attempts at a thing that keeps failing.
#pragma once

#include <algorithm>
#include <chrono>

#include "sentinova/error.h"

namespace sentinova::internal {

/// Waits that grow: each twice as long as the one before, from 0.25 s up to 5 s.
class Waits {
 public:
  /// Gives the next wait, not shorter than the failure asks for, and never longer than the longest.
  Duration after(const Error& failure) { return after(failure.retry_after().value_or(Duration{})); }

  /// As above; `asked` is what the failure asks for.
  Duration after(Duration asked) {
    const Duration wait = std::min(std::max(next_, asked), kLongest);
    next_ = std::min(2 * next_, kLongest);
    return wait;
  }

  /// Begins anew: something has worked.
  void reset() { next_ = kFirst; }

 private:
  static constexpr Duration kFirst = std::chrono::milliseconds{250};
  static constexpr Duration kLongest = std::chrono::seconds{5};

  Duration next_ = kFirst;
};

}  // namespace sentinova::internal
