/// Range-based `for` over things that have a `next`.
#pragma once

#include <cstddef>
#include <iterator>
#include <optional>
#include <utility>

namespace sentinova {

/// An input iterator over what `source.next()` gives, until it gives nothing. `source` must outlive it.
template <class Source, class Value>
class NextIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = Value;
  using difference_type = std::ptrdiff_t;
  using pointer = Value*;
  using reference = Value&;

  /// The end.
  NextIterator() = default;

  explicit NextIterator(Source& source) : source_(&source) { ++*this; }

  reference operator*() { return *value_; }
  pointer operator->() { return &*value_; }

  NextIterator& operator++() {
    value_ = source_->next();
    return *this;
  }
  void operator++(int) { ++*this; }

  friend bool operator==(const NextIterator& a, const NextIterator& b) {
    return a.value_.has_value() == b.value_.has_value();
  }
  friend bool operator!=(const NextIterator& a, const NextIterator& b) { return !(a == b); }

 private:
  Source* source_ = nullptr;
  std::optional<Value> value_;
};

}  // namespace sentinova
